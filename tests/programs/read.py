#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfp read as users run it: link types, file formats, damage, pipes. Usage: read.py SYNFP DATA_DIRECTORY [unittest
arguments]. No privileges."""
import datetime
import json
import os
import pty
import resource
import select
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SYNFP, DATA = sys.argv.pop(1), sys.argv.pop(1)
ETHERNET, NULL, LOOP, RAW, SLL, SLL2, IPV4, IPV6, PPP, HDLC, USB = 1, 0, 108, 101, 113, 276, 228, 229, 9, 104, 189
with open(os.path.join(DATA, "syn.json")) as syns:
    VECTORS = json.load(syns)
PACKETS = [bytes.fromhex(v["packet_hex"]) for v in VECTORS]
V4 = next(p for p in PACKETS if p[0] >> 4 == 4)
V6 = next(p for p in PACKETS if p[0] >> 4 == 6)
MISSING_JA4T = subprocess.run([SYNFP, "read", "--format", "ja4t", os.path.join(DATA, "linux618.pcap")],
                              capture_output=True).returncode != 0
# Captures of one SYN each whose options are malformed, and what the tools say.
MALFORMED = {"muonfp_truncated_ts": ("muonfp", "0:2-4-8:1460:"), "muonfp_len0": ("muonfp", "64240:2-254:1460:"),
             "haproxy_mss_len6": ("haproxy", "005070faf005b405"), "haproxy_ws_len4": ("haproxy", "005078faf005b403"),
             "ja4t_data_behind_eol": ("ja4t", "64240_2-0_1460_00")}


def ethertype(packet):
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def ethernet(packet, tags=b""):
    return bytes(12) + tags + ethertype(packet) + packet


def port(packet):
    offset = 40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4
    return struct.unpack("!H", packet[offset + 2:offset + 4])[0]


def to_port(packet, number):
    offset = 40 if packet[0] >> 4 == 6 else (packet[0] & 15) * 4
    return packet[:offset + 2] + struct.pack("!H", number) + packet[offset + 4:]


def pcap(frames, link=ETHERNET, order="<", nano=False, snaplen=65535, cut=None):
    out = struct.pack(order + "IHHiIII", 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snaplen, link)
    for i, frame in enumerate(frames):
        kept = frame[:cut]
        out += struct.pack(order + "IIII", 1_700_000_000 + i, 5000 + i, len(kept), len(frame)) + kept
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def pcapng(frames, links=(ETHERNET,), order="<", snaplens=None):
    """Frames are (interface, bytes) or bytes."""
    out = block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    for i, link in enumerate(links):
        nanoseconds = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
        out += block(order, 1, struct.pack(order + "HHI", link, 0, snaplens[i] if snaplens else 0) + nanoseconds)
    for i, frame in enumerate(frames):
        interface, data = frame if isinstance(frame, tuple) else (0, frame)
        stamp = (1_700_000_000 + i) * 10**9 + 5000 + i
        out += block(order, 6, struct.pack(order + "IIIII", interface, stamp >> 32, stamp & 0xffffffff, len(data), len(data)) +
                     data)
    return out


def read(data, *options, status=0):
    """(lines, stderr) of what `synfp read -` makes of these bytes."""
    done = subprocess.run([SYNFP, "read", "-", *options], input=data, capture_output=True, timeout=60)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stdout.decode().splitlines(), done.stderr.decode()


def read_json(data, **how):
    lines, errors = read(data, "--format", "json", **how)
    return [json.loads(line) for line in lines], errors


class Formats(unittest.TestCase):
    def test_all_vectors_in_every_format(self):
        data = pcap([ethernet(p) for p in PACKETS])
        answers, errors = read_json(data)
        self.assertEqual((len(answers), errors), (84, ""))
        for number, (answer, packet, vector) in enumerate(zip(answers, PACKETS, VECTORS), 1):
            self.assertEqual(list(answer), ["frame", "time", "peer", "local", "syn", "fingerprint", "os", "hello", "no_hello"])
            self.assertIsNone(answer["hello"])
            if not answer["syn"]["tcp"]["payload"]:
                self.assertEqual(answer["no_hello"], "no data")
            self.assertEqual(answer["frame"], number)
            self.assertEqual(answer["fingerprint"]["p0f"], vector["p0f_raw_sig"])
            self.assertEqual(answer["fingerprint"]["haproxy"], vector["haproxy_ip_fp"])
            self.assertTrue(packet.hex().startswith(answer["syn"]["raw"]))
            self.assertEqual(answer["local"]["port"], port(packet))
        for name in ("p0f", "muonfp", "haproxy", "satori", "ndpi", "pfos"):
            lines, _ = read(data, "--format", name)
            self.assertEqual(lines, [a["fingerprint"][name] or "-" for a in answers], name)
        rows, _ = read(data)
        self.assertEqual(rows, read(data, "--format", "table")[0])
        self.assertEqual(len(rows), 84)
        for row, answer in zip(rows, answers):
            cells = row.split()
            self.assertRegex(cells[0], r"^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}$")
            self.assertIn(answer["peer"]["address"], cells[1])
            self.assertIn(answer["local"]["address"], cells[2])
            self.assertEqual(cells[3:6], ["-" if v is None else str(v) for v in (answer["syn"]["ip"]["ttl"], answer["syn"]["tcp"]["mss"],
                                                           answer["syn"]["tcp"]["window"])])
            os_ = answer["os"]
            title = f"{os_['name']} {os_['flavor']}".strip() if os_["label"] else "-"
            self.assertEqual(" ".join(cells[6:]), title + " (fuzzy)" * (os_["match"] == "fuzzy"))

    def test_malformed_options_as_the_tools_read_them(self):
        for name, (format_, answer) in MALFORMED.items():
            if format_ == "ja4t" and MISSING_JA4T:
                continue
            with self.subTest(name), open(os.path.join(DATA, "options", name + ".pcap"), "rb") as file:
                self.assertEqual(read(file.read(), "--format", format_), ([answer], ""))

    def test_ja4t_only_where_it_was_built_in(self):
        # What the build was configured with; a program that is tested by hand may have it or not.
        self.assertIn(os.environ.get("SYNFP_JA4T"), (None, "0" if MISSING_JA4T else "1"))
        data = pcap([ethernet(p) for p in PACKETS])
        if MISSING_JA4T:
            lines, errors = read(data, "--format", "ja4t", status=2)
            self.assertEqual(lines, [])
            self.assertIn("FoxIO License", errors)
            self.assertIn("-DSYNFP_JA4T=ON", errors)
            self.assertNotIn("ja4t", read(data, "--format", "unknown", status=2)[1])
        else:
            self.assertEqual(read(data, "--format", "ja4t")[0], [v["ja4t"] for v in VECTORS])

    def test_a_format_without_an_answer_prints_a_dash(self):
        self.assertEqual(read(pcap([ethernet(V6)] * 2), "--format", "satori")[0], ["-", "-"])
        extended = V6[:6] + b"\0" + V6[7:40] + b"\6" + bytes(7) + V6[40:]
        extended = extended[:4] + struct.pack("!H", len(extended) - 40) + extended[6:]
        self.assertEqual(read(pcap([ethernet(extended)]), "--format", "p0f")[0], ["-"])
        self.assertTrue(read(pcap([ethernet(extended)]))[0][0].endswith(" -"))

    def test_the_table_has_a_head_on_a_terminal_only(self):
        ours, theirs = pty.openpty()
        with tempfile.NamedTemporaryFile() as file:
            file.write(pcap([ethernet(V4)]))
            file.flush()
            subprocess.run([SYNFP, "read", file.name], stdout=theirs, check=True, timeout=60)
        os.close(theirs)
        text = os.read(ours, 65536).decode().replace("\r\n", "\n").splitlines()
        os.close(ours)
        self.assertEqual(text[0].split(), ["TIME", "PEER", "LOCAL", "TTL", "MSS", "WIN", "OS", "HELLO"])
        self.assertEqual(text[0].index("OS"), text[1].index("Linux"))
        self.assertEqual(text[0].index("TTL") + 3, text[1].index(" 64 ") + 3)
        self.assertEqual(len(text), 2)

    def test_the_table_has_the_time_of_day_of_the_local_zone(self):
        data = pcap([ethernet(V4)])
        for zone in ("UTC", "Asia/Kolkata", "UTC+3:30"):
            done = subprocess.run([SYNFP, "read", "-"], input=data, capture_output=True, env={**os.environ, "TZ": zone})
            expected = subprocess.run(["date", "-d", "@1700000000", "+%H:%M:%S.005"], capture_output=True, text=True,
                                      env={**os.environ, "TZ": zone}, check=True).stdout.strip()
            self.assertEqual(done.stdout.decode().split()[0], expected, zone)
        self.assertEqual(datetime.datetime.fromtimestamp(1700000000, datetime.timezone.utc).hour, 22)
        none = bytearray(data)
        none[28:32] = b"\xff\xff\xff\x7f"
        self.assertTrue(read(bytes(none))[0][0].startswith("-            "))

    def test_the_table_has_at_most_120_columns(self):
        """Addresses and names of systems as long as they get; columns stay in line."""
        long_v6 = V6[:8] + bytes.fromhex("20010db8a18d4e005d4c1b2a9f3e7c11" "20010db8a18d4e005d4c1b2a9f3e7c22") + V6[40:]
        short_v6 = V6[:8] + bytes.fromhex("20010db8000000000000000000000001") * 2 + V6[40:]
        with tempfile.NamedTemporaryFile("w", suffix=".fp") as names:
            names.write("classes = unix\n[tcp:request]\nlabel = s:unix:" + "Long" * 30 + ":name\n"
                        "sig = *:64:0:*:*,*:mss,sok,ts,nop,ws::0\nlabel = s:unix:" + "Fuzzy" * 30 + ":x\n"
                        "sig = *:60:0:*:*,*:mss,sok,ts,nop,ws:id+:0\n")
            names.flush()
            foreign = V4[:4] + b"\0\0" + b"\0" + V4[7:8] + b"\x3c" + V4[9:]
            for syns in ([V4, long_v6], [long_v6, V4, short_v6, foreign]):
                rows, _ = read(pcap([ethernet(p) for p in syns]), "--p0f-db", names.name)
                self.assertLessEqual(max(map(len, rows)), 120, rows)
                self.assertGreaterEqual(max(map(len, rows)), 80)
                starts = {row.index("  64  ") if "  64  " in row else row.index("  60  ") for row in rows[-3:]}
                self.assertEqual(len(starts), 1 if len(syns) == 4 else 2)
            port = struct.unpack("!H", V6[40:42])[0]
            cell = next(row for row in rows if "2001:db8.." in row).split()[1]
            self.assertTrue(cell.startswith("[2001:db8") and cell.endswith(f"7c11]:{port}"), cell)
            self.assertLessEqual(len(cell), 27)

    def test_json_of_many_is_in_order(self):
        """More than one batch, which several threads share."""
        frames = [ethernet(to_port(PACKETS[i % len(PACKETS)], 1 + i % 60000)) for i in range(9000)]
        answers, _ = read_json(pcap(frames))
        self.assertEqual([a["frame"] for a in answers], list(range(1, 9001)))
        self.assertEqual([a["local"]["port"] for a in answers], [1 + i % 60000 for i in range(9000)])
        one_processor = subprocess.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), SYNFP, "read", "-", "--format",
                                        "json"], input=pcap(frames), capture_output=True, check=True)
        self.assertEqual([json.loads(line) for line in one_processor.stdout.splitlines()], answers)

    def test_json_without_threads(self):
        """Where no thread can be started (here: no room for its stack), one does all."""
        def limit():
            resource.setrlimit(resource.RLIMIT_STACK, (4 << 30, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

        done = subprocess.run([SYNFP, "read", "-", "--format", "json"], input=pcap([ethernet(V4)] * 9000), capture_output=True,
                              preexec_fn=limit)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([json.loads(line)["frame"] for line in done.stdout.splitlines()], list(range(1, 9001)))

    def test_count(self):
        data = pcap([ethernet(p) for p in (V4, V6, V4, V6)])
        for n in (1, 3, 4, 9):
            for form in ("json", "p0f", "table"):
                lines, errors = read(data, "--count", str(n), "--format", form)
                self.assertEqual((len(lines), errors), (min(n, 4), ""))
        self.assertEqual(len(read(data[:-1], "--count", "3")[0]), 3)  # the damage behind it is not reached
        self.assertEqual([json.loads(line)["frame"] for line in read(data, "--count", "2", "ip6", "--format", "json")[0]],
                         [2, 4])
        for wrong in ("0", "-1", "x"):
            self.assertIn("--count", read(b"", "--count", wrong, status=2)[1])

    def test_filter_expressions(self):
        frames = [ethernet(to_port(p, n)) for n in (80, 443) for p in (V4, V6)]
        address = ".".join(map(str, V4[12:16]))

        def frames_of(*words, data=pcap(frames)):
            lines, errors = read(data, "--format", "json", *words)
            self.assertEqual(errors, "")
            return [json.loads(line)["frame"] for line in lines]

        for data in (pcap(frames), pcapng(frames)):
            self.assertEqual(frames_of(f"host {address}", data=data), [1, 3])
            self.assertEqual(frames_of("host", address, "and", "port", "443", data=data), [3])
            self.assertEqual(frames_of("ip6 and not port 80", "--filter-port", "443", data=data), [4])
            self.assertEqual(frames_of("--filter-port", "443", "ip6 or ip", data=data), [3, 4])
            self.assertEqual(frames_of("udp", data=data), [])
            self.assertEqual(frames_of("", data=data), [1, 2, 3, 4])
        # The frame as it is in the file, as with tcpdump; each link type has its own program.
        mixed = pcapng([(0, ethernet(V4)), (1, V4), (1, V6)], (ETHERNET, RAW))
        self.assertEqual(frames_of("ip", data=mixed), [1, 2])
        for data in (pcap(frames), pcapng(frames)):
            lines, errors = read(data, "hots 1.2.3.4", status=2)
            self.assertEqual(lines, [])
            self.assertRegex(errors, r"^synfp: the filter 'hots 1.2.3.4' cannot be used on .* EN10MB \(1\): ")
        self.assertIn("cannot be used on frames of the link type RAW", read(pcap([V4], RAW), "wlan type data", status=2)[1])

    def test_filter_port(self):
        frames = [ethernet(to_port(p, n)) for n in (80, 443, 8080) for p in (V4, V6)]

        def frames_of(*options):
            return [json.loads(line)["frame"] for line in read(pcap(frames), "--format", "json", *options)[0]]

        self.assertEqual(frames_of(), [1, 2, 3, 4, 5, 6])
        self.assertEqual(frames_of("--filter-port", "443"), [3, 4])
        self.assertEqual(frames_of("--filter-port", "8080", "--filter-port", "80"), [1, 2, 5, 6])
        self.assertEqual(frames_of("--filter-port", "1"), [])
        for wrong in ("0", "65536", "http", "-1"):
            _, errors = read(b"", "--filter-port", wrong, status=2)
            self.assertIn("--filter-port", errors)


class Links(unittest.TestCase):
    def check(self, link, frames, signature):
        """All hold the same SYN."""
        for data in (pcap(frames, link), pcapng(frames, (link,))):
            self.assertEqual(read(data, "--format", "p0f"), ([signature] * len(frames), ""), link)

    def test_each(self):
        expected = {p: v["p0f_raw_sig"] for p, v in zip(PACKETS, VECTORS)}
        for packet in (V4, V6):
            v6 = packet[0] >> 4 == 6
            kind = ethertype(packet)
            families = (10, 23, 24, 28, 30) if v6 else (2,)
            for link, frames in (
                (ETHERNET, [ethernet(packet), ethernet(packet, b"\x81\0\0\5"), ethernet(packet, b"\x91\0\0\5\x81\0\0\6"),
                            ethernet(packet, b"\x88\xa8\0\5\x81\0\0\6")]),
                (RAW, [packet]), (IPV6 if v6 else IPV4, [packet]),
                (NULL, [struct.pack(o + "I", f) + packet for f in families for o in "<>"]),
                (LOOP, [struct.pack(">I", f) + packet for f in families]),
                (SLL, [bytes(14) + kind + packet, bytes(14) + b"\x81\0\0\5" + kind + packet]),
                (SLL2, [kind + bytes(18) + packet, b"\x81\0" + bytes(18) + b"\0\5" + kind + packet])):
                self.check(link, frames, expected[packet])

    def test_others_are_refused_by_name(self):
        """With nothing that does not work: tcprewrite knows none of them."""
        _, errors = read(pcap([], 10), status=2)
        self.assertIn("its frames (link type FDDI (10)) are not read, only those of Ethernet, raw IP,", errors)
        self.assertNotIn("tcprewrite", errors)
        self.assertIn("(147)", read(pcap([], 147), status=2)[1])
        _, errors = read(pcapng([(0, b"x"), (1, b"y")], (USB, 147)), status=2)
        self.assertIn("its frames (1 link type unknown (147), 1 link type USB_LINUX (189)) are not read", errors)

    def test_given_files(self):
        """(signature of each SYN, what stderr says behind the name)"""
        linux = "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"
        for name, lines, errors in (
            ("enc_pppoe_v4.pcap", [linux], ""), ("enc_mpls_1.pcap", [linux], ""), ("enc_snap.pcap", [linux], ""),
            ("enc_gre.pcap", [], "1 of 1 frames not read: 1 GRE"), ("enc_vxlan.pcap", [], "1 of 1 frames not read: 1 VXLAN"),
            ("link_ppp_9.pcap", [linux], ""), ("link_chdlc_104.pcap", [linux], ""), ("link_radiotap_127.pcap", [linux], ""),
            ("ng_snap_differs.pcapng", [linux, linux], ""), ("ng_link_differs_unused.pcapng", [linux], "")):
            path = os.path.join(DATA, "cases", name)
            done = subprocess.run([SYNFP, "read", path, "--format", "p0f"], capture_output=True, text=True)
            said = f"synfp: {path}: {errors}\n" if errors else ""
            self.assertEqual((done.returncode, done.stdout.splitlines(), done.stderr), (0, lines, said), name)

    def test_an_atomic_fragment_is_a_whole_packet(self):
        path = os.path.join(DATA, "cases", "v6_atomic_fragment.pcap")
        with open(path, "rb") as file:
            (answer,), errors = read_json(file.read())
        self.assertEqual(errors, "")
        self.assertEqual(answer["fingerprint"]["muonfp"], "64240:2-4-8-1-3:1460:7")
        self.assertEqual(answer["fingerprint"]["haproxy"], "00d8a8faf005b447")
        self.assertIsNone(answer["fingerprint"]["p0f"])

    def test_encapsulations_are_counted_by_kind(self):
        def ipv4(protocol):
            return ethernet(V4[:9] + bytes([protocol]) + V4[10:])

        frames = [ipv4(47)] * 3 + [ipv4(4), ipv4(99), ethernet(V4), bytes(12) + b"\x88\xe7" + bytes(60)]
        frames += [bytes(12) + b"\x08\x06" + bytes(46), bytes(12) + b"\x88\xcc" + bytes(46)]  # ARP and LLDP hold none
        frames += [bytes(12) + b"\x12\x34" + bytes(46)] * 2
        lines, errors = read(pcap(frames))
        self.assertEqual(len(lines), 1)
        self.assertEqual(errors, "synfp: stdin: 8 of 11 frames not read: 3 GRE, 2 ethertype 0x1234, 1 IP protocol 99, "
                                 "1 IPv4 in IP, 1 PBB\n")
        many = [bytes(12) + struct.pack("!H", 0xa000 + i) + bytes(46) for i in range(30)]
        errors = read(pcap(many))[1]
        self.assertTrue(errors.endswith("1 ethertype 0xa009, 20 others\n"), errors)
        self.assertEqual(read(pcap(frames[7:9])), ([], ""))


class Files(unittest.TestCase):
    def test_byte_orders_and_resolutions(self):
        frames = [ethernet(V4), ethernet(V6)]
        texts = set()
        for order in "<>":
            lines, _ = read(pcap(frames, order=order), "--format", "json")
            self.assertIn('"time":1700000001.005001000,', lines[1])
            for data in (pcap(frames, order=order, nano=True), pcapng(frames, order=order)):
                lines, _ = read(data, "--format", "json")
                self.assertIn('"time":1700000000.000005000,', lines[0])
                self.assertIn('"time":1700000001.000005001,', lines[1])
                texts.add("\n".join(lines))
        self.assertEqual(len(texts), 1)

    def test_a_time_that_is_none_is_null(self):
        data = bytearray(pcap([ethernet(V4)]))
        data[28:32] = b"\xff\xff\xff\x7f"
        self.assertIsNone(read_json(bytes(data))[0][0]["time"])

    def test_interfaces_of_one_link_type(self):
        answers, _ = read_json(pcapng([(0, ethernet(V4)), (1, ethernet(V6)), (0, ethernet(V4))], (ETHERNET, ETHERNET)))
        self.assertEqual([a["syn"]["ip"]["version"] for a in answers], [4, 6, 4])

    def test_what_mergecap_writes(self):
        """An interface for each input, with link type and snaplen of its own; some without packets."""
        answers, errors = read_json(
            pcapng([(1, V4), (0, ethernet(V6)), (3, b"usb"), (4, b"\xff\3\0\x21" + V4), (5, b"\x0f\0\x86\xdd" + V6)],
                   (ETHERNET, RAW, SLL, USB, PPP, HDLC), snaplens=(262144, 65535, 96, 0, 1500, 65535)))
        self.assertEqual([a["frame"] for a in answers], [1, 2, 4, 5])
        self.assertEqual([a["syn"]["ip"]["version"] for a in answers], [4, 6, 4, 6])
        self.assertEqual(errors, "synfp: stdin: 1 of 5 frames not read: 1 link type USB_LINUX (189)\n")

    def test_sections_differ_in_byte_order_and_interfaces(self):
        data = b"".join(pcapng([packet if link == RAW else ethernet(packet)], (link,), order)
                        for order in "<>" for link in (ETHERNET, RAW) for packet in (V4, V6))
        answers, errors = read_json(data)
        self.assertEqual(errors, "")
        self.assertEqual([a["syn"]["ip"]["version"] for a in answers], [4, 6] * 4)
        self.assertEqual({a["time"] for a in answers}, {1700000000.000005})

    def test_a_file_and_stdin_say_the_same(self):
        path = os.path.join(DATA, "linux618.pcap")
        by_name = subprocess.run([SYNFP, "read", path, "--format", "json"], capture_output=True, check=True)
        with open(path, "rb") as file:
            self.assertEqual(by_name.stdout.decode().splitlines(), read(file.read(), "--format", "json")[0])

    def test_what_is_no_capture(self):
        _, errors = read(b"", status=2)
        self.assertIn("stdin: no pcap or pcapng file", errors)
        _, errors = read(b"GET / HTTP/1.1\r\n" * 9, status=2)
        self.assertIn("no pcap or pcapng file", errors)
        _, errors = read(b"\x1f\x8b\x08\x00" + bytes(60), status=2)
        self.assertIn("zcat", errors)
        for path, why in (("/nowhere/x.pcap", "No such file"), ("/", "Is a directory")):
            done = subprocess.run([SYNFP, "read", path], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(why, done.stderr)

    def test_cut_at_every_byte(self):
        """What is whole before the cut is printed, and only a cut between two frames goes unnoticed."""
        frames = [ethernet(V4), ethernet(V6), ethernet(V4)]
        for make in (pcap, pcapng):
            ends = [len(make(frames[:n])) for n in range(len(frames) + 1)]
            whole = make(frames)
            for size in range(len(whole) + 1):
                done = subprocess.run([SYNFP, "read", "-", "--format", "p0f"], input=whole[:size], capture_output=True,
                                      timeout=60)
                lines = done.stdout.decode().splitlines()
                complete = max((n for n, end in enumerate(ends) if end <= size), default=None)
                with self.subTest(make=make.__name__, size=size):
                    self.assertEqual(len(lines), complete or 0)
                    if size in ends or (make is pcapng and size == 28):  # a section without interfaces
                        self.assertEqual((done.returncode, done.stderr), (0, b""))
                    elif complete is None:
                        self.assertEqual(done.returncode, 2)
                        self.assertIn(b"synfp: stdin: ", done.stderr)
                    else:
                        self.assertEqual(done.returncode, 1)
                        self.assertIn(b"damaged at frame %d: " % (complete + 1), done.stderr)

    def test_damage_in_the_middle(self):
        data = bytearray(pcap([ethernet(V4)] * 3))
        second = 24 + 16 + len(ethernet(V4))
        data[second + 8:second + 12] = b"\xff\xff\xff\x7f"
        lines, errors = read(bytes(data), status=1)
        self.assertEqual(len(lines), 1)
        self.assertIn("damaged at frame 2: ", errors)

    def test_what_the_capture_cut_is_counted(self):
        frames = [ethernet(V4), ethernet(V6), bytes(12) + b"\x08\x06" + bytes(46)]
        lines, errors = read(pcap(frames, cut=14 + 60))
        self.assertEqual(len(lines), 1)
        self.assertEqual(errors, "synfp: stdin: 1 of 3 frames refused: 1 cut short by the capture\n")
        lines, errors = read(pcap(frames[:2] + [ethernet(V4)], cut=1))
        self.assertEqual(errors, "synfp: stdin: 3 of 3 frames refused: 3 cut short by the capture\n")

    def test_refused_frames_are_counted_by_reason(self):
        fragment = bytearray(V4)
        fragment[6] |= 0x20
        fin = bytearray(V4)
        fin[33] |= 1
        lines, errors = read(pcap([ethernet(p) for p in (V4, bytes(fragment), bytes(fin), bytes(fin))]))
        self.assertEqual(len(lines), 1)
        self.assertEqual(errors, "synfp: stdin: 3 of 4 frames refused: 1 fragment, 2 SYN with FIN or RST\n")


class Proposals(unittest.TestCase):
    """--propose: SYNs that nobody names, and what their connections said."""

    @staticmethod
    def tcp(client, flags, sequence, data=b"", window=1234, mss=1400, server=99):
        options = b"\1\1\2\4" + struct.pack("!H", mss) + b"\3\3\3\1\1\1" if flags & 2 else b""
        tcp = struct.pack("!HHIIBBHHH", 40000, 80, sequence % 2**32, 0, (20 + len(options)) << 2, flags, window, 0, 0)
        tcp += options + data
        addresses = bytes((192, 0, 2 + client // 250, 1 + client % 250, 198, 51, 100, server))
        return ethernet(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 57, 6, 0) + addresses + tcp)

    def said(self, *connections, first=1000):
        """What an entry says of connections, each a list of (offset, bytes)."""
        frames = [self.tcp(i, 2, first) for i in range(len(connections))]
        for i, segments in enumerate(connections):
            frames += [self.tcp(i, 0x18, first + 1 + offset, data) for offset, data in segments]
        lines, errors = read(pcap(frames), "--propose")
        self.assertEqual(errors, f"synfp: stdin: {len(connections)} of {len(connections)} SYNs have no name\n")
        self.assertEqual(sum(line.startswith("label = ") for line in lines), 1)
        return [line[4:] for line in lines if line.startswith(";   ")]

    def test_an_entry(self):
        request = b"GET / HTTP/1.1\r\nHost: 203.0.113.9\r\nuser-AGENT: Thing/2 (Fridge; IP 192.0.2.1; me@example.org) x\r\n\r\n"
        frames = [ethernet(V4), self.tcp(1, 2, 1000), self.tcp(2, 2, 1000), self.tcp(2, 2, 1000),
                  self.tcp(1, 0x18, 1001, request), self.tcp(2, 0x18, 1001, b"\x16\x03\x01\x02\x00"), self.tcp(3, 2, 5)]
        lines, errors = read(pcap(frames), "--propose")
        self.assertEqual(errors, "synfp: stdin: 3 of 4 SYNs have no name\n")
        self.assertEqual(lines, ["label = s:CLASS:NAME:FLAVOUR", "; 3 SYNs, whose connections said:",
                                 ';   1 "Thing/2 (Fridge; IP ...; ...)"', ";   1 TLS", ";   1 nothing", "; evidence: captures",
                                 "; capture: OWNER/REPOSITORY: FILE: WHAT IT SAYS",
                                 "; example: 4:57+7:0:1400:1234,3:nop,nop,mss,ws,nop,nop,nop:df,id+:0",
                                 "sig = 4:64:0:1400:1234,3:nop,nop,mss,ws,nop,nop,nop:df,id+:0", ""])
        # As an entry of a database, completed, it names them.
        with tempfile.NamedTemporaryFile("w", suffix=".fp") as mine:
            mine.write("classes = other\n[tcp:request]\n" + "\n".join(lines).replace("CLASS:NAME:FLAVOUR", "other:Fridge:2"))
            mine.flush()
            self.assertEqual(read(pcap(frames), "--propose", "--p0f-db", mine.name),
                             ([], "synfp: stdin: 0 of 5 SYNs have no name\n"))  # who is named is not followed
            self.assertIn("Fridge 2", read(pcap(frames[1:2]), "--p0f-db", mine.name)[0][0])

    def test_what_was_said(self):
        agent = b"POST /x HTTP/1.0\r\nUser-Agent:  A (B)\r\n\r\n"
        whole = {'1 "A (B)"'}
        for first in (1000, 2**32 - 1, 2**32 - 20):  # sequence numbers go round
            with self.subTest(first):
                self.assertEqual(set(self.said([(0, agent)], first=first)), whole)
                self.assertEqual(set(self.said([(i, agent[i:i + 1]) for i in range(len(agent))], first=first)), whole)
                self.assertEqual(set(self.said([(0, agent[:20]), (0, agent[:20]), (10, agent[10:])], first=first)), whole)
                self.assertEqual(set(self.said([(20, agent[20:]), (0, agent[:20])], first=first)), whole)
        # What was lost is not guessed.
        self.assertEqual(self.said([(0, agent[:10]), (11, agent[11:])]), ["1 no HTTP in clear text"])
        self.assertEqual(self.said([(5, agent[5:])]), ["1 nothing"])
        self.assertEqual(self.said([(0, b"GET / HTTP/1.1\r\n\r\n")]), ["1 HTTP without a User-Agent"])
        self.assertEqual(self.said([(0, b"SSH-2.0-x\r\n\r\n")]), ["1 no HTTP in clear text"])
        late = b"GET / HTTP/1.1\r\nX: " + b"x" * 2048 + b"\r\nUser-Agent: A\r\n\r\n"
        self.assertEqual(self.said([(0, late)]), ["1 HTTP without a User-Agent"])
        self.assertEqual(self.said([(0, b"GET / HTTP/1.1\r\nUser-Agent: \x1b[1m\"(\x80\r\n\r\n")]), ['1 "?[1m?(?"'])
        self.assertEqual(self.said(*[[(0, agent)]] * 3, []), ['3 "A (B)"', "1 nothing"])

    def test_a_hello(self):
        """Of a ClientHello what --format ja4 says, and no name of a server."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="secret.example")
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        parts = [(100, hello[100:]), (0, hello[:100])]
        ja4, = read(pcap([self.tcp(0, 2, 1000)] + [self.tcp(0, 0x18, 1001 + at, data) for at, data in parts]), "--format", "ja4")[0]
        self.assertRegex(ja4, "^t1[23]d")
        self.assertEqual(self.said(parts), [f"1 TLS, JA4 {ja4}"])
        self.assertEqual(self.said([(0, hello[:-1])]), ["1 TLS"])
        self.assertEqual(self.said([(0, hello[:9] + bytes(len(hello) - 9))]), ["1 TLS"])

    def test_no_address_of_any_form(self):
        for text in ("10.1.2.3", "v10.1.2.3:80", "[2001:db8::1]", "fe80::1", "::ffff:1.2.3.4", "a@b"):
            said, = self.said([(0, b"GET / HTTP/1.1\r\nUser-Agent: A/1 (" + text.encode() + b"; B)\r\n\r\n")])
            self.assertRegex(said, r'^1 "A/1 \(\[?\.\.\.\]?; B\)"$', text)

    def test_the_mss_is_open_if_it_varied(self):
        lines, _ = read(pcap([self.tcp(1, 2, 1, mss=1400), self.tcp(2, 2, 1, mss=1300)]), "--propose")
        self.assertIn("sig = 4:64:0:*:1234,3:nop,nop,mss,ws,nop,nop,nop:df,id+:0", lines)

    def test_bounds(self):
        """More signatures, connections, texts and bytes than it remembers."""
        lines, errors = read(pcap([self.tcp(i % 250, 2, i, window=10000 + i) for i in range(5000)]), "--propose")
        self.assertEqual(sum(line.startswith("sig = ") for line in lines), 4096)
        # Two windows that are multiples of two possible MSS are one signature.
        self.assertRegex(errors, "^synfp: stdin: 5000 of 5000 SYNs have no name; (8[89]|90)[0-9] of them are in no entry\n$")
        agents = [(0, b"GET / HTTP/1.1\r\nUser-Agent: %d\r\n\r\n")]
        said = self.said(*[[(0, agents[0][1] % i)] for i in range(20)])
        self.assertEqual((len(said), said[-1]), (17, "4 more"))
        # The oldest connections end when there are too many: nothing that they say later counts.
        agent = b"GET / HTTP/1.1\r\nUser-Agent: A\r\n\r\n"
        frames = [self.tcp(i, 2, 1) for i in range(9000)]
        frames += [self.tcp(i, 0x18, 2, agent) for i in range(9000)]
        lines, _ = read(pcap(frames), "--propose")
        self.assertEqual([line for line in lines if line.startswith(";   ")], [';   8192 "A"', ";   808 nothing"])

    def test_every_vector_and_cut_frames(self):
        whole, _ = read(pcap([ethernet(p) for p in PACKETS]), "--propose")
        self.assertGreater(len(whole), 10)
        request = self.tcp(1, 0x18, 1001, b"GET / HTTP/1.1\r\nUser-Agent: A (B)\r\n\r\n")
        for cut in range(14, len(request)):
            lines, _ = read(pcap([self.tcp(1, 2, 1000)]) + pcap([request], cut=cut)[24:], "--propose")
            self.assertEqual(lines[0], "label = s:CLASS:NAME:FLAVOUR")

    def test_it_is_no_format(self):
        for other in (("--format", "json"), ("--count", "1")):
            self.assertIn("excludes", read(pcap([ethernet(V4)]), "--propose", *other, status=2)[1])


