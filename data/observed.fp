; SPDX-License-Identifier: MIT
; Signatures of TCP SYNs that this project knows by other evidence than a recording of its own, in the grammar of p0f.fp
; (p0f 3): p0f -f data/observed.fp reads this file too. Asked after synfp.fp.
;
; Nothing was taken from another database. Above the signatures of an entry stands how it is known:
;
;   evidence   "source": public source code or vendor's documentation says what is sent. "captures": connections in
;              public captures say who they are. The word is part of every answer.
;   source     a file of a public repository, or a page, and what it says
;   capture    repository, file, and what the SYN's own connection says of its sender (User-Agent in clear text)
;   example    a SYN, as p0f prints it, that must be named by this entry and by no other
;
; "captures" needs two captures from different repositories or recordings, or one and a source. tools/record --check
; refuses an entry without that; how to add one: data/README.md.
;
; A label claims what its evidence says and no more. Systems that share a TCP implementation share a label: macOS and
; iOS, Android and a Linux with large buffers.

classes = win,unix,other

[tcp:request]

; ======== Windows

label = s:win:Windows:10, 11 or Server 2016 and newer
; evidence: captures
; capture: FoxIO-LLC/ja4: pcap/latest.pcapng: Windows NT 10.0; Win64; x64
; capture: FoxIO-LLC/ja4: pcap/tls3.pcapng: Windows NT 10.0; Win64; x64
; capture: ntop/nDPI: tests/cfgs/default/pcap/http-proxy.pcapng: Windows NT 10.0; Win64; x64; rv:91.0
; capture: ntop/nDPI: tests/cfgs/default/pcap/http_connect.pcap: Windows NT 10.0; Win64; x64; rv:92.0
; capture: ntop/nDPI: tests/cfgs/default/pcap/windowsupdate_over_http.pcap: Microsoft-Delivery-Optimization
; source: learn.microsoft.com/windows/win32/sysinfo/operating-system-version: Windows 10, 11 and Server 2016 to 2025 have
;   the version number 10.0
; source: learn.microsoft.com/troubleshoot/windows-server/networking/description-tcp-features: the window is a multiple
;   of the MSS, and window scaling is on
; example: 4:128+0:0:1460:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:117+11:0:1360:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:mss*44,8:mss,nop,ws,nop,nop,sok:df,id+:0
; evidence: captures
; capture: ntop/nDPI: tests/cfgs/default/pcap/trickbot.pcap: Windows NT 10.0; WOW64; Trident/7.0
; capture: ntop/nDPI: tests/cfgs/default/pcap/emotet.pcap: Windows NT 10.0; Win64; x64; Trident/7.0
; capture: zeek/zeek: testing/btest/Traces/http/no_crlf.pcap: Windows NT 10.0; WOW64; Trident/7.0
; example: 4:128+0:0:1460:65535,8:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:65535,8:mss,nop,ws,nop,nop,sok:df,id+:0

label = s:win:Windows:7 to 10
; evidence: captures
; capture: OISF/suricata-verify: tests/tls/tls-subjectaltname/input.pcap: Microsoft-CryptoAPI/6.1
; capture: FoxIO-LLC/ja4: pcap/CVE-2018-6794.pcap: Windows NT 6.3; Win64; x64
; capture: arkime/arkime: tests/pcap/no-syn-ack.pcap: Windows NT 6.1; Win64; x64
; capture: seladb/PcapPlusPlus: Tests/Pcap++Test/PcapExamples/one_tcp_stream.pcap: Windows NT 10.0; rv:52.0
; example: 4:128+0:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:123+5:0:1260:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0
; evidence: captures
; capture: OISF/suricata-verify: tests/issue-3267-tcphdr/tcphdr_http.pcap: Windows NT 10.0; WOW64; Trident/7.0
; capture: zeek/zeek: testing/btest/Traces/http/ctu-62604-80.pcap: a program that runs on Windows only asks for ECN too
; example: 4:128+0:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+,ecn:0
sig = 4:128:0:*:8192,8:mss,nop,ws,nop,nop,sok:df,id+,ecn:0

