; SPDX-License-Identifier: MIT
; synfp's own signatures of TCP SYNs, in the grammar of p0f.fp (p0f 3): p0f -f data/synfp.fp reads this file too.
;
; Every signature was recorded by tools/record from a real stack; nothing was taken from another database. The comment
; above each group says when, from exactly what, and by which command. How to add one: data/README.md. The part between
; the two lines of "========" is made again by: tools/record --all
;
; A label claims what its source says and no more: "s" labels name a version range by the kernel's source (see
; data/recipes.toml for the commits), "g" (generic) labels what several versions send. p0f tries "s" before "g".

classes = win,unix,other

; MTU of the path's narrowest link, from the client's MSS: MSS + 40 (IPv4) or 60 (IPv6). Several links share a number;
; then the label names those that a server meets most.
[mtu]

; RFC 894
label = Ethernet
sig   = 1500

; RFC 2516 section 7: 1500 less 8 (PPPoE, PPP). IEEE 802.3 with LLC and SNAP (RFC 1042) has the same.
label = PPPoE
sig   = 1492

; 20 of 1500: IP in IP (RFC 2003), IPv6 in IPv4 (RFC 4213), IPv4 behind an IPv4/IPv6 translator (RFC 7915)
label = IPIP, 6in4 or NAT64
sig   = 1480

; RFC 2784 over IPv4: 20 + 4
label = GRE
sig   = 1476

; 24 + 4 (key, RFC 2890); the same as 20 of PPPoE's 1492
label = GRE with key, or 6in4 on PPPoE
sig   = 1472

; RFC 2473: 40 of 1500. Also the default of Google Cloud's networks (its documentation, "Maximum transmission unit").
label = IPv6 tunnel or Google Cloud
sig   = 1460

; RFC 2784 over IPv6: 40 + 4
label = GRE over IPv6
sig   = 1456

; RFC 6333: IPv4 in IPv6 (40) on PPPoE's 1492
label = DS-Lite on PPPoE
sig   = 1452

; RFC 7348 over IPv4: 14 (inner Ethernet) + 8 + 8 (UDP) + 20; the same for GENEVE without options (RFC 8926)
label = VXLAN or GENEVE
sig   = 1450

; wireguard.com/papers/wireguard.pdf, 5.4.6: 32 + 8 (UDP) + 20 over IPv4
label = WireGuard over IPv4
sig   = 1440

; RFC 7348 over IPv6: 14 + 8 + 8 + 40
label = VXLAN or GENEVE over IPv6
sig   = 1430

; 32 + 8 + 40 over IPv6: the default of wg-quick(8), whichever family carries it
label = WireGuard
sig   = 1420

; 80 of PPPoE's 1492
label = WireGuard on PPPoE
sig   = 1412

; RFC 8200 section 5
label = IPv6 minimum
sig   = 1280

; RFC 791: what every host must take
label = IPv4 minimum
sig   = 576

; RFC 1390
label = FDDI
sig   = 4352

; RFC 2225
label = ATM
sig   = 9180

; No standard; the common size
label = Ethernet, jumbo frames
sig   = 9000

; Amazon's and Google's documentation of their networks
label = Amazon EC2
sig   = 9001
label = Google Cloud, jumbo frames
sig   = 8896

; Linux gives lo an MTU of 65536: IPv4 uses 65535 of it (drivers/net/loopback.c). IPv6 uses all, which does not fit in
; 16 bits: p0f has no number for it.
label = loopback
sig   = 65535

[tcp:request]

; evidence: recorded

; ======== Made by tools/record --all from data/recipes.toml. Do not edit: change the recipe.

label = s:unix:Linux:6.16 and newer
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: default settings
; tools/record connect {server} {port}
; 444 SYNs in 444 runs, IPv4 and IPv6, MTU 1280 to 1500, 9000
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: over loopback
; tools/record connect {server} {port}
; 6 SYNs in 6 runs, IPv4 and IPv6, MTU 65536 of lo
sig = *:64:0:*:mss*1,10:mss,sok,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: no IPv6 flow label
; tools/record connect {server} {port}; net.ipv6.auto_flowlabels=0
; 13 SYNs in 13 runs, IPv6, MTU 1280 to 1500 by 20, 9000
sig = 6:64:0:*:mss*7,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*45,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*46,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*47,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*48,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*49,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*50,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*51,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*52,10:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*53,10:mss,sok,ts,nop,ws::0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: no timestamps
; tools/record connect {server} {port}; net.ipv4.tcp_timestamps=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,nop,nop,sok,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: no SACK
; tools/record connect {server} {port}; net.ipv4.tcp_sack=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,nop,nop,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: asks for ECN (RFC 3168)
; tools/record connect {server} {port}; net.ipv4.tcp_ecn=1
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: Multipath TCP (RFC 8684)
; tools/record connect --mptcp {server} {port}
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws,?30:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: TCP Fast Open (RFC 7413): a SYN that asks for a cookie, then one
;   with the cookie and data
; tools/record connect --fastopen {server} {port}
; 52 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: TCP Fast Open of a server without it: Linux asks once more, with
;   the option of the experiment
; tools/record connect --fastopen {server} {port}
; 52 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
; 11 more are already there: s:unix:Linux:6.16 and newer
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws,?254:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: TCP Fast Open with data and without a cookie, as within one data
;   centre
; tools/record connect --fastopen {server} {port}; net.ipv4.tcp_fastopen=5
; 52 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*44,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*45,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*46,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*47,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*48,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*49,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*50,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*51,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*52,10:mss,sok,ts,nop,ws:df,id+,flow:+
sig = *:64:0:*:mss*53,10:mss,sok,ts,nop,ws:df,id+,flow:+
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: TCP MD5 signatures (RFC 2385), as between BGP routers
; tools/record connect --md5 {server} {port}
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,10:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0

