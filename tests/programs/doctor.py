#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""synfp doctor against what other programs say of this machine, and where things are missing, refused or fatal.

Usage: doctor.py BUILD_DIRECTORY [unittest arguments]. Needs root."""
import contextlib
import ctypes
import errno
import json
import os
import platform
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from netns import LIBC, Namespace, Pair, sh

BUILD = os.path.abspath(sys.argv.pop(1))
SYNFP = os.path.join(BUILD, "tools", "cli", "synfp")
NUMBERS = {"x86_64": dict(socket=41, listen=50, clone=56, capget=125, prctl=157, unshare=272, bpf=321, io_uring_setup=425,
                          io_uring_enter=426, io_uring_register=427, clone3=435),
           "aarch64": dict(capget=90, unshare=97, prctl=167, socket=198, listen=201, clone=220, bpf=280, io_uring_setup=425,
                           io_uring_enter=426, io_uring_register=427, clone3=435)}[platform.machine()]
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7fff0000
CLONE_NEWUSER = 0x10000000
STATUSES = {"ok", "warn", "no", "unknown"}
OPTIONAL = type(None)
# The members of "values": stable.
SCHEMA = {
    "kernel": {"release": str, "machine": str},
    "btf": {"present": (bool, OPTIONAL)},
    "jit": {"enable": (int, OPTIONAL), "harden": (int, OPTIONAL)},
    "lockdown": {"mode": (str, OPTIONAL)},
    "unprivileged_bpf": {"disabled": (int, OPTIONAL)},
    "user_namespace": {"initial": (bool, OPTIONAL)},
    "capabilities": {"effective": list, "missing": dict},
    "seccomp": {"filtered": (bool, OPTIONAL), "no_new_privs": (bool, OPTIONAL)},
    "memlock": {"soft": (int, OPTIONAL), "hard": (int, OPTIONAL), "cap_ipc_lock": bool},
    "open_files": {"soft": (int, OPTIONAL), "hard": (int, OPTIONAL)},
    "io_uring": {"setup_errno": int, "enter_errno": (int, OPTIONAL), "register_errno": (int, OPTIONAL),
                 "reason": (str, OPTIONAL), "disabled": (int, OPTIONAL), "group": (int, OPTIONAL)},
    "cgroup": {"version2": bool, "version1": bool, "mount": (str, OPTIONAL), "path": (str, OPTIONAL),
               "attach": (bool, OPTIONAL), "programs": (list, OPTIONAL)},
    "syn_cookies": {"tcp_syncookies": (int, OPTIONAL)},
    "backlog": {"somaxconn": (int, OPTIONAL), "tcp_max_syn_backlog": (int, OPTIONAL)},
    "interface": {"index": int, "up": bool, "driver": (str, OPTIONAL), "xdp_native": (bool, OPTIONAL),
                  "xdp_program": (int, OPTIONAL), "xdp_name": (str, OPTIONAL), "xdp_mode": (str, OPTIONAL),
                  "tcx": (list, OPTIONAL)},
    "hook": {"loads": (bool, OPTIONAL), "missing": (str, OPTIONAL), "attaches_to": str},
    "self_test": {"references": list, "equal": (bool, OPTIONAL), "proof": (str, OPTIONAL), "miss": (str, OPTIONAL)},
}
ONCE = [name for name in SCHEMA if name not in ("interface", "hook", "self_test")]


def filtered(actions):
    """For preexec_fn: system calls by name to what they get, an errno or KILL."""
    program = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # the number of the call
    for name, action in actions.items():
        program.append(struct.pack("HBBI", 0x15, 0, 1, NUMBERS[name]))
        program.append(struct.pack("HBBI", 0x06, 0, 0, KILL if action == KILL else ERRNO | action))
    program.append(struct.pack("HBBI", 0x06, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    head = ctypes.create_string_buffer(struct.pack("HQ", len(program), ctypes.addressof(code)))

    def install():
        LIBC.prctl(38, 1, 0, 0, 0)  # no_new_privs
        if LIBC.prctl(22, 2, head, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
            os._exit(99)
        assert code
    return install


class Doctor(unittest.TestCase):
    def setUp(self):
        self.net = Pair()
        self.addCleanup(self.net.delete)
        self.scratch = tempfile.mkdtemp(prefix="synfp-doctor-")
        self.addCleanup(shutil.rmtree, self.scratch)
        os.chmod(self.scratch, 0o755)

    def run_doctor(self, *options, prefix=(), before=None, stdout=subprocess.PIPE):
        """In the server's namespace: (status, stdout, stderr)."""
        with self.net.server:
            done = subprocess.run([*prefix, SYNFP, "doctor", *options], stdout=stdout, stderr=subprocess.PIPE, text=True,
                                  timeout=100, preexec_fn=before)
        return done.returncode, done.stdout, done.stderr

    def doctor(self, *options, prefix=(), before=None, status=None):
        """The checks by name, and the whole object as "report"."""
        got, out, errors = self.run_doctor("--json", *options, prefix=prefix, before=before)
        self.assertEqual(errors, "")
        self.assertEqual(out.count("\n"), 1, out)
        report = json.loads(out)
        self.assertEqual(list(report), ["status", "verdict", "io_uring", "sources", "checks"])
        self.assertEqual(report["status"], got)
        if status is not None:
            self.assertEqual(got, status, report)
        checks = {}
        for one in report["checks"]:
            self.assertEqual(list(one), ["name", "status", "what", "todo", "values"])
            self.assertIn(one["status"], STATUSES)
            self.assertTrue(one["what"])
            self.assertNotIn("\n", one["what"])
            self.assertNotIn(one["name"], checks)
            schema = SCHEMA[one["name"].split(".")[0]]
            if one["values"]:
                self.assertEqual(list(one["values"]), list(schema), one)
                for name, kind in schema.items():
                    self.assertIsInstance(one["values"][name], kind, one)
            else:
                self.assertIn(one["status"], ("no", "unknown"), one)
            checks[one["name"]] = one
        self.assertEqual([name for name in checks if name in ONCE], ONCE)
        checks["report"] = report
        return checks

    def sysctl(self, name):
        return int(self.net.server.run(f"sysctl -n {name}"))

    # What other programs say.

    def test_machine(self):
        got = self.doctor(status=0)
        self.assertEqual(got["kernel"]["values"], {"release": sh("uname -r").strip(), "machine": sh("uname -m").strip()})
        self.assertEqual(got["btf"]["values"]["present"], os.path.exists("/sys/kernel/btf/vmlinux"))
        self.assertEqual(got["unprivileged_bpf"]["values"]["disabled"], self.sysctl("kernel.unprivileged_bpf_disabled"))
        self.assertTrue(got["user_namespace"]["values"]["initial"])
        jit = subprocess.run([SYNFP, "doctor", "--json", "--interface", "lo"], stdout=subprocess.PIPE, text=True, timeout=60)
        jit = next(one for one in json.loads(jit.stdout)["checks"] if one["name"] == "jit")
        self.assertEqual(jit["values"], {"enable": int(sh("sysctl -n net.core.bpf_jit_enable")),
                                         "harden": int(sh("sysctl -n net.core.bpf_jit_harden"))})
        if os.path.exists("/sys/kernel/security/lockdown"):
            with open("/sys/kernel/security/lockdown") as file:
                self.assertIn(f"[{got['lockdown']['values']['mode']}]", file.read())
        else:
            self.assertIsNone(got["lockdown"]["values"]["mode"])

    def test_cookies_and_backlog(self):
        for cookies, expected in ((0, "warn"), (1, "ok"), (2, "warn")):
            self.net.server.run(f"sysctl -qw net.ipv4.tcp_syncookies={cookies}")
            got = self.doctor(status=0)
            self.assertEqual(got["syn_cookies"]["values"], {"tcp_syncookies": cookies})
            self.assertEqual(got["syn_cookies"]["status"], expected)
            self.assertEqual(self.sysctl("net.ipv4.tcp_syncookies"), cookies)
        self.net.server.run("sysctl -qw net.core.somaxconn=77 net.ipv4.tcp_max_syn_backlog=99")
        got = self.doctor(status=0)["backlog"]
        self.assertEqual((got["status"], got["values"]), ("warn", {"somaxconn": 77, "tcp_max_syn_backlog": 99}))
        self.assertIn("net.core.somaxconn", got["todo"])

    def test_limits(self):
        def limits():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 1 << 20))
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        got = self.doctor(before=limits, status=0)
        self.assertEqual(got["memlock"]["values"], {"soft": 65536, "hard": 1 << 20, "cap_ipc_lock": True})
        self.assertEqual(got["open_files"]["values"], {"soft": 100, "hard": 200})
        self.assertEqual((got["memlock"]["status"], got["open_files"]["status"]), ("ok", "warn"))
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        got = self.doctor(before=limits, prefix=nobody)
        self.assertEqual((got["memlock"]["status"], got["memlock"]["values"]["cap_ipc_lock"]), ("warn", False))

    def capabilities(self, prefix):
        """As capsh decodes what the kernel says of a process started so."""
        with self.net.server:
            text = subprocess.run([*prefix, "cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True, check=True).stdout
        mask = re.search(r"CapEff:\s*(\w+)", text)[1]
        names = sh(f"capsh --decode={mask}").strip().partition("=")[2]
        return sorted(names.split(",")) if names else []

    def test_capabilities_and_the_hooks_that_need_them(self):
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        sets = [(), ("bpf",), ("bpf", "perfmon"), ("bpf", "net_admin"), ("bpf", "perfmon", "net_admin")]
        hooks = None
        for given in sets:
            with self.subTest(given=given):
                add = "".join(f",+{name}" for name in given)
                prefix = [*user, f"--inh-caps=-all{add}", f"--ambient-caps=-all{add}"]
                got = self.doctor(prefix=prefix, status=0)  # saved_syn needs none
                self.assertEqual(sorted(got["capabilities"]["values"]["effective"]), self.capabilities(prefix))
                missing = got["capabilities"]["values"]["missing"]
                hooks = hooks or list(missing)
                self.assertEqual([f"hook.{name}" for name in missing], [name for name in got if name.startswith("hook.")])
                for name, lacks in missing.items():
                    in_cgroup = got["hook." + name]["values"]["attaches_to"] == "cgroup"
                    if not lacks and "this kernel has neither" in got["hook." + name]["what"]:
                        self.assertEqual((name, got["hook." + name]["status"]), ("kprobe", "no"))
                        continue
                    self.assertEqual(got["hook." + name]["status"], "no" if lacks else "unknown" if in_cgroup else "ok",
                                     got["hook." + name])
                    self.assertEqual(got["hook." + name]["values"]["missing"], ",".join(lacks) or None)
                    self.assertFalse(set(lacks) & {"cap_" + one for one in given})
                    if lacks:
                        self.assertNotIn(name, got["report"]["sources"])
                        self.assertIn("missing " + ",".join(lacks), got["hook." + name]["what"])
                all_lack = all(missing.values())
                self.assertEqual(got["capabilities"]["status"],
                                 "no" if all_lack else "warn" if any(missing.values()) else "ok")
                if "bpf" in given:
                    # Loopback of this namespace: compared with the saved SYN, for lack of CAP_NET_RAW.
                    self.assertEqual(missing["reuseport"], [])
                    one = got["self_test.reuseport.ipv4"]
                    self.assertEqual((one["status"], one["values"]["references"]), ("ok", ["saved_syn"]), one)
                    self.assertEqual(got["self_test.reuseport.ipv6.cookies"]["status"], "unknown")
        self.assertIn("xdp", hooks)
        dropped = ["capsh", "--drop=cap_bpf", "--", "-c", 'exec "$0" "$@"']
        got = self.doctor(prefix=dropped)
        self.assertNotIn("cap_bpf", got["capabilities"]["values"]["effective"])
        self.assertIn("cap_net_admin", got["capabilities"]["values"]["effective"])

    def test_the_cgroup(self):
        with open("/proc/self/mounts") as file:
            all_mounts = [line.split() for line in file]
        mounts = [one for one in all_mounts if one[2] == "cgroup2"]
        if not mounts:
            self.skipTest("kernel lacks a mounted cgroup2")
        mount = mounts[0][1]
        here = os.path.join(mount, f"synfp{os.getpid()}")
        os.mkdir(here)
        self.addCleanup(os.rmdir, here)

        def move():
            with open(os.path.join(here, "cgroup.procs"), "w") as file:
                file.write("0")
        got = self.doctor(before=move, status=0)["cgroup"]
        self.assertEqual(got["status"], "ok", got)
        self.assertEqual(got["values"], {"version2": True, "version1": any(one[2] == "cgroup" for one in all_mounts),
                                         "mount": mount, "path": f"/synfp{os.getpid()}", "attach": True, "programs": []})
        self.assertEqual(sh(f"bpftool cgroup show {here} effective").count("\n"), 0)
        got = self.doctor(prefix=["unshare", "-m", "sh", "-c", f"umount -l {mount} && exec \"$0\" \"$@\""])["cgroup"]
        self.assertEqual((got["status"], got["values"]["version2"]), ("no", False), got)
        # A namespace that begins below the place of this process.
        got = self.doctor(before=move, prefix=["unshare", "-C", "sh", "-c",
                                               f"echo $$ > {mount}/cgroup.procs && exec \"$0\" \"$@\""])["cgroup"]
        self.assertEqual((got["status"], got["values"]["path"]), ("no", "/.."), got)

    # Interfaces.

    def bpf(self, command, data):
        attributes = ctypes.create_string_buffer(data, 144)
        fd = LIBC.syscall(NUMBERS["bpf"], command, attributes, len(attributes))
        if fd < 0:
            raise OSError(ctypes.get_errno(), "bpf")
        return fd

    def program(self, kind, name, expected=0):
        """One that passes everything."""
        code = ctypes.create_string_buffer(struct.pack("BBhi", 0xb7, 0, 0, 2 if kind == 6 else 0) +
                                           struct.pack("BBhi", 0x95, 0, 0, 0))
        licence = ctypes.create_string_buffer(b"GPL")
        return self.bpf(5, struct.pack("=IIQQIIQII16sII", kind, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0,
                                       0, name.encode(), 0, expected))

    def test_interfaces(self):
        got = self.doctor()
        links = {one["ifname"]: one for one in json.loads(self.net.server.run("ip -j -d link"))}
        self.assertEqual({name for name in got if name.startswith("interface.")}, {"interface." + name for name in links})
        for name, link in links.items():
            values = got["interface." + name]["values"]
            self.assertEqual((values["index"], values["up"]), (link["ifindex"], "UP" in link["flags"]))
            self.assertEqual((values["xdp_program"], values["xdp_mode"]), (0, None))
        self.assertEqual(got["interface.veth0"]["values"]["driver"], "veth")
        if got["interface.veth0"]["values"]["xdp_native"] is not None:  # Linux 6.3
            self.assertTrue(got["interface.veth0"]["values"]["xdp_native"])
            self.assertFalse(got["interface.lo"]["values"]["xdp_native"])
        only = self.doctor("--interface", "veth0")
        self.assertEqual([name for name in only if name.startswith("interface.")], ["interface.veth0"])

    def test_the_program_of_somebody_else_is_named(self):
        bpffs = os.path.join(self.scratch, "bpf")
        os.mkdir(bpffs)
        sh(f"mount -t bpf bpf {bpffs}")
        self.addCleanup(sh, f"umount -l {bpffs}")
        fd = self.program(6, "stranger")
        self.addCleanup(os.close, fd)
        path = ctypes.create_string_buffer(os.path.join(bpffs, "p").encode())
        self.bpf(6, struct.pack("=QII", ctypes.addressof(path), fd, 0))
        self.net.server.run(f"ip link set dev veth0 xdpgeneric pinned {bpffs}/p")
        shown = json.loads(self.net.server.run("ip -j link show veth0"))[0]["xdp"]
        one = self.doctor("--interface", "veth0")["interface.veth0"]
        self.assertEqual(one["status"], "warn")
        values = one["values"]
        self.assertEqual((values["xdp_program"], values["xdp_name"], values["xdp_mode"]),
                         (shown["prog"]["id"], "stranger", "generic"))
        self.assertIn("another program", one["what"])
        self.net.server.run("ip link set dev veth0 xdpgeneric off")
        with self.net.server:
            watch = subprocess.Popen([SYNFP, "watch", "--interface", "veth0"], stderr=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, text=True)
        try:
            self.assertIn("watching", watch.stderr.readline())
            one = self.doctor("--interface", "veth0")["interface.veth0"]
            self.assertEqual((one["status"], one["values"]["xdp_name"], one["values"]["xdp_mode"]),
                             ("ok", "synfp_xdp", "native"))
            self.assertIn("a probe of synfp", one["what"])
        finally:
            watch.terminate()
            watch.communicate(timeout=20)
        tcx = self.doctor("--interface", "veth0")["interface.veth0"]
        if tcx["values"]["tcx"] is None:
            self.assertIn("no tcx in this kernel", tcx["what"])
            return
        fd = self.program(3, "neighbour")
        self.addCleanup(os.close, fd)
        with self.net.server:
            link = self.bpf(28, struct.pack("=III", fd, self.net.server_ifindex(), 46))
        self.addCleanup(os.close, link)
        self.assertEqual(self.doctor("--interface", "veth0")["interface.veth0"]["values"]["tcx"], ["neighbour"])

    # The self-test.

    def test_every_hook_finds_the_known_syn(self):
        got = self.doctor(status=0)
        hooks = list(got["capabilities"]["values"]["missing"])
        self.assertGreaterEqual(set(hooks), {"reuseport", "xdp"})
        for hook in hooks:
            if got["hook." + hook]["status"] != "ok":  # one that this kernel does not have says so
                self.assertTrue(got["hook." + hook]["what"])
                continue
            for family in ("ipv4", "ipv6"):
                for cookies in ("", ".cookies"):
                    one = got[f"self_test.{hook}.{family}{cookies}"]
                    self.assertEqual((one["status"], one["values"]["equal"]), ("ok", True), one)
                    # A hook on a cgroup answers TCP_SAVED_SYN under cookies too.
                    saved = not cookies or got["hook." + hook]["values"]["attaches_to"] == "cgroup"
                    self.assertEqual(one["values"]["references"], ["packet", "saved_syn"] if saved else ["packet"])
            self.assertIn(hook, got["report"]["sources"])
        self.assertEqual(got["self_test.reuseport.ipv4.cookies"]["values"]["proof"], "verified")
        for family in ("ipv4", "ipv6"):
            one = got[f"self_test.saved_syn.{family}"]
            self.assertEqual((one["status"], one["values"]["proof"], one["values"]["references"]), ("ok", "exact", ["packet"]))

    def test_it_leaves_nothing_behind(self):
        def state():
            return (self.net.server.run("ip -j link; ip -j addr; sysctl net.ipv4.tcp_syncookies"), sh("ip netns | sort"),
                    sorted(one["name"] for one in json.loads(sh("bpftool -j prog list"))
                           if one.get("name", "").startswith("synfp")),
                    sh("find /sys/fs/cgroup -name 'synfp-doctor*'"))
        self.doctor()
        before = state()
        self.doctor()
        deadline = time.monotonic() + 10
        while state() != before:  # programs are freed a little later
            self.assertLess(time.monotonic(), deadline, (before, state()))

    def test_without_ipv6(self):
        got = self.doctor(before=filtered({"unshare": errno.EPERM}))
        self.assertEqual(got["self_test.reuseport.ipv6"]["status"], "ok")
        self.net.server.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        got = self.doctor(before=filtered({"unshare": errno.EPERM}), status=0)
        self.assertEqual((got["self_test.reuseport.ipv4"]["status"], got["self_test.reuseport.ipv6"]["status"]),
                         ("ok", "unknown"))
        self.assertIn("no IPv6", got["self_test.reuseport.ipv6"]["what"])

    # Where things are missing, refused or fatal.

    def io_uring(self, before, prefix=(), disabled=None):
        """The check io_uring, and the exit status; `disabled`: what the sysctl is made to say."""
        if disabled is not None:
            name = os.path.join(self.scratch, "disabled")
            with open(name, "w") as file:
                file.write(f"{disabled}\n")
            prefix = ["unshare", "-m", "sh", "-c",
                      f"mount --bind {name} /proc/sys/kernel/io_uring_disabled && exec \"$0\" \"$@\"", *prefix]
        got = self.doctor(before=before, prefix=prefix)
        return got["io_uring"], got["report"]

    def test_why_there_is_no_io_uring(self):
        has_sysctl = os.path.exists("/proc/sys/kernel/io_uring_disabled")
        cases = [("seccomp", dict(io_uring_setup=errno.EPERM), 0), ("seccomp", dict(io_uring_setup=errno.ENOSYS), None),
                 ("sysctl", dict(io_uring_setup=errno.EPERM), 2), ("group", dict(io_uring_setup=errno.EPERM), 1),
                 ("kernel", dict(io_uring_setup=errno.EINVAL), None), ("memlock", dict(io_uring_setup=errno.ENOMEM), None),
                 ("seccomp", dict(io_uring_enter=errno.EPERM), None), ("seccomp", dict(io_uring_register=errno.EPERM), None)]
        for reason, calls, disabled in cases:
            if disabled is not None and not has_sysctl:
                continue  # Linux 6.6
            with self.subTest(reason=reason, calls=calls):
                one, report = self.io_uring(filtered(calls), disabled=disabled)
                self.assertEqual((one["status"], one["values"]["reason"]), ("no", reason), one)
                self.assertEqual((report["status"], report["io_uring"]), (1, False))
                self.assertIn("no io_uring", report["verdict"])
                if disabled is not None:
                    self.assertEqual(one["values"]["disabled"], disabled)
                number = next(iter(calls.values()))
                self.assertEqual(number, one["values"][next(iter(calls)).removeprefix("io_uring_") + "_errno"])
        one, report = self.io_uring(filtered({"io_uring_setup": KILL}))
        self.assertEqual((one["status"], report["status"]), ("no", 1))
        self.assertIn("kills", one["what"])
        # For real: no locked memory.
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "prlimit", "--memlock=0"]
        one, report = self.io_uring(None, prefix=nobody)
        self.assertEqual((one["status"], one["values"]["setup_errno"], one["values"]["reason"]), ("no", errno.ENOMEM, "memlock"))

    def test_exit_status(self):
        self.assertEqual(self.doctor()["report"]["status"], 0)
        only_server = self.doctor(before=filtered({"listen": errno.EPERM}))["report"]
        self.assertEqual((only_server["status"], only_server["io_uring"], only_server["sources"]), (1, True, []))
        neither = self.doctor(before=filtered({"listen": errno.EPERM, "io_uring_setup": errno.ENOSYS}))["report"]
        self.assertEqual((neither["status"], neither["io_uring"], neither["sources"]), (2, False, []))
        status, out, errors = self.run_doctor("--interface", "nosuch0")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("there is no interface 'nosuch0'", errors)

    def test_text_says_what_json_says(self):
        status, text, errors = self.run_doctor()
        self.assertEqual((status, errors), (0, ""))
        checks = self.doctor()["report"]["checks"]
        lines = text.splitlines()
        self.assertEqual(len(lines), len(checks) + 1)
        for line, one in zip(lines, checks):
            status, name, rest = line.split(maxsplit=2)
            self.assertEqual((status, name), (one["status"], one["name"]))
            self.assertEqual(rest, one["what"] + ("; " + one["todo"] if one["todo"] else ""))
        self.assertEqual(lines[-1].split()[:2], ["ok", "verdict"])

    def test_in_a_container(self):
        """A user, mount, process and network namespace of its own, no capability that counts, a filter as Docker's."""
        like = filtered(dict.fromkeys(("bpf", "io_uring_setup", "io_uring_enter", "io_uring_register"), errno.EPERM))
        inside = ["unshare", "-U", "-r", "-m", "-p", "-n", "--fork", "--mount-proc", "--"]
        got = self.doctor(prefix=inside, before=like, status=1)
        self.assertEqual(got["report"]["sources"], ["saved_syn"])
        for name, status in {"user_namespace": "no", "capabilities": "no", "seccomp": "warn", "io_uring": "no", "cgroup": "no",
                             "hook.reuseport": "no", "hook.xdp": "no", "self_test.saved_syn.ipv4": "ok"}.items():
            self.assertEqual(got[name]["status"], status, got[name])
            if status == "no" and not name.startswith("hook."):
                self.assertTrue(got[name]["todo"] or name == "capabilities", got[name])
        self.assertEqual(got["io_uring"]["values"]["reason"], "seccomp")
        self.assertIn("user namespace", got["hook.reuseport"]["what"])
        self.assertNotIn("interface.veth0", got)

        # And without /proc and /sys.
        bare = ["unshare", "-U", "-r", "-m", "-p", "-n", "--fork", "--", "sh", "-c",
                "mount -t tmpfs none /proc && mount -t tmpfs none /sys && exec \"$0\" \"$@\""]
        got = self.doctor(prefix=bare, before=like, status=1)
        for name in ("btf", "jit", "lockdown", "unprivileged_bpf", "user_namespace", "cgroup", "syn_cookies", "backlog"):
            self.assertEqual(got[name]["status"], "unknown", got[name])
        self.assertEqual(got["io_uring"]["values"]["reason"], "seccomp")
        self.assertEqual(got["hook.reuseport"]["status"], "no")
        self.assertEqual(got["report"]["sources"], ["saved_syn"])

    def test_proc_is_not_what_it_seems(self):
        """A pipe, a directory and a large file where sysctls are expected."""
        made = [os.path.join(self.scratch, name) for name in ("pipe", "large")]
        os.mkfifo(made[0])
        with open(made[1], "w") as file:
            file.write("9" * 100000)
        places = ("/proc/sys/net/core/somaxconn", "/proc/sys/kernel/unprivileged_bpf_disabled")
        binds = " && ".join(f"mount --bind {one} {place}" for one, place in zip(made, places))
        got = self.doctor(prefix=["unshare", "-m", "sh", "-c", f'{binds} && exec "$0" "$@"'])
        self.assertEqual(got["backlog"]["status"], "unknown")
        self.assertEqual(got["unprivileged_bpf"]["status"], "unknown")

    def test_filters_that_kill_or_refuse(self):
        # Not prctl: a library that libpcap brings calls it before main().
        for calls in ({"bpf": KILL}, {"capget": KILL}, {"unshare": KILL}, {"bpf": errno.EPERM},
                      {"bpf": errno.ENOSYS}, {"capget": errno.EPERM}, {"prctl": errno.EPERM},
                      {"clone": errno.EPERM, "clone3": errno.ENOSYS}, {"socket": errno.EPERM}, {"unshare": errno.EPERM}):
            with self.subTest(calls=calls):
                before = time.monotonic()
                got = self.doctor(before=filtered(calls))
                self.assertLess(time.monotonic() - before, 60)
                name = next(iter(calls))
                if name == "bpf":
                    self.assertEqual(got["report"]["sources"], ["saved_syn"])
                    self.assertEqual(got.get("hook.xdp", got.get("self_test.xdp"))["status"], "no")
                if calls == {"bpf": errno.EPERM}:
                    self.assertIn("seccomp filter", got["hook.xdp"]["what"])
                if name == "socket":
                    self.assertEqual(got["report"]["sources"], [])
                if name == "clone":
                    self.assertIn("reuseport", got["report"]["sources"])

    def test_the_reader_leaves(self):
        with open("/dev/full", "w") as full:
            status, _, errors = self.run_doctor(stdout=full)
        self.assertEqual(status, 2)
        self.assertIn("cannot write the output", errors)
        ends = os.pipe()
        os.close(ends[0])
        self.assertEqual(self.run_doctor(stdout=ends[1])[::2], (1, ""))
        os.close(ends[1])


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    unittest.main(verbosity=2)