label = s:win:Windows:Vista or 7
; evidence: captures
; capture: seladb/PcapPlusPlus: Tests/Pcap++Test/PcapExamples/example.pcap: Windows NT 6.1; rv:20.0
; capture: zeek/zeek: testing/btest/Traces/tcp/miss_end_data.pcap: Windows NT 6.1; rv:7.0.1
; capture: zeek/zeek: testing/btest/Traces/http/m57-long-49583-80.pcap: Microsoft BITS/7.0
; capture: arkime/arkime: tests/pcap/http-no-length.pcap: Windows NT 6.1; en-US; rv:1.9.2.3
; example: 4:128+0:0:1460:8192,2:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:125+3:0:1360:8192,2:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:8192,2:mss,nop,ws,nop,nop,sok:df,id+:0

label = s:win:Windows:7 without window scaling
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/zero-length-bodies-with-drops.pcap: Windows NT 6.1; rv:1.9.2.15
; capture: arkime/arkime: tests/pcap/http-wrapped-header.pcap: Windows NT 6.1; WOW64
; example: 4:128+0:0:1460:8192,0:mss,nop,nop,sok:df,id+:0
; example: 4:128+0:0:1170:8192,0:mss,nop,nop,sok:df,id+:0
sig = 4:128:0:*:8192,0:mss,nop,nop,sok:df,id+:0

label = s:win:Windows:2000, XP or Server 2003
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/pipelined-requests.pcap: Windows NT 5.1; rv:1.9.1.5
; capture: zeek/zeek: testing/btest/Traces/http/206_example_b.pcap: Microsoft BITS/6.6
; source: learn.microsoft.com/troubleshoot/windows-server/networking/description-tcp-features: TCP grows to 64 KB on
;   fast links; window scaling and timestamps are off until the peer or the registry asks for them
; example: 4:128+0:0:1460:65535,0:mss,nop,nop,sok:df,id+:0
sig = 4:128:0:*:65535,0:mss,nop,nop,sok:df,id+:0
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/tunnels/Teredo.pcap: Windows NT 5.1; rv:1.9b5
; capture: arkime/arkime: tests/pcap/socks5-http-302.pcap: Windows NT 5.1; rv:25.0
; source: learn.microsoft.com/troubleshoot/windows-server/networking/description-tcp-features: "The first connection
;   request sent to a remote host advertises a receive window size of 16K (16,384 bytes)"
; example: 4:128+0:0:1460:16384,0:mss,nop,nop,sok:df,id+:0
sig = 4:128:0:*:16384,0:mss,nop,nop,sok:df,id+:0
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/ncp.pcap: Windows NT 5.1; rv:1.9.0.1
; capture: zeek/zeek: testing/btest/Traces/http/206_example_c.pcap: Windows NT 5.1; rv:1.9.2.13
; example: 4:117+11:0:1412:64512,0:mss,nop,nop,sok:df,id+:0
sig = 4:128:0:*:64512,0:mss,nop,nop,sok:df,id+:0