class Pipes(unittest.TestCase):
    def test_a_reader_that_leaves(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(pcap([ethernet(V4)] * 5000))
            file.flush()
            process = subprocess.Popen([SYNFP, "read", file.name, "--format", "json"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            self.assertTrue(process.stdout.readline())
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(timeout=60), 1)
            process.stderr.close()

    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([SYNFP, "read", os.path.join(DATA, "linux618.pcap")], stdout=full,
                                  stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)

    def test_a_closed_stdout(self):
        done = subprocess.run(["sh", "-c", '"$0" read "$1" >&-', SYNFP, os.path.join(DATA, "linux618.pcap")],
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)

    def test_lines_come_while_the_writer_goes_on(self):
        with subprocess.Popen([SYNFP, "read", "-", "--format", "p0f"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            data = pcap([ethernet(V4)] * 2)
            half = len(data) - 16 - len(ethernet(V4))
            os.write(process.stdin.fileno(), data[:half])
            self.assertTrue(process.stdout.readline().startswith(b"4:"))
            os.write(process.stdin.fileno(), data[half:])
            self.assertTrue(process.stdout.readline().startswith(b"4:"))
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), 0)

    def progress(self, data, *options, draws=2):
        """What comes to a terminal as stderr, and after how many bytes, while data is read until something was drawn so
        often; 0: of 32 MiB."""
        ours, theirs = pty.openpty()
        text, written = b"", 0
        with subprocess.Popen([SYNFP, "read", "-", *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=theirs) as process:
            os.close(theirs)
            process.stdin.write(data[:24])
            deadline = time.monotonic() + 120
            while text.count(b"\rsynfp: ") < draws if draws else written < 32 << 20:
                self.assertLess(time.monotonic(), deadline)
                process.stdin.write(data[24:])
                written += len(data) - 24
                if select.select([ours], [], [], 0)[0]:
                    text += os.read(ours, 65536)
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), 0)
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        os.close(ours)
        return text, written

    def test_progress_of_a_large_file_is_drawn_on_a_terminal_and_erased(self):
        """Also while SYNs are printed to somewhere else: it stays until the next one, and goes at the end."""
        for frames in ([bytes(12) + b"\x08\x06" + bytes(1000)] * 1024, [ethernet(V4)] * 1024):
            text, written = self.progress(pcap(frames), "--format", "p0f")
            self.assertRegex(text, rb"^(\rsynfp: stdin: [0-9]+ MiB, [0-9]+ frames *)+\r +\r$")
            self.assertGreaterEqual(written, 64 << 20)

    def test_no_progress_of_a_small_file(self):
        self.assertEqual(self.progress(pcap([bytes(12) + b"\x08\x06" + bytes(1000)] * 1024), draws=0)[0], b"")


def hello_bytes():
    """What the second client of tests/data/tls says, and its JA4."""
    with open(os.path.join(DATA, "tls", "clients.pcap"), "rb") as file:
        data = file.read()
    at, frames = 24, []
    while at < len(data):
        size = struct.unpack("<I", data[at + 8:at + 12])[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    segment = frames[3][14 + 20:]
    with open(os.path.join(DATA, "tls", "expected.json")) as file:
        return segment[(segment[12] >> 4) * 4:], json.load(file)["clients.pcap"][1]["ja4"]


HELLO, HELLO_JA4 = hello_bytes()


class Client:
    """A connection's packets; `at` counts from the byte behind the ISN."""

    def __init__(self, port=40000, isn=0xfffffff0, v6=False):
        self.port, self.isn, self.v6 = port, isn, v6

    def packet(self, at, data=b"", flags=0x10, to_client=False, acknowledged=0):
        ends = (443, self.port) if to_client else (self.port, 443)
        tcp = struct.pack("!HHIIBBHHH", *ends, (self.isn + 1 + at) & 0xffffffff, acknowledged & 0xffffffff, 0x50, flags,
                          65535, 0, 0) + data
        a, b = (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
        if self.v6:
            a, b = (bytes.fromhex("20010db8") + bytes(11) + bytes((n,)) for n in (1, 2))
        addresses = b + a if to_client else a + b
        if self.v6:
            return struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + addresses + tcp
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + addresses + tcp

    def syn(self):
        return self.packet(-1, flags=2)

    def reset(self):
        return self.packet(0, flags=0x14, to_client=True, acknowledged=self.isn + 1)

    def says(self, data, size=1400, at=0):
        return [self.packet(at + i, data[i:i + size]) for i in range(0, len(data), size)]


def at_once(packets, seconds=0):
    """A capture of these packets, so many seconds from one to the next."""
    frames = [ethernet(p) for p in packets]
    return pcap([]) + b"".join(struct.pack("<IIII", 1_700_000_000 + i * seconds, 0, len(f), len(f)) + f
                              for i, f in enumerate(frames))


class Hellos(unittest.TestCase):
    def ja4(self, packets, *options):
        lines, errors = read(at_once(packets), "--format", "ja4", *options)
        self.assertEqual(errors, "")
        return lines

    def test_in_segments_of_any_size_and_order(self):
        for v6 in (False, True):
            c = Client(v6=v6)
            for size in (1, 7, 100, 1400):
                parts = c.says(HELLO, size)
                for packets in (parts, parts[::-1], parts[1::2] + parts[::2], parts + parts,
                                c.says(HELLO, size + 3) + parts, c.says(HELLO[30:], 50, 30)[::-1] + parts):
                    self.assertEqual(self.ja4([c.syn()] + packets), [HELLO_JA4])

    def test_in_every_format(self):
        packets = [Client().syn()] + Client().says(HELLO)
        data = pcap([ethernet(p) for p in packets])
        (answer,), _ = read_json(data)
        self.assertEqual(answer["hello"]["ja4"], HELLO_JA4)
        self.assertEqual(answer["hello"]["sni"], "example.org")
        self.assertEqual(answer["hello"]["alpn"], ["h2", "http/1.1"])
        self.assertEqual(answer["hello"]["version"], 0x304)
        self.assertEqual(answer["no_hello"], None)
        self.assertEqual(answer["frame"], 1)
        self.assertEqual(read(data, "--format", "ja3")[0], [answer["hello"]["ja3"]])
        row = read(data)[0][0]
        self.assertTrue(row.endswith("  " + HELLO_JA4[:10]))
        self.assertEqual(len(row), 120)
        self.assertEqual(len(read(data, "--format", "p0f")[0]), 1)

    def test_a_hello_of_another_system_than_the_syn(self):
        """A relay: the SYN is that of Linux, the hello that of Apple's TLS."""
        port, isn = struct.unpack("!HxxI", V4[20:28])
        addresses, server = V4[12:20], V4[22:24]
        def names(ciphers):
            body = struct.pack("!H", 0x303) + bytes(33) + struct.pack("!H", 2 * len(ciphers)) + b"".join(
                struct.pack("!H", c) for c in ciphers) + b"\x01\x00"
            data = struct.pack("!BHHI", 22, 0x301, len(body) + 4, 1 << 24 | len(body)) + body
            tcp = struct.pack("!H2sIIBBHHH", port, server, isn + 1, 1, 0x50, 0x18, 64240, 0, 0) + data
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + addresses
            (answer,), _ = read_json(pcap([ethernet(V4), ethernet(ip + tcp)]))
            self.assertEqual(answer["hello"]["ciphers"], ciphers)
            self.assertRegex(answer["os"]["label"], "Linux")
            return answer["os"]["inconsistencies"]
        self.assertEqual(names([0x1a1a, 0x1301, 0xc02b]), [])
        self.assertEqual(names([0x1a1a, 0x1301, 0xc02b, 0xc008, 0xc012, 0x000a]), ["hello_system"])

    def test_a_copy_of_the_syn_is_the_same_connection(self):
        c = Client()
        packets = [c.syn(), c.syn()] + c.says(HELLO) + [c.syn()]
        self.assertEqual(self.ja4(packets), [HELLO_JA4])
        # As before hellos were shown, each SYN has a line.
        answers, _ = read_json(pcap([ethernet(p) for p in packets]))
        self.assertEqual([(a["frame"], a["hello"]["ja4"]) for a in answers], [(1, HELLO_JA4), (2, HELLO_JA4), (2 + len(c.says(HELLO)) + 1, HELLO_JA4)])

    def test_a_forged_syn_takes_no_hello(self):
        real, forged = Client(), Client(isn=0x12345678)
        for first, second in ((real, forged), (forged, real)):
            answers, _ = read_json(pcap([ethernet(p) for p in [first.syn(), second.syn()] + real.says(HELLO)]))
            self.assertEqual([a["hello"] is not None for a in answers], [first is real, second is real])
            self.assertEqual([a["syn"]["tcp"]["sequence"] for a in answers], [first.isn, second.isn])

    def test_lines_have_the_order_of_the_syns(self):
        a, b, c, d = (Client(port) for port in (1001, 1002, 1003, 1004))
        packets = ([a.syn(), b.syn()] + b.says(HELLO) + [c.syn(), d.syn(), c.reset()] + d.says(b"GET / HTTP/1.1\r\n") +
                   a.says(HELLO))
        answers, _ = read_json(pcap([ethernet(p) for p in packets]))
        self.assertEqual([x["peer"]["port"] for x in answers], [1001, 1002, 1003, 1004])
        self.assertEqual([x["hello"] is not None for x in answers], [True, True, False, False])
        self.assertEqual([x["no_hello"] for x in answers], [None, None, "no data", "plain text instead of TLS"])
        self.assertEqual(self.ja4(packets), [HELLO_JA4, HELLO_JA4, "-", "-"])

    def test_what_is_not_all_there(self):
        c = Client()
        for data, why in ((HELLO[:100], "incomplete"), (HELLO[1:], "not TLS"), (b"\x16\3\1\0\0", "empty TLS record")):
            (answer,), _ = read_json(pcap([ethernet(p) for p in [c.syn()] + c.says(data)]))
            self.assertEqual((answer["hello"], answer["no_hello"]), (None, why))
        # What the capture cut is not there.
        data = pcap([ethernet(p) for p in [c.syn()] + c.says(HELLO)], cut=100)
        self.assertEqual(read(data, "--format", "ja4")[0], ["-"])

    def test_a_hello_whose_syn_was_not_captured(self):
        c = Client()
        # With the second one that follows a HelloRetryRequest, and one inside of the connection.
        packets = c.says(HELLO) + c.says(HELLO, at=len(HELLO)) + c.says(HELLO, at=5000)
        (answer,), errors = read_json(pcap([ethernet(p) for p in packets]))
        self.assertEqual(errors, "")
        self.assertEqual([answer[k] for k in ("frame", "syn", "fingerprint", "os")], [1, None, None, None])
        self.assertEqual(answer["peer"], {"address": "192.0.2.1", "port": 40000})
        self.assertEqual(answer["hello"]["ja4"], HELLO_JA4)
        self.assertEqual(self.ja4(packets), [HELLO_JA4])
        self.assertEqual(read(pcap([ethernet(p) for p in packets]), "--format", "p0f")[0], [])
        self.assertEqual(self.ja4(packets, "--filter-port", "444"), [])
        self.assertRegex(read(pcap([ethernet(p) for p in packets]))[0][0], r"    -      -      -  - +" + HELLO_JA4[:10] + "$")
        # Data inside of a connection are nobody's hello.
        self.assertEqual(self.ja4(c.says(b"\x17\3\3" + HELLO)), [])

    def test_below_other_headers(self):
        c = Client()
        for head in (b"\x81\0\0\5", b"\x88\xa8\0\1\x81\0\0\2"):
            data = pcap([ethernet(p, head) for p in [c.syn()] + c.says(HELLO, 500)])
            self.assertEqual(read(data, "--format", "ja4"), ([HELLO_JA4], ""))
        data = pcap([c.syn()] + c.says(HELLO), link=RAW)
        self.assertEqual(read(data, "--format", "ja4"), ([HELLO_JA4], ""))

    def test_a_silent_client_is_not_waited_for(self):
        silent, other = Client(1), Client(2)
        for pause, seen in ((5, HELLO_JA4), (11, "-")):
            packets = [silent.syn(), other.syn()] + other.says(HELLO) + [other.packet(9999)] * pause + silent.says(HELLO)
            self.assertEqual(read(at_once(packets, 1), "--format", "ja4")[0], [seen, HELLO_JA4])

    def test_count_reads_on_for_the_hellos(self):
        a, b = Client(1), Client(2)
        packets = [a.syn(), b.syn()] + b.says(HELLO) + a.says(HELLO)
        data = pcap([ethernet(p) for p in packets])
        self.assertEqual(read(data, "--format", "ja4", "--count", "1")[0], [HELLO_JA4])
        # What is behind the last hello is not looked at, nor is damage.
        self.assertEqual(read(data + b"\xff" * 20, "--format", "ja4", "--count", "2"), ([HELLO_JA4] * 2, ""))
        self.assertEqual(read(pcap([ethernet(a.syn())]) + b"\xff" * 20, "--format", "ja4", "--count", "1"), (["-"], ""))

    def test_watch_has_no_hellos(self):
        for name in ("ja3", "ja4"):
            done = subprocess.run([SYNFP, "watch", "--interface", "lo", "--format", name], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertNotRegex(subprocess.run([SYNFP, "watch", "--help"], capture_output=True, text=True).stdout, r"\bja4\b")

    def test_a_pipe_that_brings_nothing_is_not_waited_for(self):
        c = Client()
        with subprocess.Popen([SYNFP, "read", "-", "--format", "ja4"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            data = pcap([ethernet(p) for p in [c.syn()] + c.says(HELLO)])
            os.write(process.stdin.fileno(), data)
            self.assertEqual(process.stdout.readline().decode().strip(), HELLO_JA4)
            os.write(process.stdin.fileno(), pcap([ethernet(Client(7).syn())])[24:])
            self.assertEqual(process.stdout.readline(), b"-\n")
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), 0)

    def test_memory_of_hellos_that_never_end_is_bounded(self):
        clients = [Client(port) for port in range(1024, 40000)]
        data = at_once(packet for c in clients for packet in (c.syn(), c.packet(0, HELLO[:50])))
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))  # noqa: E731
        done = subprocess.run([SYNFP, "read", "-", "--format", "ja4"], input=data, capture_output=True, preexec_fn=limit)
        self.assertEqual((done.returncode, done.stderr, done.stdout.count(b"-\n")), (0, b"", len(clients)))


if __name__ == "__main__":
    unittest.main()
