# SPDX-License-Identifier: MIT
"""Network namespaces for the end-to-end tests: a server's and a client's, joined by a veth pair."""
import ctypes
import os
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def sh(command):
    """Runs a shell command; its output, or an error with it."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


class Namespace:
    def __init__(self, name):
        self.name = f"synfp{os.getpid()}{name}"
        sh(f"ip netns add {self.name}")
        self.run("ip link set lo up")

    def run(self, command):
        return sh(f"ip netns exec {self.name} {command}")

    def command(self, *argv):
        """argv to run a program inside."""
        return ["ip", "netns", "exec", self.name, *argv]

    def __enter__(self):
        """Moves this thread inside: sockets made now belong to the namespace."""
        self.back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._set(f"/run/netns/{self.name}")
        return self

    def __exit__(self, *_):
        self._set(f"/proc/self/fd/{self.back}")
        os.close(self.back)

    @staticmethod
    def _set(path):
        fd = os.open(path, os.O_RDONLY)
        try:
            if LIBC.setns(fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")
        finally:
            os.close(fd)

    def delete(self):
        sh(f"ip netns del {self.name}")


class Pair:
    """server: 198.18.0.2, 2001:db8::2, fe80::2; client: the same with .1; both on veth0."""

    def __init__(self):
        self.server = Namespace("s")
        self.client = Namespace("c")
        sh(f"ip link add veth0 netns {self.server.name} type veth peer name veth0 netns {self.client.name}")
        for side, n in ((self.client, 1), (self.server, 2)):
            side.run("sysctl -qw net.ipv6.conf.veth0.accept_dad=0 net.ipv6.conf.veth0.addr_gen_mode=1")
            side.run(f"ip addr add 198.18.0.{n}/15 dev veth0")
            side.run("ip link set veth0 up")
            side.run(f"ip -6 addr add 2001:db8::{n}/64 dev veth0 nodad")
            side.run(f"ip -6 addr add fe80::{n}/64 dev veth0 nodad")
            side.run(f"ip route add default via 198.18.0.{3 - n}")

    def server_ifindex(self):
        return int(self.server.run("cat /sys/class/net/veth0/ifindex"))

    def client_ifindex(self):
        return int(self.client.run("cat /sys/class/net/veth0/ifindex"))

    def delete(self):
        self.client.delete()
        self.server.delete()
