#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p0f itself as the judge: thousands of random SYNs, what p0f logs for each against what we print.

Usage: p0f.py P0F HELPER [COUNT [SEED]]. HELPER is the program of fingerprint.cpp. Every packet has a connection of its
own, by which its lines in p0f's log are found. A packet that p0f skips must be one for which we have nothing, and the
other way round; each class of these is listed with its reason."""
import collections
import ipaddress
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import p0f_common  # noqa: E402
from p0f_common import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG  # noqa: E402

P0F, HELPER = sys.argv[1:3]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 8000
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 3
rng = random.Random(SEED)


def chance(p):
    return rng.random() < p


def interesting(bits):
    return p0f_common.interesting(rng, bits)


def mss_value():
    return rng.choice((1460, 1460, 1440, 1400, 1380, 1300, 536, 1331, 8960, 65495, 100, 99, 0, 1, 112,
                       rng.randrange(90, 1500), rng.randrange(65536)))


def option():
    kind = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 8, 8, 19, 30, 34, 254, 255, rng.randrange(256)))
    if kind in (0, 1):
        return bytes((kind,))
    body = {2: lambda: struct.pack("!H", mss_value()), 3: lambda: bytes((rng.choice((0, 7, 10, 14, 15, 255)),)), 4: bytes,
            5: lambda: rng.randbytes(8 * rng.randrange(1, 5)),
            8: lambda: struct.pack("!II", interesting(32), rng.choice((0, 0, interesting(32))))}.get(
                kind, lambda: rng.randbytes(rng.randrange(0, 12)))()
    length = len(body) + 2
    if chance(0.08):
        length = rng.choice((0, 1, 2, 3, 9, 10, 33, 34, 35, 40, 41, 255, rng.randrange(256)))
    return bytes((kind, length)) + body


def usual_options():
    """What real systems send, with values of our own."""
    mss = b"\2\4" + struct.pack("!H", mss_value())
    scale = bytes((3, 3, rng.choice((0, 2, 6, 7, 8, 10, 14, 15))))
    stamp = b"\x08\x0a" + struct.pack("!II", rng.choice((0, interesting(32), 77)), 0)
    n, sok = b"\1", b"\4\2"
    return rng.choice((mss + sok + stamp + n + scale, mss + n + scale + n + n + sok, mss, mss + sok + stamp,
                       mss + n + scale + n + n + stamp + sok + b"\0\0", mss + n + scale + sok + stamp,
                       mss + n + n + sok + n + scale + n + n + stamp, scale + n + mss + stamp + sok,
                       mss + scale + sok + stamp + b"\0", b""))


def options():
    way = rng.random()
    if way < 0.3:
        o = usual_options()
    elif way < 0.4:
        o = rng.randbytes(rng.randrange(41))
    elif way < 0.45:
        o = bytes(rng.choice((0, 1)) for _ in range(rng.randrange(41)))
    else:
        o = b"".join(option() for _ in range(rng.randrange(12)))
    if chance(0.15):  # data behind the end
        pad = bytearray(rng.randrange(1, 9))
        for i in range(len(pad)):
            if chance(0.3):
                pad[i] = rng.randrange(256)
        o = o[:40 - len(pad) - 1] + b"\0" + bytes(pad)
    o = o[:40]
    return o + (b"\0" if chance(0.6) else b"\1") * (-len(o) % 4)


def window_for(o, v6, header_lengths):
    """Often a multiple of something that p0f tries."""
    if chance(0.3):
        return interesting(16)
    at = o.find(b"\2\4")
    mss = struct.unpack("!H", o[at + 2:at + 4])[0] if 0 <= at <= len(o) - 4 else 1460
    unit = rng.choice((mss, mss - 12, 1460, 1448, 1440, 1428, mss + 40, mss + 60, mss + header_lengths, 1500, 100))
    if not 0 < unit < 65536:
        return interesting(16)
    return unit * rng.randrange(0, 65535 // unit + 1)


def packet(index):
    """(bytes from the IP header on, why p0f might skip it)"""
    reasons = []
    v6 = chance(0.4)
    o = options()
    flags = SYN
    for flag, p in ((PSH, .05), (URG, .06), (ECE, .06), (CWR, .06)):
        if chance(p):
            flags |= flag
    if chance(0.05):
        flags = rng.choice((SYN | FIN, SYN | RST, SYN | ACK, SYN | FIN | ACK, FIN | RST, FIN, RST, ACK, 0, SYN | FIN | RST))
        reasons.append("not a pure SYN")
    reserved = rng.choice((0, 0, 0, 0, 0, 1, 2, 4, 8, 15))
    doff = 5 + len(o) // 4
    if chance(0.02):
        wrong = rng.choice((0, 1, 4, 15))
        if wrong < 5 or wrong * 4 > 20 + len(o):
            reasons.append("TCP header length does not fit")
            doff = wrong
    payload = rng.randbytes(rng.choice((1, 5, 33))) if chance(0.1) else b""
    if reasons and doff == 15:
        payload = b""
    ip_options = b"" if v6 or chance(0.85) else b"\1" * (4 * rng.randrange(1, 11))
    header_lengths = (40 if v6 else 20 + len(ip_options)) + 20 + len(o)
    sequence = 0 if chance(0.05) else rng.randrange(1, 1 << 32)
    acknowledgment = interesting(32) if chance(0.15) else 0
    urgent = interesting(16) if chance(0.1) else 0
    source_port, destination_port = 1024 + index % 60000, rng.choice((80, 443, 8080))
    tcp = struct.pack("!HHIIBBHHH", source_port, destination_port, sequence, acknowledgment, doff << 4 | reserved, flags,
                      window_for(o, v6, header_lengths), 0, urgent) + o + payload
    ttl = rng.choice((64, 128, 255, 32, interesting(8), rng.randrange(256)))
    tos = rng.choice((0, 0, 0, 0, interesting(8), rng.randrange(4)))
    host = index // 16 + 1
    if v6:
        source, destination = ipaddress.ip_address("2001:db8::") + host, ipaddress.ip_address("2001:db8:f::1")
        extension = b""
        next_header = 6
        if chance(0.05):
            next_header = rng.choice((0, 43, 60, 44, 17, 58))
            reasons.append("IPv6 with an extension header, or not TCP")
            if next_header in (0, 43, 60, 44):
                extension = b"\6" + bytes(7)
        length = len(extension) + len(tcp)
        if chance(0.02):
            length = rng.choice((0, 19, len(extension) + 20 + len(o) - 1))
            reasons.append("IP total length ends inside the headers")
        elif chance(0.02):
            length += 4
            reasons.append("captured short")
        head = struct.pack("!IHBB", 6 << 28 | tos << 20 | (rng.randrange(1 << 20) if chance(0.6) else 0), length,
                           next_header, ttl) + source.packed + destination.packed + extension
    else:
        source, destination = ipaddress.ip_address("10.0.0.0") + host, ipaddress.ip_address("192.0.2.1")
        fragment = rng.choice((0x4000, 0x4000, 0, 0x8000, 0xc000))
        if chance(0.03):
            fragment |= rng.choice((0x2000, 1, 185, 0x1fff))
            reasons.append("a fragment")
        ihl = 5 + len(ip_options) // 4
        if chance(0.02):
            ihl = rng.randrange(5)
            reasons.append("IPv4 header shorter than 20 bytes")
        protocol = 6
        if chance(0.01):
            protocol = 17
            reasons.append("not TCP")
        length = 20 + len(ip_options) + len(tcp)
        if chance(0.02):
            length = rng.choice((0, 20, 39, 20 + len(ip_options) + 20 + len(o) - 1))
            reasons.append("IP total length ends inside the headers")
        elif chance(0.02):
            length += 4
            reasons.append("captured short")
        head = struct.pack("!BBHHHBBH", 4 << 4 | ihl, tos, length, rng.choice((0, interesting(16), interesting(16))),
                           fragment, ttl, protocol, 0) + source.packed + destination.packed + ip_options
    return head + tcp, (str(source), source_port), reasons


def main():
    packets = [packet(i) for i in range(COUNT)]
    assert len({p[1] for p in packets}) == COUNT
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "syns.pcap")
        p0f_common.write_pcap(path, [p[0] for p in packets])
        syns, mtus = p0f_common.p0f_log(P0F, path, directory)
    ours = subprocess.run([HELPER], input="".join(p[0].hex() + "\n" for p in packets), capture_output=True, text=True,
                          check=True, timeout=300).stdout.splitlines()
    assert len(ours) == COUNT
    failures, equal, mtu_equal, families = [], 0, 0, collections.Counter()
    skipped, short, quirks = collections.Counter(), 0, collections.Counter()
    differ_strict = 0
    for (data, key, reasons), line in zip(packets, ours):
        signature, strict, mtu = line.split("\t") if line != "no record" else ("-", "-", "-")
        theirs = syns.get(key)
        if theirs is None:
            # Only the record of headers does not know that the packet behind them was cut off.
            if reasons == ["captured short"]:
                short += 1
            elif signature != "-":
                failures.append(f"p0f skips, we do not: {reasons} {data.hex()} {line}")
            elif not reasons:
                failures.append(f"skipped without a reason: {data.hex()}")
            else:
                skipped[" and ".join(reasons)] += 1
            continue
        if signature != theirs["raw_sig"]:
            failures.append(f"p0f: {theirs['raw_sig']}\nwe:  {signature}\n     {data.hex()}")
            continue
        if reasons:
            failures.append(f"p0f does not skip it: {reasons} {data.hex()}")
        equal += 1
        families[signature[0]] += 1
        quirks.update(filter(None, signature.split(":")[6].split(",")))
        differ_strict += strict != signature
        # p0f keeps the MTU of its own probes (window 1337, MSS 1331) to itself.
        wanted = mtus[key]["raw_mtu"] if key in mtus else "-"
        if theirs["mod"] == "syn" and mtu != wanted:
            failures.append(f"MTU {mtu}, p0f {wanted}: {data.hex()}")
        mtu_equal += mtu == wanted != "-"
    print(f"seed {SEED}: {COUNT} packets, {equal} signatures equal ({families['4']} IPv4, {families['6']} IPv6), "
          f"{mtu_equal} MTUs equal; the strict reading differs in {differ_strict}")
    print("quirks seen:", ", ".join(f"{name} {n}" for name, n in quirks.most_common()))
    print(f"skipped by p0f alone: {short} captured short (a record holds the headers only)")
    print("skipped by both:", sum(skipped.values()))
    for reason, n in skipped.most_common():
        print(f"  {n:5} {reason}")
    for failure in failures[:10]:
        print(failure)
    if failures or equal < 5000 * min(1, COUNT / 8000):
        sys.exit(f"{len(failures)} differences, {equal} equal")
    missing = set("df id+ id- ecn 0+ flow seq- ack+ uptr+ urgf+ pushf+ ts1- ts2+ opt+ exws bad".split()) - set(quirks)
    if missing:
        sys.exit(f"the packets never showed {missing}")


if __name__ == "__main__":
    main()
