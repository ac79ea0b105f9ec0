#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How each tool walks options, malformed ones above all: thousands of random lists, what we print against a model of
each tool's own loop, written from its source; for JA4T also against Wireshark's dissector itself.

Usage: options.py TSHARK HELPER [COUNT [SEED]]. HELPER is the program of options.cpp. The models are plain on purpose
and share nothing with each other; p0f needs none, it judges itself in p0f.py."""
import collections
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import p0f_common  # noqa: E402
from p0f_common import ACK, CWR, ECE, PSH, SYN, URG  # noqa: E402

TSHARK, HELPER = sys.argv[1:3]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 12000
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 5
rng = random.Random(SEED)
Packet = collections.namedtuple("Packet", "v6 tos ttl df id ip_options flags reserved ack window options payload data")


# ---- the packets ----

def chance(p):
    return rng.random() < p


def option():
    kind = rng.choice((0, 0, 1, 2, 2, 3, 3, 4, 8, 8, 5, 6, 9, 19, 30, 34, 254, 255, rng.randrange(256)))
    if kind < 2:
        return bytes((kind,))
    body = {2: lambda: rng.choice((b"\x05\xb4", b"\x05\xa0", b"\0\0", rng.randbytes(2))),
            3: lambda: bytes((rng.choice((0, 1, 7, 8, 13, 14, 15, 128, 255)),)),
            4: lambda: b"", 5: lambda: rng.randbytes(8),
            8: lambda: rng.choice((bytes(4), rng.randbytes(4))) + rng.choice((bytes(4), rng.randbytes(4))),
            30: lambda: rng.choice((b"\x01\x81", b"\x00\x81" + rng.randbytes(8)))}.get(
                kind, lambda: rng.randbytes(rng.randrange(0, 9)))()
    if chance(0.15):  # a body of another size, of which the length byte knows
        body = rng.randbytes(rng.randrange(0, 12))
    length = len(body) + 2
    if chance(0.2):  # a length byte that lies
        length = rng.choice((0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 39, 40, 41, 127, 128, 250, 255, rng.randrange(256)))
    return bytes((kind, length)) + body


def option_list():
    way = rng.random()
    if way < 0.1:
        o = rng.randbytes(rng.randrange(41))
    elif way < 0.15:
        o = bytes(rng.choice((0, 1)) for _ in range(rng.randrange(41)))
    elif way < 0.3:  # usual ones, cut somewhere
        o = rng.choice(("020405b40402080a0102030400000000010303", "020405b4010303080101", "020405b401030306010108"))
        o = bytes.fromhex(o) + rng.randbytes(rng.randrange(4))
        o = o[:rng.randrange(len(o) + 1)]
    else:
        o = b"".join(option() for _ in range(rng.randrange(10)))
    if chance(0.25):  # EOL, with something behind it
        o += bytes(rng.randrange(1, 4)) + rng.choice((b"", option()))
    o = o[:40]
    return o + rng.choice((bytes, lambda n: b"\1" * n, rng.randbytes))(-len(o) % 4)


def packet(number):
    v6 = chance(0.1)
    flags = rng.choice((SYN,) * 6 + (SYN | ECE | CWR, SYN | PSH, SYN | URG, SYN | ECE, SYN | CWR))
    reserved = rng.choice((0, 0, 0, 0, 1, rng.randrange(16)))
    ttl = rng.choice((0, 1, 16, 17, 32, 33, 55, 60, 61, 64, 65, 128, 129, 192, 193, 255, rng.randrange(256)))
    window = rng.choice((0, 1, 1024, 1460 * 44, 1500 * 4, 64240, 65535, rng.randrange(65536)))
    ack = rng.choice((0, 0, 0, 1, rng.randrange(1 << 32)))
    options = option_list()
    payload = rng.randbytes(rng.randrange(1, 30)) if chance(0.1) else b""
    tos, df, ident = rng.choice((0, 0, 2, 0x10)), chance(0.8), rng.choice((0, 1, rng.randrange(65536)))
    ip_options = b"" if v6 or chance(0.9) else b"\1" * (4 * rng.randrange(1, 11))
    tcp = struct.pack("!HHIIBBHHH", 1024 + number % 60000, 9 + number // 60000, rng.randrange(1 << 32), ack,
                      5 + len(options) // 4 << 4 | reserved, flags, window, 0, 0) + options + payload
    if v6:
        head = struct.pack("!IHBB", 6 << 28 | tos << 20, len(tcp), 6, ttl) + b"\x20\x01\x0d\xb8" + bytes(11) + b"\1"
        head += b"\x20\x01\x0d\xb8" + bytes(11) + b"\2"
    else:
        head = struct.pack("!BBHHHBBH", 0x45 + len(ip_options) // 4, tos, 20 + len(ip_options) + len(tcp), ident,
                           0x4000 if df else 0, ttl, 6, 0) + bytes((192, 0, 2, 1, 192, 0, 2, 2)) + ip_options
    return Packet(v6, tos, ttl, df, ident, ip_options, flags, reserved, ack, window, options, payload, head + tcp)


# ---- MuonFP 1.5.0, src/fingerprint.rs: the kind first, MSS and window scale of fixed size ----

def muonfp(p):
    kinds, mss, scale, i, o = [], "", "", 0, p.options
    while i < len(o):
        kind = o[i]
        kinds.append(str(kind))
        if kind == 0:
            break
        if kind == 1:
            i += 1
        elif kind == 2:
            if len(o) >= i + 4:
                mss = str(o[i + 2] << 8 | o[i + 3])
            i += 4
        elif kind == 3:
            if len(o) >= i + 3:
                scale = str(o[i + 2])
            i += 3
        elif len(o) > i + 1 and o[i + 1] >= 2:
            i += o[i + 1]
        else:
            break
    return f"{p.window}:{'-'.join(kinds)}:{mss}:{scale}"


# ---- HAProxy 3.4, src/net_helper.c: by the length bytes; values without a look at them ----

def haproxy(p, mode):
    tcp = bytes(20) + p.options  # positions as in the header
    end, at, mss, scale, mask, kinds = len(tcp), 20, 0, 0, 0, bytearray()
    while at < end and tcp[at] != 0:
        if tcp[at] == 1:
            following = at + 1
        elif at + 1 < end and tcp[at + 1] > 1:
            following = at + tcp[at + 1]
        else:
            break
        if following > end:
            break
        kind = tcp[at]
        kinds.append(kind)
        if kind == 2 and at + 3 < end:
            mss = tcp[at + 2] << 8 | tcp[at + 3]
        elif kind == 3 and at + 2 < end:
            scale = min(tcp[at + 2], 14) + 1
        if kind >= 2:
            mask |= 1 << (kind - 2 if kind < 9 else 7)
        at = following
    ttl = (p.ttl > 32) + (p.ttl > 64) + (p.ttl > 128)
    second = (p.v6 << 7 | (p.v6 or p.df) << 6 | ttl << 4 | (len(p.ip_options) > 0) << 3 | (len(p.payload) > 0) << 2 |
              p.flags >> 6)
    out = struct.pack("!BBBHHB", p.tos, second, end // 4 << 4 | scale, p.window, mss, mask)
    if mode & 1:
        out += bytes((p.ttl,))
    if mode & 2:
        out += bytes(kinds)
    if mode & 4:
        out += p.data[8:24] if p.v6 else p.data[12:16]
    return out.hex()


# ---- nDPI 5.0, src/lib/ndpi_main.c: positions of 8 bits, a buffer of 128 characters with its end ----

def ndpi(p):
    if p.flags & (SYN | ECE | CWR) == 0 or p.flags & ACK:
        return "-"
    o, i, text = p.options, 0, ""
    while i < len(o):
        if len(text) + 2 == 128:
            break
        kind = o[i]
        text += f"{kind:02x}"
        if kind in (0, 1):
            i += 1
        elif i + 1 < len(o):
            length = o[i + 1]
            if length == 0:
                continue
            if kind != 8 and length > 2:
                j, left = i + 2, length - 2
                while left > 0 and j < len(o) and len(text) + 2 != 128:
                    text += f"{o[j]:02x}"
                    j, left = j + 1, left - 1
            i = (i + length) & 0xff
        else:
            break
    ttl = next(bound for bound in (32, 64, 128, 192, 255) if p.ttl <= bound)
    return f"{(p.reserved << 8) | p.flags}_{ttl}_{p.window}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


# ---- Satori 0.1, satoriTCP.py, with pypacker 5's parser of options ----

def satori(p):
    if p.v6 or p.flags != SYN or not p.options:
        return "-"
    try:
        parsed, i, o = [], 0, p.options
        while i < len(o):
            if o[i] < 2:
                parsed.append((o[i], b""))
                i += 1
            else:
                raw = o[i:i + o[i + 1]]
                if len(raw) < 2:
                    raise ValueError("not enough bytes")
                parsed.append((raw[0], raw[2:]))
                i += o[i + 1]
        echo, texts = "", []
        for kind, body in parsed:
            if kind == 2:
                texts.append("M" + str(struct.unpack("!h", body)[0]))
            elif kind == 3:
                texts.append("W" + str(struct.unpack("!b", body)[0]))
            else:
                texts.append({0: "E", 1: "N", 4: "S", 5: "K", 6: "J", 7: "F", 8: "T", 9: "P", 10: "R"}.get(kind, "U"))
            if kind == 8:
                struct.unpack("!I", body[0:4])
                echo = struct.unpack("!I", body[4:8])[0]
    except (struct.error, IndexError, ValueError):
        return "-"  # Satori goes on with the next packet
    text = ",".join(texts)
    odd = ("P" if text[-1] == "E" else "") + ("Z" if p.id == 0 else "") + ("I" if p.ip_options else "")
    odd += ("D" if p.payload else "") + ("A" if p.ack != 0 else "") + ("T" if echo != 0 else "")
    ttl = 0 if p.ttl == 0 else next(bound for bound in (16, 32, 60, 64, 128, 255) if p.ttl <= bound)
    length = 20 + len(p.ip_options) + 20 + len(p.options)
    return f"{p.window}:{ttl}:{int(p.df)}:{length}:{text}:{odd or '.'}"


# ---- pf.os: not a printer but a matcher. The line must find its SYN, and where there is none, none may exist ----

SIZES = {"E": (0, 1), "N": (1, 1), "M": (2, 4), "W": (3, 3), "S": (4, 2), "T": (8, 10)}  # nfnl_osf's IANA_opts


def nf_osf_finds(line, p):
    """net/netfilter/nfnetlink_osf.c, nf_osf_match_one(), with the fingerprint that nfnl_osf makes of the line."""
    window, ttl, df, total, texts = line.split(":")
    wanted = [] if texts == "." else [SIZES[text[0]] for text in texts.split(",")]
    if int(total) != len(p.data) or bool(int(df)) != p.df or p.ttl > int(ttl):
        return False
    if sum(size for _, size in wanted) != len(p.options):
        return False
    at = mss = 0
    for kind, size in wanted:
        if p.options[at] != kind:
            return False
        if kind == 2:
            mss = p.options[at + 2] << 8 | p.options[at + 3]
        at += size
    if window[0] == "S":
        return p.window in (int(window[1:]) * mss, int(window[1:]) * 1460, int(window[1:]) * 1448)
    if window[0] == "T":
        return p.window in (int(window[1:]) * (mss + 40), int(window[1:]) * 1500, int(window[1:]) * 1488)
    return p.window == int(window)


def nf_osf_can_find(p):
    """Whether letters exist whose kinds stand where nf_osf looks: at each place one at most fits."""
    sizes = dict(SIZES.values())
    at = 0
    while at < len(p.options):
        if p.options[at] not in sizes:
            return False
        at += sizes[p.options[at]]
    return not p.v6 and at == len(p.options)


# ---- JA4T: FoxIO's plugin prints what Wireshark's dissector lists (epan/dissectors/packet-tcp.c, 4.0) ----

def ja4t_text(window, kinds, mss, scale):
    return f"{window}_{'-'.join(map(str, kinds)) or '00'}_{mss:02d}_{scale or '00'}"


def ja4t(p):
    """(text, what Wireshark's dissectors of single options get to see)"""
    kinds, seen, mss, scale, i, o, ended = [], [], 0, 0, 0, p.options, False
    while i < len(o):
        if ended and o[i] != 0:
            break
        ended = o[i] == 0
        if o[i] < 2:
            kinds.append(o[i])
            i += 1
            continue
        if i + 1 == len(o) or o[i + 1] < 2 or i + o[i + 1] > len(o):
            break
        kinds.append(o[i])
        seen.append(o[i:i + o[i + 1]])
        if o[i] == 2 and o[i + 1] == 4:
            mss = o[i + 2] << 8 | o[i + 3]
        if o[i] == 3 and o[i + 1] == 3:
            scale = o[i + 2]
        i += o[i + 1]
    return ja4t_text(p.window, kinds, mss, scale), seen


def wireshark_survives(option):
    """Not the options inside of which Wireshark fails or may fail, which ja4t.hpp names."""
    kind = option[0]
    return (kind not in (5, 21, 30, 76) or (kind == 5 and len(option) >= 10) or
            (kind == 30 and option[2:3] in (b"\0", b"\1") and len(option) in (4, 12)))


def wireshark(packets):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "syns.pcap")
        p0f_common.write_pcap(path, [p.data for p in packets])
        fields = ("tcp.window_size_value", "tcp.option_kind", "tcp.options.mss_val", "tcp.options.wscale.shift")
        done = subprocess.run([TSHARK, "-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"] +
                              [word for field in fields for word in ("-e", field)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"tshark failed: {done.stderr}")
    rows = [[[int(n) for n in cell.split(",") if n] for cell in line.split("\t")] for line in done.stdout.splitlines()]
    return [ja4t_text(window[0], kinds, (mss or [0])[-1], (scale or [0])[-1]) for window, kinds, mss, scale in rows]


def main():
    packets = [packet(number) for number in range(COUNT)]
    done = subprocess.run([HELPER], input="".join(p.data.hex() + "\n" for p in packets), capture_output=True, text=True,
                          timeout=300, check=True)
    lines = done.stdout.splitlines()
    if len(lines) != len(packets) or "no record" in lines:
        sys.exit(f"{len(lines)} answers to {len(packets)} packets, {lines.count('no record')} without a record")
    failures, compared, absent = [], collections.Counter(), collections.Counter()

    def expect(what, p, ours, theirs):
        compared[what] += 1
        absent[what] += theirs == "-"
        if ours != theirs:
            failures.append(f"{what}: options {p.options.hex()}: they {theirs}\n  we {ours}")

    judged = []
    for p, line in zip(packets, lines):
        ours = dict(zip(("muonfp", "haproxy", "haproxy7", "ndpi", "satori", "pfos", "ja4t"), line.split("\t")))
        expect("muonfp", p, ours["muonfp"], muonfp(p))
        expect("haproxy", p, ours["haproxy"], haproxy(p, 0))
        expect("haproxy(7)", p, ours["haproxy7"], haproxy(p, 7))
        expect("ndpi", p, ours["ndpi"], ndpi(p))
        expect("satori", p, ours["satori"], satori(p))
        if not nf_osf_can_find(p):
            expect("pf.os", p, ours["pfos"], "-")
        else:
            expect("pf.os", p, ours["pfos"] != "-" and nf_osf_finds(ours["pfos"], p), True)
        text, seen = ja4t(p)
        expect("ja4t", p, ours["ja4t"], text)
        if all(map(wireshark_survives, seen)):
            judged.append((p, ours["ja4t"]))
    theirs = wireshark([p for p, _ in judged])
    if len(theirs) != len(judged):
        sys.exit(f"tshark: {len(theirs)} lines for {len(judged)} packets")
    for (p, ours), text in zip(judged, theirs):
        expect("ja4t, Wireshark", p, ours, text)

    for what, number in compared.items():
        print(f"{what}: {number} compared" + (f", {absent[what]} without a text" if absent[what] else ""))
        if number < COUNT * 0.7 or absent[what] > number * 0.9:
            failures.append(f"{what}: too few to mean something")
    for failure in failures[:20]:
        print(failure)
    if failures:
        sys.exit(f"{len(failures)} differences")


if __name__ == "__main__":
    main()
