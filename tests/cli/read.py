#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfp read as users run it: link types, file formats, damage, pipes. Usage: read.py SYNFP DATA_DIRECTORY [unittest
arguments]. No privileges."""
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SYNFP, DATA = sys.argv.pop(1), sys.argv.pop(1)
FORMATS = ["json", "p0f", "muonfp", "haproxy", "satori", "ndpi", "pfos", "ja4t", "table"]
ETHERNET, NULL, LOOP, RAW, SLL, SLL2, IPV4, IPV6 = 1, 0, 108, 101, 113, 276, 228, 229
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


def pcapng(frames, links=(ETHERNET,), order="<"):
    """Frames are (interface, bytes) or bytes."""
    out = block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    for link in links:
        nanoseconds = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0)
        out += block(order, 1, struct.pack(order + "HHI", link, 0, 0) + nanoseconds)
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
            self.assertEqual(list(answer), ["frame", "time", "peer", "local", "syn", "fingerprint", "os"])
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
            self.assertIn(answer["peer"]["address"], cells[0])
            self.assertEqual(cells[2], str(answer["syn"]["ip"]["ttl"]))
            self.assertEqual(cells[5], answer["fingerprint"]["p0f"])
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
        self.assertEqual(text[0].split(), ["PEER", "LOCAL", "TTL", "MSS", "WIN", "P0F", "OS"])
        self.assertEqual(text[0].index("P0F"), text[1].index("4:64+0"))
        self.assertEqual(len(text), 2)

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
        _, errors = read(pcap([], 105), status=2)
        self.assertIn("IEEE802_11 (105)", errors)
        self.assertIn("tcprewrite", errors)
        _, errors = read(pcap([], 147), status=2)
        self.assertIn("(147)", errors)


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

    def test_interfaces_of_different_link_types(self):
        head = pcapng([ethernet(V4)])
        other = block("<", 1, struct.pack("<HHI", RAW, 0, 0))
        lines, errors = read(head + other + pcapng([ethernet(V4)]), status=1)
        self.assertEqual(len(lines), 1)
        self.assertIn("frame 2", errors)
        self.assertIn("libpcap reads files of one link type", errors)
        lines, errors = read(pcapng([ethernet(V4)], (ETHERNET, RAW)), status=1)
        self.assertEqual(lines, [])
        self.assertIn("one link type", errors)

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
                    if size in ends:
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
        frames = [ethernet(V4), ethernet(V6), b"\xff" * 60]
        lines, errors = read(pcap(frames, cut=14 + 60))
        self.assertEqual(len(lines), 1)
        self.assertEqual(errors, "synfp: stdin: 1 of 3 frames refused: 1 cut short by the capture\n")
        lines, errors = read(pcap(frames, cut=1))
        self.assertEqual(errors, "synfp: stdin: 3 of 3 frames refused: 3 cut short by the capture\n")

    def test_refused_frames_are_counted_by_reason(self):
        fragment = bytearray(V4)
        fragment[6] |= 0x20
        fin = bytearray(V4)
        fin[33] |= 1
        lines, errors = read(pcap([ethernet(p) for p in (V4, bytes(fragment), bytes(fin), bytes(fin))]))
        self.assertEqual(len(lines), 1)
        self.assertEqual(errors, "synfp: stdin: 3 of 4 frames refused: 1 fragment, 2 SYN with FIN or RST\n")


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

    def test_progress_is_drawn_on_a_terminal_and_erased(self):
        ours, theirs = pty.openpty()
        other = bytes(60)  # frames without a SYN
        many = pcap([other] * 1024)
        with subprocess.Popen([SYNFP, "read", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs) as process:
            os.close(theirs)
            os.write(process.stdin.fileno(), many[:24])
            deadline = time.monotonic() + 30
            while not select.select([ours], [], [], 0.05)[0]:
                self.assertLess(time.monotonic(), deadline)
                process.stdin.write(many[24:])
                process.stdin.flush()
            process.stdin.close()
            self.assertEqual(process.wait(timeout=60), 0)
        text = b""
        while True:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        os.close(ours)
        self.assertRegex(text, rb"^\rsynfp: [0-9]+ frames")
        self.assertRegex(text, rb"\r +\r$")


if __name__ == "__main__":
    unittest.main()
