#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real tools under the eyes of p0f and of synfp: nmap, masscan, zmap, hping3 and curl scan a namespace in which p0f
listens, with our own database, and tcpdump records. What p0f logs of each SYN is what `synfp read` says of the
recording, signature and label, and it names the tool.

Usage: p0f_tools.py P0F SYNFP DATABASE. Needs root. Every tool has destination ports of its own, by which its SYNs are
told apart."""
import collections
import http.server
import ipaddress
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs"))
from netns import Pair  # noqa: E402

P0F, SYNFP, DATABASE = map(os.path.abspath, sys.argv[1:4])
V4, V6 = "198.18.0.2", "2001:db8::2"
LAST_PORT = 9  # of the connection behind which nothing comes
FIN, SYN, RST, ACK = 1, 2, 4, 16
TIMEOUT = 30

# Name, destination ports, families, what p0f says with our database, command.
Tool = collections.namedtuple("Tool", "name ports families label command")
LINUX = "Linux 6.16 and newer"
LINUX_BEFORE = "Linux 4.20 to 6.15, newer up to 1 GB"
TOOLS = [
    Tool("nmap -sS", range(1001, 1101), (4,), "nmap SYN scan", f"nmap -n -Pn -sS -p 1001-1100 {V4}"),
    Tool("nmap -6 -sS", range(1101, 1201), (6,), "nmap SYN scan", f"nmap -6 -n -Pn -sS -p 1101-1200 {V6}"),
    Tool("masscan", range(2001, 2051), (4,), "masscan",
         f"masscan -p 2001-2050 --rate 1000 --wait 0 -e veth0 --source-ip 198.18.0.1 --router-mac MAC {V4}"),
    Tool("masscan, IPv6", range(2101, 2151), (6,), "masscan",
         f"masscan -p 2101-2150 --rate 1000 --wait 0 -e veth0 --source-ip 2001:db8::1 --router-mac MAC {V6}"),
    Tool("zmap", [3001], (4,), "zmap", "zmap -C /dev/null -b /dev/null -q -v 0 -i veth0 -S 198.18.0.1 -G MAC -p 3001 "
         f"-P 5 -r 100 -c 1 -o /dev/null {V4}/32"),
    Tool("hping3 -S", [4001], (4,), "hping3 SYN", f"hping3 -S -p 4001 -c 20 -i u1000 {V4}"),
    Tool("curl", [8080], (4, 6), LINUX, f"curl -sS --max-time 10 http://{V4}:8080/ http://[{V6}]:8080/"),
    # The same without the memory of today: the label follows the window scale.
    Tool("curl, 6 MB", [8081], (4, 6), LINUX_BEFORE,
         f"curl -sS --max-time 10 http://{V4}:8081/ http://[{V6}]:8081/"),
]
RMEM = {"curl, 6 MB": "4096 131072 6291456"}


class Web(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Watcher:
    """A program of which everything that it writes is kept, until a condition on it holds."""

    def __init__(self, argv, **options):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)
        self.stream = self.process.stdout or self.process.stderr
        self.data = bytearray()
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        while more := os.read(self.stream.fileno(), 65536):
            with self.changed:
                self.data += more
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            self.changed.wait_for(lambda: self.ended or condition(self.data), TIMEOUT)
            if not condition(self.data):
                raise RuntimeError(f"{self.process.args}: no {what} in {TIMEOUT} s: {bytes(self.data[-2000:])}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=TIMEOUT)
        self.thread.join()
        self.stream.close()


def pcap_packets(data):
    """Whole frames of a little-endian pcap."""
    at = 24
    while at + 16 <= len(data):
        length, = struct.unpack_from("<I", data, at + 8)
        if at + 16 + length > len(data):
            return
        yield bytes(data[at:at + 16]), bytes(data[at + 16:at + 16 + length])
        at += 16 + length


def syn(frame):
    """((client, port, server, port), sequence number) of a SYN, or None."""
    packet = frame[14:]
    if frame[12:14] == b"\x08\x00" and packet[9] == 6:
        tcp, source, destination = packet[(packet[0] & 15) * 4:], packet[12:16], packet[16:20]
    elif frame[12:14] == b"\x86\xdd" and packet[6] == 6:
        tcp, source, destination = packet[40:], packet[8:24], packet[24:40]
    else:
        return None
    if tcp[13] & (SYN | ACK | FIN | RST) != SYN:
        return None
    ports = struct.unpack_from("!HH", tcp)
    return ((str(ipaddress.ip_address(source)), ports[0], str(ipaddress.ip_address(destination)), ports[1]), tcp[4:8])


def read_log(path):
    """{(client, port, server, port): [fields of mod=syn]}"""
    found = collections.defaultdict(list)
    with open(path, encoding="utf-8") as log:
        for line in log:
            fields = dict(part.split("=", 1) for part in re.sub(r"^\[[^]]*\] ", "", line.rstrip("\n")).split("|"))
            if fields["mod"] == "syn":
                ends = []
                for end in (fields["cli"], fields["srv"]):
                    address, port = end.rsplit("/", 1)
                    ends += [str(ipaddress.ip_address(address)), int(port)]
                found[tuple(ends)].append(fields)
    return found


def judgement(fields):
    """(label, generic or fuzzy or neither) of a line of p0f's log"""
    params = fields["params"].split(" ")
    return fields.get("os") or fields.get("app"), next((p for p in ("generic", "fuzzy") if p in params), "exact")