; Windows of which scale and window are the administrator's or the program's. Each window is listed: a wildcard would
; make a fuzzy Windows of every TTL of 64 behind these options, which Solaris 10 sends, too.
label = g:win:Windows:Vista and newer, or XP tuned
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/206_example_a.pcap: Windows NT 5.2, scale 1
; capture: OISF/suricata-verify: tests/bug-2769/issue_no_icmp.pcap: initial TTL 128, scale 3
; capture: FoxIO-LLC/ja4: pcap/latest.pcapng: Windows NT 10.0
; source: learn.microsoft.com/troubleshoot/windows-server/networking/description-tcp-features: the registry sets window
;   and scale (TcpWindowSize, Tcp1323Opts)
; example: 4:103+25:0:1460:65535,1:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:116+12:0:1352:65535,3:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:116+12:0:1352:mss*44,7:mss,nop,ws,nop,nop,sok:df,id+:0
; example: 4:116+12:0:1352:8192,4:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:65535,*:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:mss*44,*:mss,nop,ws,nop,nop,sok:df,id+:0
sig = 4:128:0:*:8192,*:mss,nop,ws,nop,nop,sok:df,id+:0
; evidence: source
; source: technet.microsoft.com/library/bb878108: since Vista one TCP serves IPv4 and IPv6 (dual IP layer architecture)
; example: 6:118+10:0:1440:65535,8:mss,nop,ws,nop,nop,sok:flow:0
; example: 6:118+10:0:1440:64800,8:mss,nop,ws,nop,nop,sok::0
sig = 6:128:0:*:65535,*:mss,nop,ws,nop,nop,sok:flow:0
sig = 6:128:0:*:65535,*:mss,nop,ws,nop,nop,sok::0
sig = 6:128:0:*:mss*44,*:mss,nop,ws,nop,nop,sok:flow:0
sig = 6:128:0:*:mss*44,*:mss,nop,ws,nop,nop,sok::0
sig = 6:128:0:*:mss*45,*:mss,nop,ws,nop,nop,sok:flow:0
sig = 6:128:0:*:mss*45,*:mss,nop,ws,nop,nop,sok::0
sig = 6:128:0:*:8192,*:mss,nop,ws,nop,nop,sok:flow:0
sig = 6:128:0:*:8192,*:mss,nop,ws,nop,nop,sok::0

label = g:win:Windows:without window scaling
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/dce-rpc/mapi.pcap: MSIE 6.0; Windows NT 5.1, window 64240
; capture: OISF/suricata-verify: tests/http-all-headers/input.pcap: Windows NT 5.1; rv:1.6, window 8760
; capture: arkime/arkime: tests/pcap/socks5-http-302.pcap: Windows NT 5.1; rv:25.0
; source: learn.microsoft.com/troubleshoot/windows-server/networking/description-tcp-features: the window depends on the
;   speed of the link and on the registry
; example: 4:128+0:0:1460:mss*44,0:mss,nop,nop,sok:df,id+:0
sig = 4:128:0:*:*,0:mss,nop,nop,sok:df,id+:0

label = g:win:Windows:with timestamps
; evidence: captures
; source: support.microsoft.com/kb/224829: Tcp1323Opts = 3 turns on window scaling and timestamps
; capture: arkime/arkime: tests/pcap/http-basicauth.pcap: Windows NT 5.1; rv:32.0
; example: 4:126+2:0:1332:65535,3:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0
sig = 4:128:0:*:*,*:mss,nop,ws,nop,nop,ts,nop,nop,sok:df,id+,ts1-:0

; ======== macOS, iOS: one kernel (XNU), one TCP

label = s:unix:macOS or iOS:since 2018
; evidence: source
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: mss; nop, ws; nop, nop, ts; sok; EOL to a multiple of 4
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_subr.c: tcp_set_max_rwinscale() takes the scale that
;   tcp_autorcvbuf_max needs: 2 MB is 6
; capture: OISF/suricata-verify: tests/bug-4199-4/input.pcap: Macintosh; Intel Mac OS X 10_14_6
; capture: zeek/zeek: testing/btest/Traces/spicy/gap-recovery.pcap: Macintosh; Intel Mac OS X 10.15
; capture: zeek/zeek: doc/traces/quickstart.pcap: curl/8.7.1, which macOS 14.4 and newer bring
; example: 4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0
; example: 6:64+0:0:16324:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0
sig = *:64:0:*:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,flow:0
; evidence: source
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: asks for ECN in a SYN where the network was seen to
;   bear it
; capture: ntop/nDPI: tests/cfgs/default/pcap/iphone.pcap: CaptiveNetworkSupport, of an iPhone
; example: 4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn:0
sig = *:64:0:*:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,ecn,flow:0

label = s:unix:macOS or iOS:of 2017
; evidence: captures
; capture: ntop/nDPI: tests/cfgs/default/pcap/anyconnect-vpn.pcap: Macintosh; Intel Mac OS X 10_13_6
; capture: OISF/suricata-verify: tests/detect-pcrexform-01/input.pcap: curl/7.54.0, which macOS 10.13 brings
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: the order of the options
; example: 4:64+0:0:1460:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0
sig = 4:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0

