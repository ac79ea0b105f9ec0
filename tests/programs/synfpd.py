#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfpd as an operator and as an attacker use it: unchanged servers, restarts, kill -9, bad input, clients that hang,
capabilities, the service manager and the scrape.

Usage: synfpd.py BUILD_DIRECTORY [--kills N] [unittest arguments]. Needs root."""
import ctypes
import json
import os
import platform
import pwd
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from netns import LIBC, Pair, sh

BUILD = os.path.abspath(sys.argv.pop(1))
SYNFPD = os.path.join(BUILD, "tools", "synfpd", "synfpd")
SYNFP = os.path.join(BUILD, "tools", "cli", "synfp")
KILLS = 30
if "--kills" in sys.argv:
    at = sys.argv.index("--kills")
    KILLS = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../include/synfp/abi.h")) as header:
    ABI = re.search(r"#define SYNFP_ABI_VERSION (\d+)", header.read())[1]
TCP_SAVED_SYN = 28
SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
MAP_CREATE, OBJ_PIN, OBJ_GET, GET_INFO = 0, 6, 7, 15
KERNEL = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", platform.release()).groups())
NOBODY = pwd.getpwnam("nobody")
GROUP = 54321  # nobody is in it by --groups alone
PARSE = ["/usr/bin/python3", "-c", """
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(*[f.name for f in text_string_to_metric_families(sys.stdin.read())])
"""]
# Runs argv[1:] under a filter that refuses bpf().
NO_BPF = ["/usr/bin/python3", "-c", f"""
import ctypes, os, struct, sys
filter = b"".join(struct.pack("HBBI", *one) for one in ((0x20, 0, 0, 0), (0x15, 0, 1, {SYS_BPF}), (0x06, 0, 0, 0x50001),
                                                        (0x06, 0, 0, 0x7fff0000)))
code = ctypes.create_string_buffer(filter)
head = ctypes.create_string_buffer(struct.pack("HQ", 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, head, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""]
# An unchanged server, in the cgroup argv[1]: it answers each connection with its SYN.
SERVER = """
import os, socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 0))
s.listen(64)
print(s.getsockname()[1], flush=True)
while True:
    c, peer = s.accept()
    try:
        c.sendall(c.getsockopt(socket.IPPROTO_TCP, 28, 256))
    except OSError as e:
        c.sendall(str(e).encode())
    c.close()
"""


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 120))
    result = LIBC.syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}")
    return result


def object_info(path):
    """The 64 first bytes of what the kernel knows of a pin: type, id and, of a link, the program's id."""
    name = ctypes.create_string_buffer(path.encode())
    fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(name), 0, 0))
    try:
        info = ctypes.create_string_buffer(256)
        bpf(GET_INFO, struct.pack("IIQ", fd, len(info), ctypes.addressof(info)))
        return struct.unpack("16I", info.raw[:64])
    finally:
        os.close(fd)


def pin_map(path, name, value=4, entries=1, kind=2, flags=0x400):
    """Pins a map of ours: an array that can be mapped, unless told otherwise."""
    fd = bpf(MAP_CREATE, struct.pack("IIIIIII16s", kind, 4, value, entries, flags, 0, 0, name.encode()))
    where = ctypes.create_string_buffer(path.encode())
    bpf(OBJ_PIN, struct.pack("QII", ctypes.addressof(where), fd, 0))
    os.close(fd)


def cgroup_root():
    with open("/proc/self/mounts") as file:
        return next(line.split()[1] for line in file if line.split()[2] == "cgroup2")


def own_objects():
    """Programs and maps of the kernel that are synfp's, by kind and number, and links."""
    programs = re.findall(r"^(\d+): .* name synfp_", sh("bpftool prog show"), re.M)
    maps = re.findall(r"^(\d+): .* name (?:synfp_|\.bss\.synfp)", sh("bpftool map show"), re.M)
    links = re.findall(r"^(\d+): (?:cgroup|xdp) ", sh("bpftool link show"), re.M)
    return {(kind, int(n)) for kind, all in (("program", programs), ("map", maps), ("link", links)) for n in all}


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Daemon:
    def __init__(self, argv, env=None):
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def line(self):
        """What it says when it is ready."""
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(self.process.communicate(timeout=20)[1])
        return text

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        return self.line()

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


