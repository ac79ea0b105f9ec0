#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the kernel keeps of a SYN for a connection that nobody asks about it: TCP_SAVE_SYN on and off, in turns, kernel
objects per connection from /proc/slabinfo. Usage: saved-syn-memory.py OUTPUT.json; needs root."""
import json
import resource
import socket
import statistics
import sys

CONNECTIONS = 4000
TCP_SAVE_SYN = 27


def objects():
    with open("/proc/slabinfo") as slabs:
        rows = (line.split() for line in slabs)
        return {row[0]: int(row[1]) for row in rows if row[0].startswith("kmalloc-")}


def per_connection(save, address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, save)
        listener.bind((address, 0))
        listener.listen(4096)
        before = objects()
        pairs = []
        for _ in range(CONNECTIONS):
            client = socket.create_connection(listener.getsockname()[:2])
            pairs += [client, listener.accept()[0]]
        after = objects()
        for sock in pairs:
            sock.close()
    return {name: (after[name] - before[name]) / CONNECTIONS for name in after}


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (3 * CONNECTIONS, 3 * CONNECTIONS))
    rows = []
    figures = {}
    print("| SYN | more kernel memory per connection, bytes |\n|---|---:|")
    for family, address in (("IPv4", "127.0.0.1"), ("IPv6", "::1")):
        differences = []
        for _ in range(5):
            on, off = per_connection(1, address), per_connection(0, address)
            differences.append(sum((on[name] - off[name]) * int(name.removeprefix("kmalloc-"))
                                   for name in on if name.removeprefix("kmalloc-").isdigit()))
        middle = round(statistics.median(differences), 1)
        rows.append({"family": family, "bytes": middle})
        figures[f"saved_syn_bytes_{family.lower()}"] = middle
        print(f"| {family} | {middle} |")
    with open(sys.argv[1], "w") as out:
        json.dump({"rows": rows, "figures": figures}, out)


main()