label = s:unix:macOS or iOS:of 2014 to 2017
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/connect-with-header.pcap: Macintosh; Intel Mac OS X 10.10; rv:41.0
; capture: OISF/suricata-verify: tests/http-ipv6/input.pcap: curl/7.54.0, which macOS 10.13 brings
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: the order of the options
; example: 6:64+0:0:16324:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0
sig = 6:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:flow:0

label = s:unix:macOS or iOS:of 2014 to 2016
; evidence: captures
; capture: ntop/nDPI: tests/cfgs/default/pcap/netflix.pcap: AppleCoreMedia (iPhone; U; CPU OS 10_2 like Mac OS X)
; capture: ntop/nDPI: tests/cfgs/default/pcap/mpeg.pcap: Wget/1.16.3 (darwin14.1.0)
; capture: zeek/zeek: testing/btest/Traces/http/websocket.pcap: Macintosh; Intel Mac OS X 10.12; rv:54.0
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: the order of the options
; example: 4:64+0:0:1460:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
sig = 4:64:0:*:65535,5:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0

label = s:unix:macOS or iOS:of 2012 or 2013
; evidence: captures
; capture: ntop/nDPI: tests/cfgs/default/pcap/http_auth.pcap: Macintosh; Intel Mac OS X 10_8_5
; capture: ntop/nDPI: tests/cfgs/default/pcap/jsonrpc.pcap: Macintosh; Intel Mac OS X 10_9_2
; capture: arkime/arkime: tests/pcap/http-simple-get.pcap: curl/7.24.0 (x86_64-apple-darwin12.0)
; capture: zeek/zeek: doc/traces/get.trace: Wget/1.14 (darwin12.2.0)
; source: apple/darwin-xnu: bsd/netinet/tcp_input.c: tcp_autorcvbuf_max is 512 KB, whose scale is 4
; example: 4:64+0:0:1460:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
; example: 4:60+4:0:1360:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
sig = 4:64:0:*:65535,4:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0

label = s:unix:Mac OS X:10.4 to 10.6
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/100-continue.pcap: curl/7.17.1 (i386-apple-darwin8.11.1)
; capture: zeek/zeek: testing/btest/Traces/var-services-std-ports.pcap: Macintosh; Intel Mac OS X 10_6_8
; capture: zeek/zeek: testing/btest/Traces/socks.pcap: curl/7.16.3 (powerpc-apple-darwin9.0)
; example: 4:64+0:0:1460:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
sig = 4:64:0:*:65535,3:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0

label = s:unix:Mac OS X:10.7 or older
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/socks.pcap: Macintosh; Intel Mac OS X 10.7; rv:10.0.2
; capture: zeek/zeek: testing/btest/Traces/http/flash-version.pcap: Macintosh; U; Intel Mac OS X; en
; example: 4:64+0:0:1460:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
sig = 4:64:0:*:65535,1:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0

; No other TCP that is known ends its options so. The scale follows buffer sizes that have changed over the years.
label = g:unix:macOS or iOS:
; evidence: source
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: mss; nop, ws; nop, nop, ts; sok; EOL to a multiple of 4
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_subr.c: on cellular links with carrier aggregation the scale is
;   one more
; example: 4:64+0:0:1400:65535,7:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0
; example: 4:64+0:0:1400:65535,2:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
sig = *:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df,flow:0
sig = 4:64:0:*:65535,*:mss,nop,ws,nop,nop,ts,sok,eol+1:df,id+:0
; evidence: source
; source: apple-oss-distributions/xnu: bsd/netinet/tcp_output.c: Multipath TCP puts its option between the scale and the
;   timestamps
; example: 4:64+0:0:1400:65535,6:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df:0
sig = *:64:0:*:65535,*:mss,nop,ws,?30,nop,nop,ts,sok,eol+1:df,flow:0

; ======== Android

