; SPDX-License-Identifier: MIT
; Signatures of TCP SYNs that this project recorded itself, in the grammar of p0f's p0f.fp: p0f -f synfp.fp reads them.
; Each says when, from which stack and by which command it was recorded.

classes = win,unix,other

; MTU of the link behind a SYN's MSS, from the standards and the defaults of the implementations.
[mtu]

label = Ethernet
sig   = 1500
label = PPPoE
sig   = 1492
; RFC 4638
label = PPPoE with baby jumbo frames
sig   = 1508
; RFC 2890 without and with a key; a GRE header is 4 or 8 bytes behind 20 of IPv4.
label = GRE
sig   = 1476
sig   = 1472
; 20 bytes of IPv4: RFC 2003, RFC 4213
label = IPIP or 6in4
sig   = 1480
; 40 bytes of IPv6: RFC 2473, RFC 6333
label = IP in IPv6 or DS-Lite
sig   = 1460
; 60 or 80 bytes of headers; wg-quick assumes IPv6.
label = WireGuard
sig   = 1420
sig   = 1440
; RFC 7348: 50 bytes behind IPv4, 70 behind IPv6
label = VXLAN
sig   = 1450
sig   = 1430
; RFC 8200 5: the least that a link may have
label = IPv6 minimum
sig   = 1280
; RFC 791: what every host must reassemble
label = IPv4 minimum
sig   = 576
label = jumbo frames
sig   = 9000
label = loopback
sig   = 65535

[tcp:request]

; 2026-11: Linux 6.18, defaults, between two network namespaces: curl http://...
label = s:unix:Linux:6.16 and newer
sig   = 4:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+:0
sig   = 6:64:0:*:mss*45,10:mss,sok,ts,nop,ws:flow:0
