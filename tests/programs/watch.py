#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfp watch end to end: what comes over a wire, from a probe of its own and from the echo server's.

Usage: watch.py BUILD_DIRECTORY [unittest arguments]. Needs root."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from netns import Pair, sh

BUILD = os.path.abspath(sys.argv.pop(1))
SYNFP = os.path.join(BUILD, "tools", "cli", "synfp")
ECHO = os.path.join(BUILD, "examples", "echo_server")
PORT = 18080
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


class Running:
    """A program; `ready` begins the line on stderr (or stdout, for the server) that says it is."""

    def __init__(self, argv, ready):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stream = self.process.stdout if ready.startswith("listening") else self.process.stderr
        line = stream.readline()
        if not line.startswith(ready):
            out, err = self.process.communicate(timeout=10)
            raise RuntimeError(f"{argv}: {line}{out}{err}")

    def send(self, number):
        self.process.send_signal(number)

    def line(self):
        return self.process.stdout.readline()

    def end(self, number=None):
        """(status, stdout, stderr)"""
        if number:
            self.send(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=20)


def summary(text):
    """(printed, missed, refused) of the last line on stderr."""
    found = re.search(r"^synfp: (\d+) SYNs printed, (\d+) missed(; refused: (.*))?$", text, re.M)
    assert found, text
    refused = sum(int(n) for n in re.findall(r"(?:^|, )(\d+) ", found[4] or ""))
    return int(found[1]), int(found[2]), refused