label = s:unix:Android or Linux:window of 65535
; evidence: captures
; capture: ntop/nDPI: tests/cfgs/default/pcap/xiaomi.pcap: Dalvik/2.1.0 (Linux; U; Android 10; Redmi Note 9 Pro)
; capture: ntop/nDPI: tests/cfgs/default/pcap/alexa-app.pcapng: Dalvik/2.1.0 (Linux; U; Android 5.1.1; LGLS751)
; capture: ntop/nDPI: tests/cfgs/default/pcap/android.pcap: Linux; Android 9; Nokia 2.2
; capture: ntop/nDPI: tests/cfgs/default/pcap/mpeg-dash.pcap: Linux; Android 11; SM-A715F
; capture: ntop/nDPI: tests/cfgs/default/pcap/http_ua_splitted_in_two_pkts.pcapng: Linux; Android 6.0.1; SM-T805
; source: torvalds/linux: net/ipv4/tcp_output.c: tcp_select_initial_window() offers at most 65535; Linux' own tcp_rmem
;   gives less, Android's and many a server's gives more
; example: 4:64+0:0:1460:65535,8:mss,sok,ts,nop,ws:df,id+:0
; example: 4:63+1:0:1400:65535,7:mss,sok,ts,nop,ws:df,id+:0
; example: 4:63+1:0:1460:65535,9:mss,sok,ts,nop,ws:df,id+:0
; example: 4:64+0:0:1460:65535,10:mss,sok,ts,nop,ws:df,id+:0
; example: 6:52+12:0:1340:65535,9:mss,sok,ts,nop,ws:flow:0
sig = *:64:0:*:65535,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:65535,8:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:65535,9:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:65535,10:mss,sok,ts,nop,ws:df,id+,flow:0

; ======== Linux that was not recorded

label = s:unix:Linux:6.6 to 6.9
; evidence: source
; source: torvalds/linux: include/net/tcp.h: from commit dfa2f0483360 (6.6) to commit 697a6c8cec03 (6.10) a socket
;   offers 65/256 of its 128 KB, 33280 bytes, rounded down to a multiple of the MSS
; capture: zeek/zeek: testing/btest/Traces/http/http-non-printable-characters.pcap: Python-urllib/3.12
; capture: zeek/zeek: testing/btest/Traces/http/cooper-grill-dvwa.pcapng: X11; Linux x86_64; rv:109.0
; example: 4:64+0:0:1460:mss*22,7:mss,sok,ts,nop,ws:df,id+:0
; example: 6:64+0:0:1440:mss*23,7:mss,sok,ts,nop,ws:flow:0
sig = *:64:0:*:mss*22,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*23,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*24,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*25,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*26,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*27,7:mss,sok,ts,nop,ws:df,id+,flow:0
; evidence: source
; source: torvalds/linux: include/net/tcp.h: the same over loopback, where the MSS is larger than the window
; capture: OISF/suricata-verify: tests/engine-state/detect-engine-state-01/input.pcap: over loopback
; example: 4:64+0:0:65495:33280,7:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:65495:33280,7:mss,sok,ts,nop,ws:df,id+:0