class Synfpd(unittest.TestCase):
    def setUp(self):
        self.net = Pair()
        self.addCleanup(self.net.delete)
        self.scratch = tempfile.mkdtemp(prefix="synfpd-")
        self.addCleanup(shutil.rmtree, self.scratch)
        os.chmod(self.scratch, 0o755)
        self.bpffs = os.path.join(self.scratch, "bpf")
        os.mkdir(self.bpffs)
        sh(f"mount -t bpf -o mode=755 bpf {self.bpffs}")
        self.addCleanup(sh, f"umount -l {self.bpffs}")
        self.pins = os.path.join(self.bpffs, "synfp")
        self.files = os.path.join(self.pins, "v" + ABI)
        self.socket = os.path.join(self.scratch, "socket")
        self.root = cgroup_root()
        self.cgroup = os.path.join(self.root, f"synfpd-test-{os.getpid()}")
        os.mkdir(self.cgroup)
        self.addCleanup(self.remove_cgroup)
        self.servers = []
        self.addCleanup(self.end_servers)

    def remove_cgroup(self):
        if not os.path.exists(self.cgroup):
            return
        for _ in range(100):
            try:
                return os.rmdir(self.cgroup)
            except OSError:
                time.sleep(0.05)
        self.fail("the cgroup is in use")

    # How it is started.

    def inside(self, *argv):
        """In the server's network; unlike `ip netns exec` with the machine's /sys."""
        return ["nsenter", f"--net=/run/netns/{self.net.server.name}", "--", *argv]

    def argv(self, *options, prefix=(), cgroup=None, pins=None, path=None):
        asked = dict(zip(options[::2], options[1::2])) if "--remove" not in options else {}
        all_options = ["--pin", pins or self.pins, "--socket", path or self.socket]
        if "--remove" not in options:
            all_options += ["--cgroup", cgroup or self.cgroup]
            if "--buckets" not in asked:
                all_options += ["--buckets", "64"]
        return self.inside(*prefix, SYNFPD, *all_options, *options)

    def start(self, *options, env=None, **how):
        daemon = Daemon(self.argv(*options, **how), env)

        def kill():
            daemon.process.kill()
            daemon.process.communicate()
        self.addCleanup(kill)
        return daemon

    def refused(self, *options, **how):
        """Its one line."""
        done = subprocess.run(self.argv(*options, **how), capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("synfpd: "), done.stderr)
        return done.stderr

    def remove(self):
        done = subprocess.run(self.argv("--remove"), capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def attached(self):
        """Programs on the test's cgroup."""
        return re.findall(r"synfp_\w+", sh(f"bpftool cgroup show {self.cgroup}"))

    def eventually(self, what, seconds=10):
        deadline = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def nothing_is_left(self):
        self.assertEqual(set(os.listdir(self.bpffs)) - {"maps.debug", "progs.debug"}, set())
        self.eventually(lambda: self.attached() == [])
        self.eventually(lambda: "clsact" not in self.net.server.run("tc qdisc show dev veth0"))

    def filters(self):
        """Names of the filters at the ingress of veth0, in their order."""
        if "clsact" not in self.net.server.run("tc qdisc show dev veth0"):
            return []
        return re.findall(r" handle \S+ (\S+)", self.net.server.run("tc filter show dev veth0 ingress"))

    def ids(self):
        return {name: object_info(os.path.join(self.files, name))[1] for name in os.listdir(self.files)}

    def programs(self):
        return {name: object_info(os.path.join(self.files, name))[2] for name in os.listdir(self.files)
                if "cgroup" in name}

    def beats(self, process=None):
        """Waits for two heartbeats."""
        def beat():
            fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))
            try:
                value, key = ctypes.create_string_buffer(16), ctypes.create_string_buffer(4)
                bpf(1, struct.pack("IxxxxQQQ", fd, ctypes.addressof(key), ctypes.addressof(value), 0))
                return struct.unpack("QII", value.raw)
            finally:
                os.close(fd)
        path = ctypes.create_string_buffer(os.path.join(self.files, "pulse").encode())
        first = beat()
        self.eventually(lambda: beat()[0] >= first[0] + 1_500_000_000, 6)
        if process is not None:
            self.assertEqual(beat()[1], process)

    # What it is for.

    def serve(self, cookies):
        self.net.server.run(f"sysctl -qw net.ipv4.tcp_syncookies={cookies}")
        process = subprocess.Popen(self.inside("/usr/bin/python3", "-c", SERVER, self.cgroup),
                                   stdout=subprocess.PIPE, text=True)

        self.servers.append(process)
        return int(process.stdout.readline())

    def end_servers(self):
        for process in self.servers:
            process.kill()
            process.communicate()
        self.servers.clear()

    def ask(self, port, family=socket.AF_INET):
        """(what the server says, the SYN that was on the wire)."""
        with self.net.server:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
            wire.bind(("veth0", 0x0800))
            wire.settimeout(5)
        with self.net.client:
            client = socket.create_connection(("198.18.0.2", port), timeout=10)
        own = client.getsockname()[1]
        answer = b""
        while part := client.recv(512):
            answer += part
        client.close()
        while True:
            packet = wire.recv(2048)
            tcp = (packet[0] & 15) * 4
            if packet[9] == 6 and struct.unpack("!H", packet[tcp:tcp + 2])[0] == own and packet[tcp + 13] & 0x12 == 2:
                wire.close()
                return answer, packet[:tcp + (packet[tcp + 12] >> 4) * 4]

    def answered(self, port):
        answer, syn = self.ask(port)
        self.assertEqual(answer, syn)

    def test_an_unchanged_server_gets_the_syn_that_is_on_the_wire(self):
        for cookies in (2, 1):
            with self.subTest(cookies=cookies):
                self.assertEqual(self.ask(self.serve(cookies))[0], b"", "the kernel alone")
                daemon = self.start()
                line = daemon.line()
                self.assertRegex(line, rf"^synfpd: sockops on {self.cgroup}, getsockopt on {self.cgroup}; table in "
                                 rf"{self.files}; socket {self.socket}\n$")
                port = self.serve(cookies)
                for _ in range(5):
                    self.answered(port)
                self.assertEqual(daemon.end(), (0, ""))
                self.answered(port)
                self.remove()
                self.nothing_is_left()

    def test_a_listener_older_than_the_probe(self):
        """It answers from the start of synfpd on, not from its own restart on; or a line names its port."""
        for cookies in (2, 1):
            with self.subTest(cookies=cookies):
                port = self.serve(cookies)
                self.assertEqual(self.ask(port)[0], b"", "the kernel alone")
                daemon = self.start()
                daemon.line()
                if cookies == 1 or KERNEL >= (6, 2):
                    for _ in range(5):
                        self.answered(port)
                left = "" if KERNEL >= (6, 2) else (
                    "synfpd: this kernel (before 6.2) does not cover listeners that are older than the probe, on the "
                    f"ports {port}: their connections that come by a SYN cookie have no SYN; start them again, or let "
                    "--hook xdp capture\n")
                self.assertEqual(daemon.end(), (0, left))
                self.remove()
                self.end_servers()

    def test_each_hook_with_a_cgroup_too(self):
        for hook, options in (("reuseport", []), ("xdp", ["--interface", "veth0"]),
                              ("tcx", ["--interface", "veth0"]), ("kprobe", [])):
            with self.subTest(hook=hook):
                daemon = self.start("--hook", hook, *options)
                if hook != "reuseport":
                    try:
                        line = daemon.line()
                    except RuntimeError as e:
                        if hook == "kprobe" and "this kernel has neither" in str(e):
                            self.skipTest("kernel lacks trampolines and kprobes")
                        raise
                    self.assertIn(f"; table in {self.files}", line)
                    port = self.serve(2)
                    self.answered(port)
                    self.assertIn("(taken over)", daemon.reload())
                    self.answered(port)
                else:
                    daemon.line()
                    self.assertIn("program", os.listdir(self.files))
                self.assertEqual(daemon.end(), (0, ""))
                self.remove()
                self.nothing_is_left()
        self.eventually(lambda: "xdp" not in self.net.server.run("ip link show veth0"))

    # Restarts.

    def test_the_table_and_the_links_outlive_the_process(self):
        daemon = self.start()
        daemon.line()
        port = self.serve(2)
        self.answered(port)
        before, programs = self.ids(), self.programs()
        for way in ("SIGHUP", "SIGTERM", "SIGKILL"):
            with self.subTest(way=way):
                if way == "SIGHUP":
                    line = daemon.reload()
                else:
                    daemon.end(getattr(signal, way))
                    self.answered(port)  # nobody lives
                    daemon = self.start()
                    line = daemon.line()
                self.assertEqual(line.count("(taken over)"), 2, line)
                self.assertIn("(kept)", line)
                self.assertEqual(self.ids(), before)
                now = self.programs()
                self.assertEqual(set(now), set(programs))
                for name in now:
                    self.assertNotEqual(now[name], programs[name])
                programs = now
                self.answered(port)
                self.beats(daemon.process.pid)
        # Another table: its own maps; the links stay.
        daemon.end()
        daemon = self.start("--buckets", "128")
        line = daemon.line()
        self.assertNotIn("(kept)", line)
        self.assertEqual(line.count("(taken over)"), 2)
        for name, number in self.ids().items():
            (self.assertEqual if "cgroup" in name else self.assertNotEqual)(number, before[name], name)
        self.answered(port)
        # Another hook: what the first attached is gone.
        daemon.end()
        daemon = self.start("--hook", "xdp", "--interface", "veth0")
        daemon.line()
        self.assertEqual(len([n for n in os.listdir(self.files) if n.startswith("xdp-interface-")]), 1)
        daemon.end()
        daemon = self.start()
        daemon.line()
        self.eventually(lambda: "xdp" not in self.net.server.run("ip link show veth0"))
        daemon.end()
        self.remove()
        self.nothing_is_left()

    TCX = ("--hook", "tcx", "--interface", "veth0")

    def test_tcx_outlives_the_process(self):
        """By a link, or on a kernel without by a filter, which is beside those of others."""
        self.net.server.run("tc qdisc add dev veth0 clsact")
        self.net.server.run("tc filter add dev veth0 ingress protocol all prio 7 bpf bytecode '1,6 0 0 0'")
        theirs = self.filters()  # what is at the place of the name
        self.assertEqual(len(theirs), 1)
        both = (["synfpd"] if KERNEL < (6, 6) else []) + theirs
        daemon = self.start(*self.TCX)
        self.assertIn("tcx on veth0;", daemon.line())
        port = self.serve(2)
        self.answered(port)
        for way in ("SIGHUP", "SIGTERM", "SIGKILL"):
            with self.subTest(way=way):
                if way == "SIGHUP":
                    line = daemon.reload()
                else:
                    daemon.end(getattr(signal, way))
                    self.answered(port)  # nobody lives
                    daemon = self.start(*self.TCX)
                    line = daemon.line()
                self.assertIn("tcx on veth0 (taken over)", line)
                self.assertIn("(kept)", line)
                self.answered(port)
                self.assertEqual(self.filters(), both)
                self.beats(daemon.process.pid)
        daemon.end()
        for wrong in (("--metrics", "nonsense"), ("--interface", "nope")):
            self.refused(*self.TCX, *wrong)
            self.assertEqual(self.filters(), both)
        self.answered(port)
        # Another hook takes its place.
        daemon = self.start()
        daemon.line()
        self.assertEqual(self.filters(), theirs)
        daemon.end()
        daemon = self.start(*self.TCX)
        daemon.line()
        daemon.end()
        self.assertEqual(self.filters(), both)
        self.remove()
        self.assertEqual(self.filters(), theirs)
        self.refused(*self.TCX, "--metrics", "nonsense")
        self.assertEqual((self.filters(), os.listdir(self.files)), (theirs, []))

    def test_a_filter_that_somebody_removed_is_missed_and_made_again(self):
        if KERNEL >= (6, 6):
            self.skipTest("kernel lacks nothing: it has tcx links, hence no filters")
        daemon = self.start(*self.TCX)
        daemon.line()
        self.assertEqual(self.filters(), ["synfpd+clsact"])
        port = self.serve(2)
        self.net.server.run("tc qdisc del dev veth0 clsact")
        self.assertIn("tcx on veth0 is gone; attach it again", daemon.process.stderr.readline())
        self.assertIn("tcx on veth0;", daemon.reload())
        self.answered(port)
        daemon.end()
        self.remove()
        self.nothing_is_left()

    def test_what_libxdp_attached_stays(self):
        """Its dispatcher and what that runs, or without BPF trampolines one program; tcx works beside it."""
        xdp_filter = f"/usr/lib/{platform.machine()}-linux-gnu/bpf/xdpfilt_alw_all.o"
        subprocess.run(self.inside("xdp-loader", "load", "veth0", xdp_filter), check=True, capture_output=True)
        self.addCleanup(subprocess.run, self.inside("xdp-loader", "unload", "veth0", "--all"), check=True)
        link = self.net.server.run("ip link show veth0")
        number = re.search(r"prog/xdp id (\d+)", link)[1]
        shared = "xdp_dispatcher" in sh("bpftool prog show id " + number)
        self.assertIn(f"interface veth0 carries libxdp's dispatcher, id {number} (xdpfilt_alw_all), which this probe does "
                      "not join; use hook::tcx" if shared else
                      f"interface veth0 already carries an XDP program, id {number} (xdpfilt_alw_all)",
                      self.refused("--hook", "xdp", "--interface", "veth0"))
        self.assertEqual(self.net.server.run("ip link show veth0"), link)
        daemon = self.start(*self.TCX)
        daemon.line()
        self.answered(self.serve(2))
        self.assertEqual(daemon.end(), (0, ""))
        self.remove()

    def test_records_made_before_a_restart_are_found(self):
        daemon = self.start("--hook", "xdp", "--interface", "veth0")
        daemon.line()
        self.answered(self.serve(2))
        stored = self.stats()["counters"]["stored"]
        self.assertGreaterEqual(stored, 1)
        daemon.end(signal.SIGKILL)
        daemon = self.start("--hook", "xdp", "--interface", "veth0")
        daemon.line()
        self.assertGreaterEqual(self.stats()["counters"]["stored"], stored)
        self.assertGreaterEqual(self.stats()["table"]["used"], 1)

    def stats(self, where=None):
        done = subprocess.run(self.inside(SYNFP, "stats", "--json", "--interval", "0.1", "--pinned",
                                                      where or self.socket), capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)

    def test_stats_knows_whether_the_daemon_lives(self):
        daemon = self.start()
        daemon.line()
        for where in (self.socket, self.pins):
            self.assertEqual(self.stats(where)["probe"]["state"], "idle")
            self.assertEqual(self.stats(where)["probe"]["owner"], daemon.process.pid)
        daemon.end(signal.SIGKILL)
        time.sleep(5.2)  # what a heartbeat is missed by
        self.assertEqual(self.stats(self.pins)["probe"]["state"], "ended")

    def test_killed_at_any_moment(self):
        """During start, SIGHUP and stop: each next start works, and --remove leaves nothing."""
        before = own_objects()
        shapes = ([], ["--hook", "xdp", "--interface", "veth0"], ["--hook", "tcx", "--interface", "veth0"],
                  ["--buckets", "128"], ["--group", str(GROUP)])
        counts = {"start": 0, "reload": 0, "stop": 0}
        took = 0.1  # s from start to the line
        interrupted = 0
        for i in range(KILLS):
            moment = ("start", "reload", "stop")[i % 3]
            options = shapes[random.randrange(len(shapes))]
            daemon = self.start(*options)
            if moment != "start":
                daemon.line()
                daemon.process.send_signal(signal.SIGHUP if moment == "reload" else signal.SIGTERM)
            time.sleep(random.uniform(0, took * (1.2 if moment != "stop" else 0.05)))
            daemon.process.kill()
            out, errors = daemon.process.communicate(timeout=20)
            self.assertEqual(errors, "", (i, moment, options))
            interrupted += moment != "stop" and not out
            counts[moment] += 1
            following = shapes[random.randrange(len(shapes))]
            daemon = self.start(*following)
            began = time.monotonic()
            try:
                daemon.line()
            except RuntimeError as e:
                self.fail(f"after {i}, killed in {moment} with {options}, now {following}: {e}")
            took = time.monotonic() - began
            self.assertEqual(sorted(self.attached()), ["synfp_getsockopt", "synfp_sockops"])
            self.assertFalse([name for name in os.listdir(self.files) if "~" in name])
            self.assertEqual(len(self.filters()), "tcx" in following and KERNEL < (6, 6), self.filters())
            daemon.end(random.choice((signal.SIGTERM, signal.SIGKILL)))
        self.answered_after_all()
        self.remove()
        self.nothing_is_left()
        self.eventually(lambda: own_objects() <= before)
        self.assertGreater(interrupted, 0)
        print(f"killed {KILLS} times: {counts}, {interrupted} before it was ready; every next start worked; nothing left")

    def answered_after_all(self):
        daemon = self.start()
        daemon.line()
        self.answered(self.serve(2))
        daemon.end()

    # Who stands in the way.

    def test_two_daemons(self):
        first = self.start()
        first.line()
        held = self.refused()
        self.assertIn(f"held by process {first.process.pid} (synfpd)", held)
        self.assertIn(f"held by process {first.process.pid}", self.refused("--remove"))
        other = os.path.join(self.bpffs, "other")
        self.assertIn(f"process {first.process.pid} listens at {self.socket}", self.refused(pins=other))
        self.beats(first.process.pid)
        self.assertEqual(len(self.attached()), 2)
        self.assertEqual(self.stats()["probe"]["owner"], first.process.pid)

    def test_bad_settings(self):
        file = os.path.join(self.scratch, "file")
        with open(file, "w"):
            pass
        plain = os.path.join(self.scratch, "plain")
        os.mkdir(plain, 0o755)
        with self.net.server:
            taken = socket.create_server(("127.0.0.1", 0))
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        for says, options, how in (
                ("is not a cgroup of version 2", (), {"cgroup": "/proc"}),
                ("is not a cgroup of version 2", (), {"cgroup": self.scratch}),
                ("cannot open the cgroup", (), {"cgroup": self.root + "/no-such"}),
                ("cannot open the cgroup", (), {"cgroup": file}),
                ("there is no group 'no-such'", ("--group", "no-such"), {}),
                ("there is no group '-1'", ("--group=-1",), {}),
                ("is not on a bpffs", (), {"pins": plain}),
                ("is not on a bpffs", (), {"pins": plain + "/new"}),
                ("is the whole bpffs", (), {"pins": self.bpffs}),
                ("cannot open", (), {"pins": self.bpffs + "/a/b"}),
                ("it is no socket", (), {"path": file}),
                ("cannot listen at", (), {"path": plain + "/no/socket"}),
                ("too long", (), {"path": "/" + "x" * 200}),
                ("--interface", ("--hook", "xdp"), {}),
                ("there is no interface 'nope'", ("--hook", "xdp", "--interface", "nope"), {}),
                ("there is no interface 'nope'", ("--hook", "xdp", "--interface", "veth0", "--interface", "nope"), {}),
                ("leave it out", ("--hook", "sockops", "--interface", "lo"), {}),
                ("asked for twice", ("--cgroup", self.cgroup), {}),
                ("power of two", ("--buckets", "100"), {}),
                ("--buckets", ("--buckets", "-1"), {}),
                ("--port", ("--port", "0"), {}),
                (busy, ("--metrics", busy), {}),
                ("is not an address", ("--metrics", "nonsense"), {})):
            with self.subTest(says=says, options=options, how=how):
                self.assertIn(says, self.refused(*options, **how))
                self.assertEqual(self.attached(), [])
                self.assertNotIn("xdp", self.net.server.run("ip link show veth0"))
                self.assertFalse(os.path.exists(self.files) and os.listdir(self.files))
        taken.close()
        self.assertEqual(os.stat(plain).st_mode & 0o777, 0o755)
        self.assertEqual(os.listdir(plain), [])
        self.assertEqual(os.stat(self.bpffs).st_mode & 0o777, 0o755)
        self.assertTrue(os.path.isfile(file))

    def test_a_version_1_cgroup(self):
        with open("/proc/self/mounts") as mounts:
            first = [line.split()[1] for line in mounts if line.split()[2] == "cgroup"]
        if not first:
            self.skipTest("kernel lacks a mounted cgroup of version 1")
        self.assertIn("is not a cgroup of version 2", self.refused(cgroup=first[0]))

    def test_a_failed_start_leaves_what_was_attached(self):
        daemon = self.start()
        daemon.line()
        daemon.end()
        before = self.ids()
        self.refused("--metrics", "nonsense")
        self.refused("--hook", "xdp", "--interface", "nope")
        self.refused("--buckets", "128", path=self.scratch + "/no/socket")
        self.assertEqual(self.ids(), before)
        self.answered(self.serve(2))

    def test_pins_of_others(self):
        os.makedirs(self.files)
        for name in ("foreign", "table", "meta", "pulse", "sockops-cgroup-7"):
            with self.subTest(name=name):
                path = os.path.join(self.files, name)
                pin_map(path, "other", value=65536 if name == "meta" else 4)
                for options in ((), ("--remove",)):
                    self.assertIn(f"{path} is not of synfpd", self.refused(*options))
                    self.assertTrue(os.path.exists(path))
                    self.assertEqual(self.attached(), [])
                os.unlink(path)
        os.mkdir(os.path.join(self.files, "directory"))
        self.assertIn("is not of synfpd", self.refused())
        os.rmdir(os.path.join(self.files, "directory"))

    def test_pins_of_other_sizes(self):
        daemon = self.start()
        daemon.line()
        daemon.end()
        path = os.path.join(self.files, "table")
        os.unlink(path)
        pin_map(path, "synfp_table", value=2048, entries=16)
        self.assertIn("are damaged", self.refused())
        self.assertTrue(os.path.exists(path))
        done = subprocess.run([SYNFP, "stats", "--pinned", self.pins], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("smaller than its metadata says", done.stderr)
        # Elements of another size are another version's: replaced.
        os.unlink(path)
        pin_map(path, "synfp_table", value=1024, entries=64)
        daemon = self.start()
        self.assertNotIn("(kept)", daemon.line())
        self.answered(self.serve(2))
        daemon.end()
        self.remove()
        self.nothing_is_left()

    # Clients.

    def as_nobody(self, *argv, groups=True):
        return ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}",
                f"--groups={GROUP}" if groups else "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", *argv]

    def test_a_client_without_rights_and_without_bpf(self):
        daemon = self.start("--group", str(GROUP))
        daemon.line()
        port = self.serve(2)
        self.answered(port)
        trace = os.path.join(self.scratch, "trace")
        with self.net.server:
            done = subprocess.run(["strace", "-f", "-o", trace, *self.as_nobody(*NO_BPF), SYNFP, "stats", "--json",
                                   "--interval", "0.1", "--pinned", self.socket], capture_output=True, text=True,
                                  timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn('"stored":1,', done.stdout)
        with open(trace) as file:
            text = file.read()
        self.assertNotRegex(text, r"\bbpf\(")
        lines = [line.split(" ", 1)[1] for line in text.splitlines()
                 if re.search(rf"connect\(.*{self.socket}|SCM_RIGHTS|PR_SET_SECCOMP", line)]
        self.assertTrue(any("SCM_RIGHTS" in line for line in lines), lines)
        print(*lines, sep="\n")
        with self.net.server:
            watch = subprocess.Popen(self.as_nobody(*NO_BPF, SYNFP, "watch", "--count", "1", "--pinned", self.socket),
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("watching", watch.stderr.readline())
        time.sleep(0.3)
        self.answered(port)
        out, errors = watch.communicate(timeout=20)
        self.assertEqual(watch.returncode, 0, errors)
        self.assertIn("198.18.0.1", out)
        # By the pins, too, with bpf().
        with self.net.server:
            done = subprocess.run(self.as_nobody(SYNFP, "stats", "--pinned", self.pins), capture_output=True, text=True,
                                  timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Outside of the group.
        for where, says in ((self.socket, "synfpd --group"), (self.pins, "Permission denied")):
            done = subprocess.run(self.as_nobody(SYNFP, "stats", "--pinned", where, groups=False), capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(says, done.stderr)
        # Nor can the group hold the daemon's lock.
        done = subprocess.run(self.as_nobody("flock", "-n", self.files, "true"), capture_output=True, text=True)
        self.assertIn("Permission denied", done.stderr)

    def test_clients_that_hang_stall_nobody(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        # Its own limit is the usual one, and bounds what it has in flight.
        daemon = self.start("--group", str(GROUP), prefix=("prlimit", "--nofile=1024"))
        daemon.line()
        script = """
import socket, sys, time
held = []
for _ in range(1000):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    held.append(s)
print("held", flush=True)
sys.stdin.read()
"""
        attacker = subprocess.Popen(self.as_nobody("/usr/bin/python3", "-c", script, self.socket), stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        self.addCleanup(attacker.stdout.close)
        self.addCleanup(attacker.kill)
        self.assertEqual(attacker.stdout.readline(), "held\n")
        self.beats(daemon.process.pid)
        for _ in range(20):
            self.assertEqual(self.stats()["probe"]["owner"], daemon.process.pid)
        done = subprocess.run(self.as_nobody(SYNFP, "stats", "--pinned", self.socket), capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertIn("not read", done.stderr)
        attacker.stdin.close()
        attacker.wait(20)
        done = subprocess.run(self.as_nobody(SYNFP, "stats", "--pinned", self.socket), capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(daemon.end(), (0, ""))

    # The service manager, and the scrape.

    def test_the_service_manager_is_told(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = os.path.join(self.scratch, "notify")
            manager.bind(path)
            manager.settimeout(10)
            daemon = self.start(env={**os.environ, "NOTIFY_SOCKET": path})
            line = daemon.line()
            self.assertEqual(manager.recv(4096).decode(), "READY=1\nSTATUS=" + line[len("synfpd: "):].rstrip("\n"))
            self.assertEqual(manager.recv(4096), b"WATCHDOG=1")
            daemon.process.send_signal(signal.SIGHUP)
            seen = [manager.recv(4096).decode()]
            while not seen[-1].startswith("READY=1"):
                seen.append(manager.recv(4096).decode())
            self.assertRegex([one for one in seen if one != "WATCHDOG=1"][0], r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            daemon.process.send_signal(signal.SIGTERM)
            while (last := manager.recv(4096)) == b"WATCHDOG=1":
                pass
            self.assertEqual(last, b"STOPPING=1")
            self.assertEqual(daemon.end(), (0, ""))

    def get(self, path):
        with self.net.server:
            try:
                with urllib.request.urlopen("http://127.0.0.1:9123" + path, timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as e:
                return e.code, e.read().decode()

    def test_metrics_and_health(self):
        daemon = self.start("--metrics", "127.0.0.1:9123")
        self.assertIn("metrics on http://127.0.0.1:9123/metrics", daemon.line())
        status, text = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("synfpd_alive 1\n", text)
        names = subprocess.run(PARSE, input=text, capture_output=True, text=True, check=True).stdout.split()
        self.assertIn("synfpd_alive", names)
        self.assertEqual(self.get("/healthz"), (200, "ok\n"))
        daemon.reload()
        self.assertEqual(self.get("/healthz")[0], 200)
        self.remove_cgroup()
        self.eventually(lambda: self.get("/healthz")[0] == 503, 15)
        self.assertIn("synfpd_alive 0\n", self.get("/metrics")[1])
        self.assertIn("is gone; attach it again", daemon.end()[1])

    # Capabilities.

    def given(self, *names):
        every = ",".join("+" + name for name in names)
        return ("setpriv", "--inh-caps=-all" + ("," + every if every else ""),
                "--bounding-set=-all" + ("," + every if every else ""), "--")

    def test_capabilities(self):
        needed = ("bpf", "net_admin", "perfmon")
        for names, group in ((needed, ()), ((*needed, "chown"), ("--group", str(GROUP)))):
            for hook in ((), ("--hook", "xdp", "--interface", "veth0")):
                with self.subTest(names=names, hook=hook):
                    daemon = self.start(*hook, *group, prefix=self.given(*names))
                    daemon.line()
                    for _ in range(2):
                        status = status_of(daemon.process.pid)
                        permitted = sh(f"capsh --decode={status['CapPrm']}").strip().partition("=")[2].split(",")
                        self.assertEqual(set(permitted), {"cap_" + name for name in names})
                        self.assertEqual([int(status[one], 16) for one in ("CapEff", "CapInh", "CapAmb")], [0, 0, 0])
                        self.assertEqual(status["NoNewPrivs"], "1")
                        daemon.reload()
                    self.assertEqual(daemon.end(), (0, ""))
                    self.remove()
            for lacks in names:
                # hook::sockops starts without CAP_PERFMON where the verifier needs nothing of it; XDP does not.
                hook = ("--hook", "xdp", "--interface", "veth0") if lacks == "perfmon" else ()
                with self.subTest(lacks=lacks, group=group):
                    left = [name for name in names if name != lacks]
                    line = self.refused(*hook, *group, prefix=self.given(*left))
                    self.assertIn("missing cap_" + lacks if lacks != "chown" else "change the group", line)
                    self.assertEqual(self.attached(), [])
        # All of them: what it does not need is given up.
        daemon = self.start()
        daemon.line()
        status = status_of(daemon.process.pid)
        self.assertEqual(sh(f"capsh --decode={status['CapPrm']}").strip().partition("=")[2].split(","),
                         ["cap_chown", "cap_net_admin", "cap_perfmon", "cap_bpf"])
        self.assertEqual(status["CapBnd"], status["CapPrm"])


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    unittest.main(verbosity=2)