label = s:unix:Linux:4.20 to 6.15, newer up to 1 GB
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: default settings
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456
; 444 SYNs in 444 runs, IPv4 and IPv6, MTU 1280 to 1500, 9000
sig = *:64:0:*:mss*7,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,7:mss,sok,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: over loopback
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456
; 6 SYNs in 6 runs, IPv4 and IPv6, MTU 65536 of lo
sig = *:64:0:*:mss*1,7:mss,sok,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: no IPv6 flow label
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456; net.ipv6.auto_flowlabels=0
; 13 SYNs in 13 runs, IPv6, MTU 1280 to 1500 by 20, 9000
sig = 6:64:0:*:mss*7,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*45,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*46,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*47,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*48,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*49,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*50,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*51,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*52,7:mss,sok,ts,nop,ws::0
sig = 6:64:0:*:mss*53,7:mss,sok,ts,nop,ws::0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: no timestamps
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456; net.ipv4.tcp_timestamps=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: no SACK
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456; net.ipv4.tcp_sack=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,7:mss,nop,nop,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: asks for ECN (RFC 3168)
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456; net.ipv4.tcp_ecn=1
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*46,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*47,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*48,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*49,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*50,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*51,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*52,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
sig = *:64:0:*:mss*53,7:mss,sok,ts,nop,ws:df,id+,ecn,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: Multipath TCP (RFC 8684)
; tools/record connect --mptcp {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*46,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*47,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*48,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*49,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*50,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*51,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*52,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
sig = *:64:0:*:mss*53,7:mss,sok,ts,nop,ws,?30:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: TCP Fast Open (RFC 7413): a SYN that asks for a cookie,
;   then one with the cookie and data
; tools/record connect --fastopen {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456
; 52 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*46,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*47,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*48,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*49,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*50,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*51,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*52,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*53,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:0
sig = *:64:0:*:mss*7,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*45,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*46,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*47,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*48,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*49,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*50,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*51,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*52,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
sig = *:64:0:*:mss*53,7:mss,sok,ts,nop,ws,?34,nop,nop:df,id+,flow:+
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: TCP MD5 signatures (RFC 2385), as between BGP routers
; tools/record connect --md5 {server} {port}; net.ipv4.tcp_rmem=4096 131072 6291456
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,7:nop,nop,?19,mss,nop,nop,sok,nop,ws:df,id+,flow:0

label = s:!:nmap:SYN scan
sys = @unix,@win
; 2026-11-23, nmap 7.93+dfsg1-1 (Debian), on Linux 6.18.44-fc-v657 x86_64
; nmap {-6} -n -Pn -sS -p 1-500 {server}
; 2000 SYNs in 4 runs, IPv4 and IPv6, MTU 1400, 1500
sig = 4:59-:0:1460:1024,0:mss::0
sig = 6:255:0:1460:1024,0:mss::0

label = s:!:nmap:OS detection
sys = @unix,@win
; 2026-11-23, nmap 7.93+dfsg1-1 (Debian), on Linux 6.18.44-fc-v657 x86_64: p0f sees the acknowledgment
;   number of a SYN without ACK one time in two (ack+)
; nmap {-6} -n -Pn -O --max-os-tries 2 -p 1-20,{port} {server}
; 660 SYNs in 20 runs, IPv4 and IPv6, MTU 1500
; 2 more are already there: s:!:nmap:SYN scan
sig = *:59-:0:1460:1,10:ws,nop,mss,ts,sok:flow:0
sig = *:59-:0:265:31337,10:ws,nop,mss,ts,sok:flow:0
sig = *:59-:0:1460:1,10:ws,nop,mss,ts,sok:flow,ack+:0
sig = *:59-:0:265:31337,10:ws,nop,mss,ts,sok:flow,ack+:0
sig = *:59-:0:1400:63,0:mss,ws,sok,ts,eol+0:flow:0
sig = *:59-:0:1400:63,0:mss,ws,sok,ts,eol+0:flow,ack+:0
sig = *:59-:0:640:4,5:ts,nop,nop,ws,nop,mss:flow:0
sig = *:59-:0:640:4,5:ts,nop,nop,ws,nop,mss:flow,ack+:0
sig = *:59-:0:0:4,10:sok,ts,ws,eol+0:flow:0
sig = *:59-:0:0:4,10:sok,ts,ws,eol+0:flow,ack+:0
sig = *:59-:0:536:16,10:mss,sok,ts,ws,eol+0:flow:0
sig = *:59-:0:536:16,10:mss,sok,ts,ws,eol+0:flow,ack+:0
sig = *:59-:0:265:512,0:mss,sok,ts:flow:0
sig = *:59-:0:265:512,0:mss,sok,ts:flow,ack+:0
sig = *:59-:0:1460:3,10:ws,nop,mss,sok,nop,nop:ecn,flow,uptr+:0

label = s:!:masscan:
sys = @unix,@win
; 2026-11-23, masscan 2:1.3.2+ds1-1 (Debian), on Linux 6.18.44-fc-v657 x86_64
; masscan -p 1-100 --rate 1000 --wait 0 -e veth0 --source-ip {client} --router-mac {gateway_mac} {server}
; 400 SYNs in 4 runs, IPv4 and IPv6, MTU 1400, 1500
sig = *:255:0:0:1024,0:::0

label = s:!:zmap:
sys = @unix
; 2026-11-23, zmap 2.1.1-2+b6 (Debian), on Linux 6.18.44-fc-v657 x86_64
; zmap -C /dev/null -b /dev/null -q -v 0 -i veth0 -S {client} -G {gateway_mac} -p {port} -P 5 -r 100 -c 1 -o
;   /dev/null {server}/32
; 10 SYNs in 2 runs, IPv4, MTU 1400, 1500
sig = 4:255:0:0:65535,0:::0

label = s:!:hping3:SYN
sys = @unix,@win
; 2026-11-23, hping3 3.a2.ds2-10 (Debian), on Linux 6.18.44-fc-v657 x86_64: p0f sees the acknowledgment
;   number of a SYN without ACK one time in two (ack+)
; hping3 -S -p {port} -c 50 -i u1000 {server}
; 100 SYNs in 2 runs, IPv4, MTU 1400, 1500
sig = 4:64:0:0:512,0:::0
sig = 4:64:0:0:512,0::ack+:0

label = g:unix:Linux:4.20 and newer
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: no window scaling
; tools/record connect {server} {port}; net.ipv4.tcp_window_scaling=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*44,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*45,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*46,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*47,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*48,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*49,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*50,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*51,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*52,0:mss,sok,ts:df,id+,flow:0
sig = *:64:0:*:mss*53,0:mss,sok,ts:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: no timestamps, no SACK, no window scaling
; tools/record connect {server} {port}; net.ipv4.tcp_timestamps=0; net.ipv4.tcp_sack=0;
;   net.ipv4.tcp_window_scaling=0
; 26 SYNs in 26 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*44,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*45,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*46,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*47,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*48,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*49,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*50,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*51,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*52,0:mss:df,id+,flow:0
sig = *:64:0:*:mss*53,0:mss:df,id+,flow:0
; 2026-11-23, Linux 6.1.0-56-cloud-amd64 x86_64: other tcp_rmem[2], or 1 to 4 GB of memory with 6.16
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 131072 {each}; each of 1048576, 2097152,
;   4194304, 8388608, 16777216, 33554432, 67108864, 134217728, 268435456, 536870912
; 260 SYNs in 260 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*7,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*44,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*45,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*46,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*47,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*48,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*49,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*50,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*51,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*52,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*53,*:mss,sok,ts,nop,ws:df,id+,flow:0
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: tcp_rmem[1] of before 4.20, still in tuning guides
; tools/record connect {server} {port}; net.ipv4.tcp_rmem=4096 87380 {each}; each of 6291456, 16777216,
;   33554432, 67108864
; 104 SYNs in 104 runs, IPv4 and IPv6, MTU 1280 to 1500 by 20, 9000
sig = *:64:0:*:mss*4,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*29,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*30,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*31,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*32,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*33,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*34,*:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*35,*:mss,sok,ts,nop,ws:df,id+,flow:0

label = g:unix:Linux:any version
; 2026-11-23, Linux 6.18.44-fc-v657 x86_64: the program chose its receive buffer (SO_RCVBUF)
; tools/record connect --rcvbuf {each} {server} {port}; each of 2304, 4096, 8192, 16384, 32768, 65536,
;   131072, 262144, 1048576, 2097152
; 20 SYNs in 20 runs, IPv4 and IPv6, MTU 1500
sig = *:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,flow:0

; ======== Added by tools/record --label. Kept by --all.