label = s:unix:Linux:3.x to 4.19
; evidence: source
; source: torvalds/linux: net/ipv4/tcp_output.c: tcp_default_init_rwnd() is twice the initial congestion window: 20
;   segments, until commit a337531b942b (4.20)
; capture: zeek/zeek: testing/btest/Traces/tls/ocsp-http-get.pcap: X11; Fedora; Linux x86_64; rv:39.0
; capture: ntop/nDPI: tests/cfgs/default/pcap/weibo.pcap: X11; Linux x86_64
; example: 4:64+0:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0
; example: 6:64+0:0:1420:mss*20,7:mss,sok,ts,nop,ws::0
sig = *:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+,flow:0
sig = 6:64:0:*:mss*20,7:mss,sok,ts,nop,ws::0
; evidence: source
; source: torvalds/linux: net/ipv4/tcp_output.c: tcp_options_write() puts two NOP before sok without timestamps
; capture: FoxIO-LLC/ja4: pcap/https-connect.pcap: no timestamps
; example: 4:64+0:0:1460:mss*20,7:mss,nop,nop,sok,nop,ws:df,id+:0
sig = *:64:0:*:mss*20,7:mss,nop,nop,sok,nop,ws:df,id+,flow:0
; evidence: source
; source: torvalds/linux: net/ipv4/tcp_output.c: TCP Fast Open with the option of the experiment (RFC 6994)
; capture: zeek/zeek: testing/btest/Traces/tcp/tcp-fast-open.pcap: TCP Fast Open
; capture: OISF/suricata-verify: tests/tcp-fastopen-01/tfo.pcap: TCP Fast Open with data
; example: 4:64+0:0:1460:mss*20,7:mss,sok,ts,nop,ws,?254:df,id+:0
; example: 4:64+0:0:1460:mss*20,7:mss,sok,ts,nop,ws,?254:df,id+:+
sig = *:64:0:*:mss*20,7:mss,sok,ts,nop,ws,?254:df,id+,flow:0
sig = *:64:0:*:mss*20,7:mss,sok,ts,nop,ws,?254:df,id+,flow:+
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/http/x-gzip.pcap: X11; Linux x86_64; rv:38.0, over loopback
; capture: zeek/zeek: testing/btest/Traces/http/fake-content-length.pcap: X11; Linux x86_64; rv:52.0, over loopback
; example: 4:64+0:0:65495:43690,7:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:65495:43690,7:mss,sok,ts,nop,ws:df,id+:0

label = s:unix:Linux:2.6.39 to 3.x, Android 4
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/workshop_2011_browse.pcap: X11; Linux i686
; capture: seladb/PcapPlusPlus: Tests/Pcap++Test/PcapExamples/example.pcap: X11; Ubuntu; Linux i686; rv:20.0
; capture: zeek/zeek: testing/btest/Traces/http/bro.org.pcap: X11; Linux i686; rv:24.0
; capture: ntop/nDPI: tests/cfgs/default/pcap/webex.pcap: Dalvik/1.6.0 (Linux; U; Android 4.4.2; LG-D855)
; capture: ntop/nDPI: tests/cfgs/default/pcap/KakaoTalk_chat.pcap: Dalvik/1.6.0 (Linux; U; Android 4.4.4; MI 3W)
; source: torvalds/linux: net/ipv4/tcp_output.c: since 2.6.39 the window is that of 10 segments, RFC 6928's first flight
; example: 4:64+0:0:1460:mss*10,4:mss,sok,ts,nop,ws:df,id+:0
; example: 4:64+0:0:1460:mss*10,6:mss,sok,ts,nop,ws:df,id+:0
; example: 4:63+1:0:1400:mss*10,7:mss,sok,ts,nop,ws:df,id+:0
sig = *:64:0:*:mss*10,4:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*10,6:mss,sok,ts,nop,ws:df,id+,flow:0
sig = *:64:0:*:mss*10,7:mss,sok,ts,nop,ws:df,id+,flow:0

