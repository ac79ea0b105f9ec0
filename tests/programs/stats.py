#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfp stats against the maps themselves, which are read here with bpf(2) and mmap, and against an OpenMetrics parser.

Usage: stats.py BUILD_DIRECTORY [unittest arguments]. Needs root."""
import ctypes
import json
import mmap
import os
import platform
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

from netns import LIBC, Pair, sh

BUILD = os.path.abspath(sys.argv.pop(1))
SYNFP = os.path.join(BUILD, "tools", "cli", "synfp")
ECHO = os.path.join(BUILD, "examples", "echo_server")
PORT = 18080
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include/synfp/abi.h")) as header:
    MEANINGS = dict(re.findall(r'^ +X\([A-Z_]+, ([a-z_]+), [01], "(.*)"\)', header.read(), re.M))
COUNTERS = list(MEANINGS)
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_OBJ_GET = 7
BUCKET, SLOT, WAYS = 2048, 128, 15
# The package is Debian's, and so is the interpreter that finds it.
PARSE = ["/usr/bin/python3", "-c", """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps({f.name: [f.type, f.unit, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]]
                  for f in text_string_to_metric_families(sys.stdin.read())}))
"""]


def map_bytes(path, size):
    """A pinned map as the kernel shows it."""
    name = ctypes.create_string_buffer(path.encode())
    attributes = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(name), 0, 0), 128)
    fd = LIBC.syscall(SYS_BPF, BPF_OBJ_GET, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), path)
    try:
        with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ) as view:
            return view[:]
    finally:
        os.close(fd)


class Stats(unittest.TestCase):
    def setUp(self):
        self.net = Pair()
        self.addCleanup(self.net.delete)
        self.scratch = tempfile.mkdtemp(prefix="synfp-stats-")
        self.addCleanup(shutil.rmtree, self.scratch)
        os.chmod(self.scratch, 0o711)
        self.bpffs = os.path.join(self.scratch, "bpf")
        os.mkdir(self.bpffs)
        sh(f"mount -t bpf -o mode=711 bpf {self.bpffs}")
        self.addCleanup(sh, f"umount -l {self.bpffs}")
        self.pins = os.path.join(self.bpffs, "echo")

    def echo(self, *options, capture="reuseport"):
        process = subprocess.Popen(
            self.net.server.command(ECHO, "--listen", f"[::]:{PORT}", "--capture", capture, "--pin", self.pins, *options),
            stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.communicate()
        self.addCleanup(end)
        self.assertIn("listening", process.stdout.readline())
        return process

    def run_stats(self, *options, prefix=()):
        done = subprocess.run([*prefix, SYNFP, "stats", "--pinned", self.pins, *options], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr

    def json(self, *options, status=0, prefix=()):
        done = self.run_stats("--json", "--interval", "0.05", *options, prefix=prefix)
        self.assertEqual((done[0], done[2]), (status, ""), done)
        self.assertEqual(done[1].count("\n"), 1)
        return json.loads(done[1])

    def curl(self, address="198.18.0.2", n=1):
        for _ in range(n):
            sh(" ".join(self.net.client.command("curl", "-gsS", "--max-time", "10", f"http://{address}:{PORT}/")))

    def send(self, count):
        """From the client, so many SYNs of different ports and addresses."""
        to, source = (bytes.fromhex(side.run("cat /sys/class/net/veth0/address").replace(":", "").strip())
                      for side in (self.net.server, self.net.client))
        with self.net.client:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            wire.bind(("veth0", 0x0800))
        before = self.received()
        with wire:
            for i in range(count):
                ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, i & 0xffff, 0x4000, 64, 6, 0,
                                           bytes((198, 18, 1 + (i >> 15), 1)), bytes((198, 18, 0, 2))))
                total = sum(struct.unpack("!10H", ip))
                total = (total >> 16) + (total & 0xffff)
                struct.pack_into("!H", ip, 10, ~((total >> 16) + total) & 0xffff)
                tcp = struct.pack("!HHIIBBHHH", 1024 + (i & 0x7fff), PORT, i + 1, 0, 0x50, 2, 1024, 0, 0)
                wire.send(to + source + b"\x08\x00" + bytes(ip) + tcp)
        deadline = time.monotonic() + 30
        while self.received() < before + count:
            self.assertLess(time.monotonic(), deadline)

    def received(self):
        return int(self.net.server.run("cat /sys/class/net/veth0/statistics/rx_packets"))

    def maps(self):
        """(meta, counters by name, slots that are used, the oldest record's time of each bucket without an empty one),
        from the maps."""
        meta = map_bytes(os.path.join(self.pins, "meta"), mmap.PAGESIZE)
        fields = dict(zip(("magic", "abi", "hook", "scope", "layout", "s0", "s1", "max_age", "conflict", "buckets", "hold",
                           "cpus", "families", "ports"), struct.unpack_from("=IHBBQQQQQIIIBB", meta)))
        cpus = fields["cpus"]
        counts = struct.unpack(f"={32 * cpus}Q", map_bytes(os.path.join(self.pins, "counts"), 256 * cpus))
        sums = [sum(counts[i::32]) for i in range(32)]
        self.assertEqual(sums[len(COUNTERS):], [0] * (32 - len(COUNTERS)))
        table = map_bytes(os.path.join(self.pins, "table"), BUCKET * fields["buckets"])
        used = [sum(tag != 0 for tag in struct.unpack_from("=15I", table, BUCKET * i + 8)) for i in range(fields["buckets"])]
        oldest = [min(struct.unpack_from("=Q", table, BUCKET * i + SLOT * (1 + way))[0] for way in range(WAYS))
                  for i in range(fields["buckets"]) if used[i] == WAYS]
        return fields, dict(zip(COUNTERS, sums)), sum(used), oldest

    def test_a_report_says_what_the_maps_say(self):
        server = self.echo()
        self.curl(n=3)
        self.net.server.run("sysctl -qw net.ipv4.tcp_syncookies=2")
        self.curl(n=4)
        self.curl("[2001:db8::2]", n=2)
        got = self.json()
        meta, counters, used, full = self.maps()
        self.assertEqual(got["counters"], counters)
        self.assertEqual(counters["verified"], 6)
        self.assertEqual(got["table"], {
            "buckets": meta["buckets"], "slots": WAYS * meta["buckets"], "used": used, "full_buckets": len(full),
            "busy_buckets": 0, "hold_ms": (meta["hold"] << 20) // 10**6, "max_age_ms": meta["max_age"] // 10**6})
        self.assertEqual(got["probe"], {"state": "idle", "owner": server.pid, "hook": "reuseport", "scope": "flow",
                                        "ipv4": True, "ipv6": True, "ports": [], "abi": meta["abi"]})
        self.assertEqual(got["pinned"], self.pins)
        self.assertLess(abs(got["time"] - time.time()), 10)
        records = got["records"]
        self.assertEqual((records["verified"], sum(records.values())), (6, used))
        self.assertEqual(sum(one["records"] for one in got["ages"]), used)
        self.assertEqual([one["below_ms"] for one in got["ages"]][-2:], [600000, None])
        self.assertIsNone(got["evicted_at_ms"])
        self.assertEqual(set(got["rates"].values()), {0})
        self.assertIsNone(got["sizing"])

    def test_the_text_names_every_counter_and_its_meaning(self):
        self.echo()
        self.curl()
        status, out, errors = self.run_stats("--interval", "0.05")
        self.assertEqual((status, errors), (0, ""))
        for name, total in self.maps()[1].items():
            line = next(line for line in out.splitlines() if line.startswith(name + " "))
            self.assertEqual(line.split()[1], str(total), line)
            self.assertTrue(line.endswith(MEANINGS[name]), line)
        for word in ("probe ", "state ", "table ", "records ", "age ", "evicted ", "sizing "):
            self.assertEqual(sum(line.startswith(word) for line in out.splitlines()), 1, word)
        self.assertLessEqual(max(map(len, out.splitlines())), 120)

    def test_rates_eviction_and_the_size_that_follows(self):
        self.echo("--interface", "veth0", capture="xdp")
        watch = subprocess.Popen([SYNFP, "stats", "--pinned", self.pins, "--json", "--watch", "--interval", "0.5"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(watch.communicate)
        self.addCleanup(watch.kill)
        first = json.loads(watch.stdout.readline())
        self.send(80000)  # the table has room for 61,440
        lines = [first]
        while lines[-1]["counters"]["runs"] < 80000 or lines[-1]["probe"]["state"] == "alive":
            lines.append(json.loads(watch.stdout.readline()))
        for before, after in zip(lines, lines[1:]):
            for name in COUNTERS:
                change = after["counters"][name] - before["counters"][name]
                self.assertAlmostEqual(after["rates"][name] * after["interval"], change, delta=0.002 * change + 0.01)
            moved = after["counters"] != before["counters"]
            self.assertEqual(after["probe"]["state"], "alive" if moved else "idle")
            if not moved:
                self.assertIsNone(after["sizing"])
                continue
            sizing = after["sizing"]
            needed = after["rates"]["stored"] + after["rates"]["held"]
            self.assertLessEqual(abs(sizing["rate"] - needed), 1)
            self.assertEqual(sizing["hold_ms"], after["table"]["hold_ms"])
            says = sh(f"{SYNFP} sizing --rate {sizing['rate']} --delay {sizing['hold_ms']}")
            self.assertTrue(says.startswith(f"{sizing['buckets']} buckets"), (says, sizing))
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=20)
        self.assertEqual((watch.returncode, errors), (0, ""))
        got = self.json()
        _, counters, used, full = self.maps()
        self.assertEqual(got["counters"], counters)
        self.assertEqual((got["table"]["used"], got["table"]["full_buckets"]), (used, len(full)))
        # Ages grow while two programs look.
        age = (time.monotonic_ns() - sorted(full)[len(full) // 2]) // 10**6
        self.assertLess(abs(age - got["evicted_at_ms"]), 5000)
        self.assertGreater(got["evicted_at_ms"], 0)

    def test_the_last_records_are_told_by_state(self):
        self.echo("--interface", "veth0", capture="xdp")
        self.send(50)
        self.assertEqual(self.json()["probe"]["ports"], [PORT])
        records = self.json()["records"]
        self.assertEqual(records, {"verified": 0, "tuple": 50, "conflict": 0, "unchecked": 0, "unusable": 0, "stale": 0})
        deadline = time.monotonic() + 20
        while records["stale"] != 50:
            self.assertEqual(records["stale"] + records["tuple"], 50)
            self.assertLess(time.monotonic(), deadline)
            records = self.json()["records"]

    def test_openmetrics(self):
        self.echo()
        self.net.server.run("sysctl -qw net.ipv4.tcp_syncookies=2")
        self.curl(n=3)
        status, out, errors = self.run_stats("--prometheus")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(out.endswith("\n# EOF\n"))
        families = json.loads(subprocess.run(PARSE, input=out, stdout=subprocess.PIPE, text=True, check=True).stdout)
        _, counters, used, full = self.maps()
        for name, total in counters.items():
            kind, _, documentation, samples = families["synfp_" + name]
            self.assertEqual((kind, samples), ("counter", [[f"synfp_{name}_total", {}, total]]))
            self.assertTrue(documentation)
        samples = {name: family[3] for name, family in families.items()}
        self.assertEqual(samples["synfp_slots"][0][2], 61440)
        self.assertEqual(samples["synfp_full_buckets"][0][2], len(full))
        self.assertEqual(samples["synfp_probe_owner_present"][0][2], 1)
        self.assertEqual(families["synfp_hold_seconds"][:2], ["gauge", "seconds"])
        states = {labels["state"]: value for _, labels, value in samples["synfp_records"]}
        self.assertEqual((sum(states.values()), states["verified"]), (used, 3))
        younger = [(float(labels["seconds"]), value) for _, labels, value in samples["synfp_records_younger_than"]]
        self.assertEqual(younger, sorted(younger))
        self.assertEqual(younger[-1], (600, used))
        self.assertEqual(samples["synfp_probe_info"][0][1]["hook"], "reuseport")

    def test_a_killed_owner_is_told(self):
        server = self.echo("--pin-group", "nogroup")
        self.curl()
        self.assertEqual(self.json(prefix=NOBODY)["probe"]["state"], "idle")
        # A process namespace of its own does not show the owner.
        inside = ["unshare", "--pid", "--fork", "--mount-proc"]
        self.assertEqual(self.json(prefix=inside)["probe"]["state"], "unknown")
        server.kill()
        server.wait()
        self.assertEqual(self.json(status=1)["probe"]["state"], "ended")
        self.assertEqual(self.json(prefix=inside)["probe"]["state"], "unknown")
        status, out, _ = self.run_stats("--interval", "0.05")
        self.assertEqual(status, 1)
        self.assertIn("\nstate     ended", out)
        self.assertIn("synfp_probe_owner_present 0\n", self.run_stats("--prometheus")[1])

    def test_it_ends_with_the_probe_with_a_signal_and_with_its_reader(self):
        server = self.echo()

        def start():
            process = subprocess.Popen([SYNFP, "stats", "--pinned", self.pins, "--json", "--watch", "--interval", "0.05"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            json.loads(process.stdout.readline())
            return process
        for number in (signal.SIGINT, signal.SIGTERM):
            process = start()
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
            self.assertEqual((process.returncode, errors), (0, ""))
        process = start()
        process.stdout.close()
        self.assertEqual((process.wait(timeout=20), process.stderr.read()), (1, ""))
        process.stderr.close()
        with open("/dev/full", "w") as full:
            done = subprocess.run([SYNFP, "stats", "--pinned", self.pins, "--interval", "0.05"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write the output", done.stderr)
        process = start()
        server.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("has ended", errors)

    def fails(self, reason, pins=None, prefix=()):
        done = subprocess.run([*prefix, SYNFP, "stats", "--pinned", pins or self.pins, "--json"],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(reason, done.stderr)

    def forge(self, meta, meta_size=4096, table=(4096, 1), counts=(4096, 1)):
        """Pins of these sizes (bytes, entries), with these bytes of metadata."""
        shutil.rmtree(self.pins, ignore_errors=True)
        os.mkdir(self.pins)
        for name, (size, entries) in (("meta", (meta_size, 1)), ("table", table), ("counts", counts)):
            sh(f"bpftool map create {self.pins}/{name} type array key 4 value {size} entries {entries} name forged flags 0x400")
        data = " ".join(str(byte) for byte in meta.ljust(meta_size, b"\0"))
        sh(f"bpftool map update pinned {self.pins}/meta key 0 0 0 0 value {data}")

    def test_bad_pins_are_refused_with_the_reason(self):
        self.fails("no probe is pinned there")
        self.fails("is not on a bpffs", self.scratch)
        self.fails("no probe is pinned there", os.path.join(self.bpffs, "not", "there"))
        server = self.echo()
        self.fails("belongs to others", prefix=NOBODY)
        good = map_bytes(os.path.join(self.pins, "meta"), mmap.PAGESIZE)[:104]
        server.terminate()
        server.wait()
        self.forge(b"")
        self.fails("not a synfp table")
        self.forge(b"", meta_size=8)
        self.fails("not a synfp table")
        abi = bytearray(good)
        abi[4:6] = struct.pack("=H", 1)
        self.forge(bytes(abi))
        self.fails("was made by another version of synfp (ABI 1")
        layout = bytearray(good)
        layout[8] ^= 1
        self.forge(bytes(layout))
        self.fails("was made by another version of synfp")
        self.forge(good)  # a table of 4 KiB where the metadata say 8 MiB
        self.fails("smaller than its metadata says")
        buckets = bytearray(good)
        buckets[48:52] = struct.pack("=I", 2)
        self.forge(bytes(buckets), table=(2048, 2), counts=(8, 1))
        status = subprocess.run([SYNFP, "stats", "--pinned", self.pins, "--json", "--interval", "0.05"],
                                capture_output=True, text=True, timeout=20)
        self.assertIn(status.returncode, (0, 1, 2), status)  # counters that are no counters, but no SIGBUS
        for wrong in (0, 3, 1 << 31):
            buckets[48:52] = struct.pack("=I", wrong)
            self.forge(bytes(buckets))
            self.fails("smaller than its metadata says" if wrong == 1 << 31 else "is damaged")
        cpus = bytearray(good)
        cpus[48:52] = struct.pack("=I", 2)
        cpus[56:60] = struct.pack("=I", 0xffffffff)
        self.forge(bytes(cpus))
        self.fails("cannot map the counters")
        os.unlink(os.path.join(self.pins, "counts"))
        self.fails("no probe is pinned there")

    def test_options_that_contradict_each_other(self):
        for options in (("--json", "--prometheus"), ("--watch", "--prometheus"), ("--interval", "0"), ("--interval", "x")):
            status, out, errors = self.run_stats(*options)
            self.assertEqual((status, out), (2, ""), options)
            self.assertIn(options[-2], errors)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    unittest.main(verbosity=2)