class Watch(unittest.TestCase):
    def setUp(self):
        self.net = Pair()
        self.addCleanup(self.net.delete)
        self.scratch = tempfile.mkdtemp(prefix="synfp-watch-")
        self.addCleanup(shutil.rmtree, self.scratch)
        os.chmod(self.scratch, 0o711)
        self.bpffs = os.path.join(self.scratch, "bpf")
        os.mkdir(self.bpffs)
        sh(f"mount -t bpf -o mode=711 bpf {self.bpffs}")
        self.addCleanup(sh, f"umount -l {self.bpffs}")
        self.pins = os.path.join(self.bpffs, "echo")

    def watch(self, *options, user=()):
        return Running(self.net.server.command(*user, SYNFP, "watch", *options), "synfp: watching")

    def fails(self, *options, user=()):
        done = subprocess.run(self.net.server.command(*user, SYNFP, "watch", *options), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        return done.stderr

    def echo(self, *options):
        return Running(self.net.server.command(ECHO, "--listen", f"[::]:{PORT}", *options), "listening")

    def curl(self, address):
        return json.loads(sh(" ".join(self.net.client.command(
            "curl", "-gsS", "--max-time", "10", f"http://{address}:{PORT}/"))))

    def xdp(self):
        return json.loads(self.net.server.run("ip -j link show veth0"))[0].get("xdp")

    def dump(self, name, count):
        """tcpdump of so many SYNs into a file."""
        return Running(self.net.server.command(
            "tcpdump", "-i", "veth0", "-n", "--immediate-mode", "-Q", "in", "-c", str(count), "-w", name,
            "tcp[13]=2 or (ip6[6]=6 and ip6[53]=2) or (vlan and tcp[13]=2)"), "tcpdump: listening")

    def test_the_wire_and_the_file_agree_in_every_format(self):
        pcap = os.path.join(self.scratch, "syns.pcap")
        with self.echo("--capture", "saved-syn"):
            for form in ("json", "p0f", "muonfp", "haproxy", "satori", "ndpi", "pfos", "table"):
                with self.subTest(format=form), self.dump(pcap, 3) as dump, \
                        self.watch("--interface", "veth0", "--format", form, "--filter-port", str(PORT)) as watch:
                    live, answers = [], []
                    for address in ("198.18.0.2", "[2001:db8::2]"):
                        answers.append(self.curl(address))
                        live.append(watch.line())  # at once
                    self.send([7], tag=b"\x81\x00\x00\x05")
                    live.append(watch.line())
                    status, rest, errors = watch.end(signal.SIGINT)
                    self.assertEqual((status, rest), (0, ""), errors)
                    self.assertEqual(summary(errors), (3, 0, 0))
                    dump.end()
                    file = sh(f"{SYNFP} read {pcap} --format {form} --filter-port {PORT}").splitlines(keepends=True)
                    if form == "json":
                        now = time.time()
                        for lines in (live, file):
                            lines[:] = [json.loads(line) for line in lines]
                            for line in lines:
                                self.assertLess(abs(line.pop("time") - now), 10)
                        self.assertEqual([line.pop("frame") for line in live], [None] * 3)
                        self.assertEqual([line.pop("frame") for line in file], [1, 2, 3])
                        for line in file:  # watch sees SYNs alone
                            line.pop("hello"), line.pop("no_hello")
                        self.assertEqual([line["syn"] for line in live[:2]], [answer["syn"] for answer in answers])
                        self.assertEqual([line["peer"] for line in live[:2]], [answer["peer"] for answer in answers])
                    if form == "table":  # the kernel and the capture look at the clock one after the other
                        for lines in (live, file):
                            lines[:] = [line.split(maxsplit=1)[1] for line in lines]
                    self.assertEqual(live, file)
        self.assertIsNone(self.xdp())

    def test_a_pinned_probe_is_watched_by_root_and_by_a_nobody(self):
        self.assertIn(sh("cat /proc/sys/kernel/unprivileged_bpf_disabled").strip(), ("1", "2"))
        with self.echo("--pin", self.pins, "--pin-group", "nogroup") as server:
            self.assertEqual(os.stat(self.pins).st_mode & 0o777, 0o710)
            self.curl("198.18.0.2")  # before anybody watches
            with self.watch("--pinned", self.pins, "--format", "json") as root, \
                    self.watch("--pinned", self.pins, "--format", "json", user=NOBODY) as nobody:
                for address in ("198.18.0.2", "[2001:db8::2]"):
                    answer = self.curl(address)
                    for watch in (root, nobody):
                        line = json.loads(watch.line())
                        self.assertEqual(line["syn"], answer["syn"])
                        self.assertEqual(line["peer"], answer["peer"])
                        self.assertEqual(line["fingerprint"], answer["fingerprint"])
                status, rest, errors = root.end(signal.SIGTERM)
                self.assertEqual((status, rest, summary(errors)), (0, "", (2, 0, 0)))
                self.assertEqual(server.end(signal.SIGTERM)[0], 0)
                self.assertFalse(os.path.exists(self.pins))
                status, rest, errors = nobody.end()  # by itself
                self.assertEqual((status, rest, summary(errors)), (1, "", (2, 0, 0)))
                self.assertIn("has ended", errors)

    def test_a_killed_server_leaves_pins_that_its_successor_replaces(self):
        with self.echo("--pin", self.pins) as server:
            self.curl("198.18.0.2")
            server.end(signal.SIGKILL)
        with self.watch("--pinned", self.pins) as dead:
            with self.echo("--pin", self.pins) as server:
                status, rest, errors = dead.end()
                self.assertEqual((status, rest), (1, ""), "nothing of the dead one's table")
                self.assertIn("has ended", errors)
                with self.watch("--pinned", self.pins, "--count", "1", "--format", "muonfp") as watch:
                    answer = self.curl("198.18.0.2")
                    status, line, _ = watch.end()
                    self.assertEqual((status, line), (0, answer["fingerprint"]["muonfp"] + "\n"))
                status, _, errors = server.end(signal.SIGTERM)
                self.assertEqual(status, 0)
                self.assertIn("held the pins of a process that is gone; replaced", errors)
        self.assertFalse(os.path.exists(self.pins))

    def send(self, numbers, tag=b""):
        """From the client, for each number a different SYN to a port that nobody listens on."""
        to, source = (bytes.fromhex(side.run("cat /sys/class/net/veth0/address").replace(":", "").strip())
                      for side in (self.net.server, self.net.client))
        with self.net.client:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            wire.bind(("veth0", 0x0800))
        with wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            for i in numbers:
                ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, i & 0xffff, 0x4000, 64, 6, 0,
                                           bytes((198, 18, 1 + (i >> 15), 1)), bytes((198, 18, 0, 2))))
                total = sum(struct.unpack("!10H", ip))
                total = (total >> 16) + (total & 0xffff)
                struct.pack_into("!H", ip, 10, ~((total >> 16) + total) & 0xffff)
                tcp = struct.pack("!HHIIBBHHH", 1024 + (i & 0x7fff), PORT, i + 1, 0, 0x50, 2, 1024, 0, 0)
                wire.send(to + source + tag + b"\x08\x00" + bytes(ip) + tcp)

    def received(self):
        return int(self.net.server.run("cat /sys/class/net/veth0/statistics/rx_packets"))

    def test_of_a_burst_nothing_goes_in_silence(self):
        for count, stopped in ((5000, False), (70000, True)):
            with self.subTest(count=count), self.watch("--interface", "veth0", "--format", "p0f", "--filter-port",
                                                       str(PORT)) as watch:
                # A watcher that stands still reads a table that has gone round meanwhile.
                if stopped:
                    watch.send(signal.SIGSTOP)
                before = self.received()
                with open(os.path.join(self.scratch, "lines"), "w+") as lines:
                    copier = subprocess.Popen(["cat"], stdin=watch.process.stdout, stdout=lines)
                    self.send(range(count))
                    deadline = time.monotonic() + 20
                    while self.received() < before + count:
                        self.assertLess(time.monotonic(), deadline)
                    if stopped:
                        watch.send(signal.SIGCONT)
                    watch.send(signal.SIGINT)
                    self.assertIn(watch.process.wait(timeout=20), (0, 1))
                    copier.wait(timeout=20)
                    lines.seek(0)
                    shown = sum(1 for _ in lines)
                printed, missed, refused = summary(watch.process.stderr.read())
                print(f"of {count} SYNs, stopped: {stopped}: printed {printed}, missed {missed}, refused {refused}")
                self.assertEqual(shown, printed)
                self.assertEqual(printed + missed + refused, count)
                self.assertEqual(watch.process.returncode, 1 if missed else 0)
                self.assertEqual(missed > 0, stopped)

    def test_what_stands_in_the_way_is_named(self):
        with self.watch("--interface", "veth0"):
            self.assertIn("already carries an XDP program", self.fails("--interface", "veth0"))
        self.assertIn("no interface 'nosuch'", self.fails("--interface", "nosuch"))
        self.assertIn("missing cap_bpf,cap_net_admin,cap_perfmon", self.fails("--interface", "veth0", user=NOBODY))
        self.assertIn("no probe is pinned there", self.fails("--pinned", self.pins))
        self.assertIn("is not on a bpffs", self.fails("--pinned", self.scratch))
        self.assertIn("one of --interface and --pinned", self.fails())
        self.assertIn("one of --interface and --pinned", self.fails("--interface", "veth0", "--pinned", self.pins))
        with self.echo("--pin", self.pins) as server:
            self.assertIn("belongs to others", self.fails("--pinned", self.pins, user=NOBODY))
            server.end(signal.SIGTERM)
        os.mkdir(self.pins)
        for name in ("table", "meta", "counts"):
            sh(f"bpftool map create {self.pins}/{name} type array key 4 value 4096 entries 1 name foreign flags 0x400")
        self.assertIn("not a synfp table", self.fails("--pinned", self.pins))
        self.assertIsNone(self.xdp())

    def test_killed_it_leaves_no_program(self):
        with self.watch("--interface", "veth0") as watch:
            self.assertIsNotNone(self.xdp())
            watch.end(signal.SIGKILL)
            deadline = time.monotonic() + 10
            while self.xdp():
                self.assertLess(time.monotonic(), deadline)

    def test_it_ends_when_the_interface_or_the_reader_is_gone(self):
        with self.watch("--interface", "veth0") as watch:
            watch.process.stdout.close()
            self.assertEqual(watch.process.wait(timeout=10), 1)
        with self.watch("--interface", "veth0") as watch:
            self.net.client.run("ip link del veth0")
            status, _, errors = watch.end()
            self.assertEqual(status, 1)
            self.assertIn("veth0 is gone", errors)

    def test_idle_it_costs_next_to_nothing(self):
        with self.watch("--interface", "veth0") as watch:
            def ticks():
                fields = sh(f"cat /proc/{watch.process.pid}/stat").rsplit(")", 1)[1].split()
                return int(fields[11]) + int(fields[12])
            before = ticks()
            time.sleep(3)  # the time is what is measured
            share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / 3
            print(f"idle: {share:.2%} of a CPU")
            self.assertLess(share, 0.01)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    unittest.main(verbosity=2)