label = s:unix:Linux:2.6
; evidence: captures
; capture: zeek/zeek: testing/btest/Traces/wikipedia.pcap: X11; U; Linux x86_64; rv:1.9.2.15
; capture: OISF/suricata-verify: tests/bug-130/input.pcap: X11; U; Linux i686; fr; rv:1.9.0.6
; capture: zeek/zeek: testing/btest/Traces/mixed-vlan-mpls.pcap: Wget/1.10
; source: torvalds/linux: net/ipv4/tcp_output.c: tcp_select_initial_window() of 2.6 offers 4 segments of up to 1460 bytes
; example: 4:64+0:0:1460:mss*4,7:mss,sok,ts,nop,ws:df,id+:0
; example: 4:64+0:0:1460:mss*4,6:mss,sok,ts,nop,ws:df,id+:0
; example: 4:58+6:0:1460:mss*4,2:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:1460:mss*4,2:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:1460:mss*4,6:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:1460:mss*4,7:mss,sok,ts,nop,ws:df,id+:0
; evidence: captures
; capture: arkime/arkime: tests/pcap/v6-http.pcap: Lynx/2.8.6
; capture: seladb/PcapPlusPlus: Tests/Pcap++Test/PcapExamples/one_ipv6_http_stream.pcap: Konqueror/3.5; Linux
; source: torvalds/linux: net/ipv4/tcp_output.c: the same for IPv6, which had no flow labels of its own yet
; example: 6:64+0:0:1440:mss*4,5:mss,sok,ts,nop,ws::0
; example: 6:64+0:0:1420:mss*4,2:mss,sok,ts,nop,ws::0
sig = 6:64:0:1440:mss*4,5:mss,sok,ts,nop,ws::0
sig = 6:64:0:1420:mss*4,2:mss,sok,ts,nop,ws::0
; evidence: captures
; capture: the-tcpdump-group/tcpdump: tests/print-flags.pcap: ELinks/0.10.4 (textmode; Linux 2.6.11-1-686-smp i686)
; source: torvalds/linux: drivers/net/loopback.c: the MTU of lo was 16436, hence the MSS 16396
; example: 4:64+0:0:16396:32767,2:mss,sok,ts,nop,ws:df,id+:0
sig = 4:64:0:16396:32767,2:mss,sok,ts,nop,ws:df,id+:0

label = g:unix:Linux:without timestamps
; evidence: source
; source: torvalds/linux: net/ipv4/tcp_output.c: tcp_options_write() puts two NOP before sok without timestamps
; capture: ntop/nDPI: tests/cfgs/default/pcap/http-lines-split.pcap: uclient-fetch, of OpenWrt
; capture: ntop/nDPI: tests/cfgs/default/pcap/http-manipulated.pcap: X11; Linux x86_64; rv:81.0
; example: 4:64+0:0:1460:mss*44,6:mss,nop,nop,sok,nop,ws:df,id+:0
sig = *:64:0:*:*,*:mss,nop,nop,sok,nop,ws:df,id+,flow:0
; evidence: source
; source: torvalds/linux: net/ipv4/tcp_output.c: the same without window scaling
; example: 4:60+4:0:1460:mss*44,0:mss,nop,nop,sok:df,id+:0
sig = *:64:0:*:*,0:mss,nop,nop,sok:df,id+,flow:0

; ======== BSD

label = s:unix:FreeBSD:11 and newer
; evidence: source
; source: freebsd/freebsd-src: sys/netinet/tcp_output.c: tcp_addoptions() writes mss; nop, ws; sok; ts
; source: freebsd/freebsd-src: sys/netinet/tcp_usrreq.c: tcp_connect() takes the scale that sb_max needs: 2 MB is 6
; source: freebsd/freebsd-src: sys/netinet/ip_id.c: no IP id where DF is set (RFC 6864)
; capture: the-tcpdump-group/tcpdump: tests/accecn_handshake.pcap: curl/7.69.1, asks for AccECN
; example: 4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts:df:0
; example: 6:57+7:0:1440:65535,6:mss,nop,ws,sok,ts:flow:0
; example: 4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts:df,ecn:0
sig = *:64:0:*:65535,6:mss,nop,ws,sok,ts:df,flow:0
sig = *:64:0:*:65535,6:mss,nop,ws,sok,ts:df,ecn,flow:0

label = s:unix:FreeBSD:9 or 10
; evidence: source
; source: freebsd/freebsd-src: sys/netinet/tcp_output.c: tcp_addoptions() writes mss; nop, ws; sok; ts
; source: freebsd/freebsd-src: sys/netinet/ip_output.c: before 11, every packet has an IP id
; example: 4:64+0:0:1460:65535,6:mss,nop,ws,sok,ts:df,id+:0
sig = 4:64:0:*:65535,6:mss,nop,ws,sok,ts:df,id+:0