def our_judgement(os_):
    if not os_ or not os_["label"]:
        return "???", "exact"
    return f"{os_['name']} {os_['flavor'] or ''}".rstrip(), os_["match"]


def scan(pair, directory):
    """Runs the tools; (p0f's log, the recording)."""
    log = os.path.join(directory, "log")
    mac = pair.server.run("cat /sys/class/net/veth0/address").strip()
    watchers, servers = [], []
    try:
        with pair.server:
            for port in (8080, 8081, LAST_PORT):
                servers.append(Web(("::", port), Answer))
                threading.Thread(target=servers[-1].serve_forever).start()
        # Few bytes of each packet, or there is room for eight of them.
        tcpdump = "tcpdump -i veth0 -s 256 -U --immediate-mode -Q in -w -"
        recorder = Watcher(pair.server.command(*tcpdump.split()), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        watchers.append(recorder)
        recorder.wait(lambda data: len(data) >= 24, "header of the recording")
        p0f = Watcher(pair.server.command(P0F, "-f", DATABASE, "-i", "veth0", "-o", log), stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT)
        watchers.append(p0f)
        p0f.wait(lambda data: b"Entered main event loop" in data, "readiness")
        for tool in TOOLS:
            rmem = RMEM.get(tool.name, "4096 131072 33554432")
            pair.client.run(f"sysctl -qw 'net.ipv4.tcp_rmem={rmem}'")
            done = subprocess.run(pair.client.command(*tool.command.replace("MAC", mac).split()),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
            if done.returncode != 0:
                raise RuntimeError(f"{tool.command}: status {done.returncode}: {done.stdout}{done.stderr}")
        with pair.client:
            socket.create_connection((V4, LAST_PORT), timeout=TIMEOUT).close()
        p0f.wait(lambda data: f"-> {V4}/{LAST_PORT} (syn)".encode() in data, "last connection")
        recorder.wait(lambda data: any((s := syn(frame)) and s[0][3] == LAST_PORT for _, frame in pcap_packets(data)),
                      "last connection")
    finally:
        for watcher in watchers:
            watcher.stop()
        for server in servers:
            server.shutdown()
            server.server_close()
    return read_log(log), bytes(recorder.data)


def main():
    failures = []
    pair = Pair()
    try:
        with tempfile.TemporaryDirectory() as directory:
            logged, recording = scan(pair, directory)
            # One SYN of each connection: p0f takes a repeated one for the same.
            first = {}
            for head, frame in pcap_packets(recording):
                if found := syn(frame):
                    first.setdefault(found[0], head + frame)
            path = os.path.join(directory, "syns.pcap")
            with open(path, "wb") as file:
                file.write(recording[:24] + b"".join(first.values()))
            lines = subprocess.run([SYNFP, "read", "--format", "json", path], capture_output=True, text=True, check=True,
                                   timeout=TIMEOUT).stdout.splitlines()
    finally:
        pair.delete()
    if len(lines) != len(first):
        sys.exit(f"synfp read: {len(lines)} lines for {len(first)} SYNs")
    said = dict(zip(first, map(json.loads, lines)))
    ours = {key: line["fingerprint"]["p0f"] for key, line in said.items()}

    for key in ours.keys() ^ logged.keys():
        failures.append(f"{key}: {'p0f' if key in ours else 'tcpdump'} has not seen it")
    for key in ours.keys() & logged.keys():
        theirs = logged[key][0]["raw_sig"]
        if theirs != ours[key]:
            failures.append(f"{key}: p0f {theirs}\n  we  {ours[key]}")
        if judgement(logged[key][0]) != our_judgement(said[key]["os"]):
            failures.append(f"{key}: p0f {judgement(logged[key][0])}\n  we  {our_judgement(said[key]['os'])}")

    for tool in TOOLS:
        of_tool = [key for key in ours if key[3] in tool.ports]
        families = {4 if "." in key[0] else 6 for key in of_tool}
        names = collections.Counter(fields.get("os") or fields.get("app") for key in of_tool
                                    for fields in logged.get(key, [])[:1])
        texts = collections.Counter(re.sub(r"^(\d:)\d+\+\d+", r"\1TTL", ours[key]) for key in of_tool)
        print(f"{tool.name}: {len(of_tool)} SYNs: {', '.join(f'{text} ({n})' for text, n in texts.most_common())}: "
              f"p0f says {dict(names)}")
        if set(names) != {tool.label} or families != set(tool.families):
            failures.append(f"{tool.name}: IPv{families}, named {dict(names)}; {tool.label} is right")
    print(f"{len(ours.keys() & logged.keys())} SYNs seen by both")
    for failure in failures[:10]:
        print(failure)
    if failures:
        sys.exit(f"{len(failures)} differences")


if __name__ == "__main__":
    main()
