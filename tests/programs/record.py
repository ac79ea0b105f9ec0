#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/record: what it makes of captures and of a command, and that it adds nothing twice.

Usage: record.py RECORD SYNFP DATABASE [unittest arguments]. Needs root and p0f."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

RECORD, SYNFP, DATABASE = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))


def syn(mss=1460, window=1024, scale=None, ttl=64, source=1, df=True, identification=7, sequence=1):
    options = b"\2\4" + struct.pack("!H", mss) + (b"" if scale is None else b"\1\3\3" + bytes((scale,)))
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, sequence, 0, (20 + len(options)) << 2, 2, window, 0, 0) + options
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), identification, 0x4000 if df else 0, ttl, 6, 0) + bytes(
        (192, 0, 2, source, 192, 0, 2, 99)) + tcp


class Record(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.database = os.path.join(self.directory, "synfp.fp")
        shutil.copy(DATABASE, self.database)

    def record(self, *arguments, status=0):
        done = subprocess.run([RECORD, "--synfp", SYNFP, "--database", self.database, *arguments], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr

    def files(self, *captures, label="s:other:Test:1", extra=()):
        """The signatures that captures, each a list of packets, add."""
        before = self.signatures()
        options = []
        for number, packets in enumerate(captures):
            path = os.path.join(self.directory, f"{number}.pcap")
            with open(path, "wb") as file:
                file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
                for packet in packets:
                    file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
            options += ["--pcap", path]
        self.record("--label", label, "--stack", "the test's own", *options, *extra)
        return [text for text in self.signatures() if text not in before]

    def signatures(self):
        with open(self.database, encoding="ascii") as file:
            return [line.split("=")[1].strip() for line in file if line.startswith("sig")]

    def test_what_did_not_vary_stays(self):
        self.assertEqual(self.files([syn(scale=3)]), ["4:64:0:1460:1024,3:mss,nop,ws:df,id+:0"])

    def test_a_fixed_window_over_several_mss(self):
        self.assertEqual(self.files([syn(1460)], [syn(1400)]), ["4:64:0:*:1024,0:mss:df,id+:0"])

    def test_a_window_that_follows_the_mss(self):
        self.assertEqual(self.files([syn(1460, 14600)], [syn(1400, 14000)], [syn(1300, 14300)]),
                         ["4:64:0:*:mss*10,0:mss:df,id+:0", "4:64:0:*:mss*11,0:mss:df,id+:0"])

    def test_a_window_that_follows_nothing(self):
        self.assertEqual(self.files([syn(window=1001, scale=1)], [syn(window=3003, scale=2)]),
                         ["4:64:0:1460:*,*:mss,nop,ws:df,id+:0"])

    def test_windows_of_one_unit(self):
        self.assertEqual(self.files(*([syn(window=n * 8192)] for n in (1, 2, 3, 5, 7))),
                         ["4:64:0:1460:%8192,0:mss:df,id+:0"])

    def test_probes_that_every_run_sends_stay_apart(self):
        probes = [syn(1460, 1), syn(265, 31337, sequence=2)]
        self.assertEqual(self.files(probes, probes),
                         ["4:64:0:1460:1,0:mss:df,id+:0", "4:64:0:265:31337,0:mss:df,id+:0"])

    def test_a_chance_quirk_is_dropped(self):
        packets = [syn(df=False, identification=n, sequence=n + 1) for n in range(30)]
        self.assertEqual(self.files(packets), ["4:64:0:1460:1024,0:mss::0"])

    def test_a_retransmission_is_the_same_syn(self):
        self.files([syn(), syn()])
        with open(self.database, encoding="ascii") as file:
            self.assertIn("; 1 SYNs in 1 runs", file.read())

    def test_several_clients_in_one_file_are_refused(self):
        path = os.path.join(self.directory, "many.pcap")
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
            for source in (1, 2, 3):
                packet = syn(source=source)
                file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
        arguments = ("--label", "s:other:Test:1", "--stack", "x", "--pcap", path)
        self.assertIn("--source", self.record(*arguments, status=1))
        self.record(*arguments, "--source", "192.0.2.2")

    def test_nothing_is_added_twice(self):
        self.assertEqual(len(self.files([syn()])), 1)
        with open(self.database, encoding="ascii") as file:
            before = file.read()
        self.assertEqual(self.files([syn()]), [])
        with open(self.database, encoding="ascii") as file:
            self.assertEqual(file.read(), before)

    def test_a_label_gets_its_signatures_together(self):
        self.files([syn()], label="s:other:Test:1")
        self.files([syn(window=2000)], label="s:other:Test:2")
        self.files([syn(window=3000)], label="s:other:Test:1")
        with open(self.database, encoding="ascii") as file:
            self.assertEqual(file.read().count("label = s:other:Test:1\n"), 1)

    def connection(self, rmem):
        return self.record("--label", "s:unix:Linux:test", "--mtu", "1400,1500", "--sysctl",
                           f"net.ipv4.tcp_rmem={rmem}", "--dry-run", "--", "connect", "{server}", "{port}")

    def test_this_kernel_is_known(self):
        said = self.connection("4096 131072 33554432")
        self.assertIn("s:unix:Linux:6.16 and newer", said)
        self.assertIn("0 new signatures", said)

    def test_what_is_known_in_general_may_get_a_label_of_its_own(self):
        self.assertIn("3 new signatures", self.connection("4096 131072 16777216"))

    def test_a_command_that_sends_nothing(self):
        self.assertIn("no SYN", self.record("--label", "s:unix:Test:", "--", "true", status=1))


if __name__ == "__main__":
    unittest.main()
