#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random ClientHellos: what we read of them against what Wireshark reads; JA3 against Wireshark's own; JA4, in all four
forms, and steady() against a model after their descriptions, made of what Wireshark reads.

Usage: hello.py TSHARK HELPER [COUNT [SEED]]. HELPER is the program of hello.cpp. A third of the hellos have bytes that
were changed at random; those that we refuse are counted by reason and not compared, and so are, for what follows from
ALPN, names that are not text."""
import collections
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import p0f_common  # noqa: E402
import wireshark_hellos  # noqa: E402
from wireshark_hellos import ALGORITHMS, ALPN, GREASE, SNI, WITH_ALGORITHMS, ja4  # noqa: E402

TSHARK, HELPER = sys.argv[1:3]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 600
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 9
rng = random.Random(SEED)
GROUPS, FORMATS, VERSIONS, SHARES = 10, 11, 43, 51


# ---- the hellos ----

def chance(p):
    return rng.random() < p


def u16(n):
    return struct.pack("!H", n)


def list8(data):
    return bytes((len(data),)) + data


def list16(data):
    return u16(len(data)) + data


def codes(known, most):
    some = [rng.choice(known) if chance(0.9) else rng.randrange(65536) for _ in range(rng.randrange(1, most))]
    for _ in range(rng.choice((0, 0, 1, 2))):
        some.insert(rng.randrange(len(some) + 1), rng.choice(GREASE))
    if chance(0.02):
        some = [rng.choice(GREASE)]
    return b"".join(map(u16, some))


CIPHERS = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35,
           0x0a, 0x05, 0x04, 0xff, 0x5600, 0xc009, 0xc00a, 0x39, 0x33, 0x16]
ALGORITHM_CODES = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201, 0x0807, 0x0904]


def protocol():
    return rng.choice((b"h2", b"http/1.1", b"h3", b"http/1.0", b"spdy/3.1", b"h", b"acme-tls/1", b"a-", b"-a", b"_", b" ",
                       bytes(rng.randrange(0x21, 0x7f) for _ in range(rng.randrange(1, 9)))))


def extension(kind):
    if kind in GREASE:
        return rng.choice((b"", b"\0"))
    if kind == SNI:
        name = bytes(rng.choice(b"abcdefghijklmnopqrstuvwxyz0123456789-.") for _ in range(rng.randrange(1, 60)))
        return list16(b"\0" + list16(name))
    if kind == GROUPS:
        return list16(codes([29, 23, 24, 25, 30, 256, 257, 0x6399, 0x11ec], 8))
    if kind == FORMATS:
        return list8(bytes(rng.choice((0, 0, 1, 2, rng.randrange(256))) for _ in range(rng.randrange(1, 4))))
    if kind in WITH_ALGORITHMS:
        return list16(codes(ALGORITHM_CODES, 14))
    if kind == ALPN:
        return list16(b"".join(list8(protocol()) for _ in range(rng.randrange(1, 4))))
    if kind == VERSIONS:
        return list8(codes([0x304, 0x303, 0x302, 0x301, 0x300, 0x7f1c], 6))
    if kind == SHARES:
        return list16(b"".join(u16(rng.choice([29, 23, 0x11ec] + GREASE)) + list16(rng.randbytes(rng.randrange(1, 65)))
                               for _ in range(rng.randrange(4))))
    if kind in (41, 42, 44, 45, 21, 35, 17513, 17613, 65037, 65281, 5, 18, 22, 23, 27, 28):
        return {45: b"\1\1", 65281: b"\0", 5: b"\1\0\0\0\0", 27: b"\2\0\2", 28: b"\x40\1"}.get(kind, b"")
    return rng.randbytes(rng.randrange(20))


def hello():
    """The handshake message."""
    body = u16(rng.choice((0x303,) * 6 + (0x301, 0x302, 0x300, 0x304, 0x399))) + rng.randbytes(32)
    body += list8(rng.randbytes(rng.choice((0, 32, 32, 16))))
    # Above 99, too.
    body += list16(codes(CIPHERS, 120 if chance(0.05) else 30)) + list8(b"\0" if chance(0.9) else b"\1\0")
    if chance(0.03):
        return b"\1\0" + list16(body)
    kinds = [kind for kind in (SNI, GROUPS, FORMATS, ALGORITHMS, ALPN, VERSIONS, SHARES) if chance(0.8)]
    kinds += rng.sample((5, 18, 21, 22, 23, 27, 28, 34, 35, 42, 45, 50, 17513, 17613, 65281), rng.randrange(10))
    kinds += rng.sample(GREASE, rng.randrange(3))
    kinds += rng.sample(range(100, 2500), rng.choice((0, 0, 1, 3, 110 if chance(0.1) else 2)))
    rng.shuffle(kinds)
    return b"\1\0" + list16(body + list16(b"".join(u16(kind) + list16(extension(kind)) for kind in kinds)))


def mutated(message):
    data = bytearray(message)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.choice((rng.randrange(len(data)), rng.randrange(min(len(data), 120))))
        data[at] = rng.choice((0, 1, 2, 3, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    if chance(0.1):
        del data[rng.randrange(4, len(data)):]
        data[1:4] = struct.pack("!I", len(data) - 4)[1:]
    return bytes(data)


def records(message):
    size = rng.choice((16384, 16384, 512, 100, len(message) // 2 + 1))
    return b"".join(b"\x16\3" + bytes((rng.choice((1, 3)),)) + list16(message[i:i + size])
                    for i in range(0, len(message), size))


# ---- Wireshark ----

def packet(number, data):
    tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60000, 443, 1, 1, 0x50, 0x18, 65535, 0, 0) + data
    address = struct.pack("!I", 0x0a000000 + number // 60000 + 1)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + address + b"\x0a\x63\0\1" + tcp


def wireshark(streams):
    """Of each stream a dictionary, or None where it found no hello."""
    found = [None] * len(streams)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "hellos.pcap")
        p0f_common.write_pcap(path, [packet(n, data) for n, data in enumerate(streams)])
        for one in wireshark_hellos.read(TSHARK, path):
            found[one["number"][0] - 1] = one
    return found


def main():
    messages = [hello() for _ in range(COUNT)]
    changed = [chance(1 / 3) for _ in messages]
    streams = [records(mutated(m) if change else m) for m, change in zip(messages, changed)]
    done = subprocess.run([HELPER], input="".join(s.hex() + "\n" for s in streams), capture_output=True, text=True,
                          timeout=600, check=True)
    lines = done.stdout.splitlines()
    if len(lines) != COUNT:
        sys.exit(f"{len(lines)} answers to {COUNT} hellos")
    failures, compared, refused, not_text = [], collections.Counter(), collections.Counter(), 0
    not_known = 0
    names = ("why", "version", "ciphers", "extensions", "name", "alpn", "groups", "formats", "algorithms", "versions",
             "shares", "ja3_full", "ja3", "ja4", "ja4_r", "ja4_o", "ja4_ro", "steady")
    for number, (theirs, line, change, stream) in enumerate(zip(wireshark(streams), lines, changed, streams)):
        ours = dict(zip(names, line.split("\t")))
        if ours["why"] != "none":
            refused[ours["why"]] += 1
            if not change:
                failures.append(f"{number}: refused: {ours['why']}: {stream.hex()}")
            continue
        if "version" not in ours:
            sys.exit(f"{number}: {line}")
        if theirs is None:
            failures.append(f"{number}: Wireshark finds no hello in {stream.hex()}")
            continue

        if not theirs["known"]:
            if not change:
                failures.append(f"{number}: Wireshark stops in {stream.hex()}")
            not_known += 1
            continue

        def expect(what, our, their):
            compared[what] += 1
            if our != their:
                failures.append(f"{number}: {what}: they {their}\n  we {our}\n  {stream.hex()}")

        for what in ("version", "ciphers", "extensions", "groups", "formats", "algorithms", "versions", "shares"):
            expect(what, [int(n) for n in ours[what].split(",") if n], theirs[what])
        expect("JA3", ours["ja3_full"], (theirs["ja3_full"] or [""])[0])
        expect("JA3 hash", ours["ja3"], (theirs["ja3"] or [""])[0])
        raw = [bytes.fromhex(p) for p in ours["alpn"].split(",") if p]
        if any(not all(0x20 <= c < 0x7f and c not in b'\\"' for c in p) for p in raw + [bytes.fromhex(ours["name"])]):
            not_text += 1
            continue
        expect("server name", bytes.fromhex(ours["name"]).decode(), (theirs["name"] or [""])[0])
        expect("ALPN", [p.decode() for p in raw], theirs["alpn"])
        for form, text in ja4(theirs).items():
            expect(form, ours[form], text)
        expect("steady", ours["steady"], "s" + ja4(theirs, without=(21, 35, 41, 42))["ja4"][1:])

    print(f"{COUNT} hellos, {sum(changed)} of them changed at random; {sum(refused.values())} refused; {not_text} with "
          f"names that are not text; {not_known} that Wireshark did not read to their end")
    for why, number in refused.most_common():
        print(f"  {number} {why}")
    print("compared: " + ", ".join(f"{what} {number}" for what, number in compared.items()))
    if min(compared[what] for what in ("JA3", "JA3 hash", "ja4", "ja4_r", "ja4_o", "ja4_ro", "steady")) < COUNT * 0.6:
        failures.append("too few to mean something")
    for failure in failures[:20]:
        print(failure)
    if failures:
        sys.exit(f"{len(failures)} differences")


if __name__ == "__main__":
    main()