label = s:unix:OpenBSD:
; evidence: source
; source: openbsd/src: sys/netinet/tcp_output.c: mss; nop, nop, sok; nop, ws; nop, nop, ts
; source: openbsd/src: sys/netinet/tcp_usrreq.c: TCP_RECVSPACE is 16 KB
; capture: zeek/zeek: testing/btest/Traces/tcp/qi_internet_SYNACK_curl_jsonip.pcap: curl (i386-unknown-openbsd5.5)
; example: 4:64+0:0:1460:16384,0:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+:0
; example: 4:64+0:0:1460:16384,6:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+:0
sig = *:64:0:*:16384,*:mss,nop,nop,sok,nop,ws,nop,nop,ts:df,id+,flow:0

label = s:unix:NetBSD:
; evidence: source
; source: NetBSD/src: sys/netinet/tcp_output.c: mss; nop, ws; sok, nop, nop; nop, nop, ts
; source: NetBSD/src: sys/netinet/tcp_usrreq.c: TCP_RECVSPACE is 32 KB
; example: 4:64+0:0:1460:32768,3:mss,nop,ws,sok,nop,nop,nop,nop,ts:df:0
; example: 6:64+0:0:1440:32768,3:mss,nop,ws,sok,nop,nop,nop,nop,ts:flow:0
sig = *:64:0:*:32768,*:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,flow:0
sig = 4:64:0:*:32768,*:mss,nop,ws,sok,nop,nop,nop,nop,ts:df,id+:0

; ======== Small systems: one option, no DF

label = s:other:lwIP:options by default
; evidence: source
; source: lwip-tcpip/lwip: src/include/lwip/opt.h: TCP_WND is 4 * TCP_MSS, TCP_TTL is IP_DEFAULT_TTL: 255; window scaling,
;   timestamps and SACK are off
; source: lwip-tcpip/lwip: src/core/tcp_out.c: then a SYN has the MSS alone
; example: 4:255+0:0:536:mss*4,0:mss::0
; example: 4:250+5:0:1460:mss*4,0:mss::0
; example: 6:255+0:0:1440:mss*4,0:mss::0
sig = *:255:0:*:mss*4,0:mss::0

; uIP and what was made of it (Contiki). Others that offer one segment look the same.
label = g:other:uIP:or another of one segment
; evidence: source
; source: adamdunkels/uip: uip/uip.c: a SYN has the MSS alone, the TTL UIP_TTL (64) and no DF
; source: adamdunkels/uip: uip/uipopt.h: UIP_RECEIVE_WINDOW is UIP_TCP_MSS
; example: 4:64+0:0:1446:mss*1,0:mss::0
; example: 4:60+4:0:360:mss*1,0:mss::0
sig = 4:64:0:*:mss*1,0:mss::0

; ======== Tools

label = s:!:zmap:with TCP options
sys = @unix
; evidence: source
; source: zmap/zmap: src/probe_modules/packet.c: TTL 255, no DF, IP id 54321, window 65535
; source: github.com/zmap/zmap/pull/855: the options are those of Windows by default; smallest-probes has the MSS alone
; example: 4:240+15:0:1460:65535,8:mss,nop,ws,nop,nop,sok::0
; example: 4:240+15:0:1460:65535,0:mss::0
sig = 4:255:0:1460:65535,8:mss,nop,ws,nop,nop,sok::0
sig = 4:255:0:1460:65535,0:mss::0

label = s:!:masscan:with an MSS
sys = @unix,@win
; evidence: source
; source: robertdavidgraham/masscan: src/templ-pkt.c: default_tcp_template has TTL 255, the window 04 01 and the MSS 1460
; example: 4:243+12:0:1460:1025,0:mss::0
sig = 4:255:0:1460:1025,0:mss::0


label = s:!:Scapy:fields by default
sys = @unix,@win
; evidence: source
; source: secdev/scapy: scapy/layers/inet.py: TCP has a window of 8192 and no options, IP a TTL of 64 and no DF
; capture: zeek/zeek: testing/btest/Traces/tcp/payload-syn.pcap: made by hand, with data
; example: 4:64+0:0:0:8192,0:::0
; example: 6:64+0:0:0:8192,0:::0
; example: 4:64+0:0:0:8192,0:::+
sig = *:64:0:0:8192,0:::*
