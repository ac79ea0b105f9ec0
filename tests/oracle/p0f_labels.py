#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p0f itself as the judge of database matching: what it logs for SYNs near the signatures of a database, against ours.

Usage: p0f_labels.py P0F HELPER RECORDED OBSERVED [COUNT [SEED]]. HELPER is the program of labels.cpp. Three kinds of
databases: the one that p0f comes with, our two, and random ones that use all of the grammar. Then damaged databases: both
must refuse the same ones, for the same line."""
import collections
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import p0f_common  # noqa: E402
from p0f_common import CWR, ECE, PSH, SYN, URG  # noqa: E402

P0F, HELPER, RECORDED, OBSERVED = sys.argv[1:5]
COUNT = int(sys.argv[5]) if len(sys.argv) > 5 else 6000
SEED = int(sys.argv[6]) if len(sys.argv) > 6 else 3
rng = random.Random(SEED)

KIND = {"nop": 1, "mss": 2, "ws": 3, "sok": 4, "sack": 5, "ts": 8}
MTUS = (576, 1280, 1400, 1420, 1452, 1476, 1480, 1492, 1500, 1500, 9000)


def chance(p):
    return rng.random() < p


def signatures(text):
    """(line, label, signature) of [tcp:request]"""
    section, label, found = None, None, []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.lstrip(" \t")
        if line.startswith("["):
            section = line
        elif section == "[tcp:request]" and (m := re.fullmatch(r"(label|sig)[ \t]*=[ \t]*(.*)", line)):
            if m[1] == "label":
                label = m[2]
            else:
                found.append((number, label, m[2]))
    return found


class Syn:
    """A SYN that a signature describes; change it, then ask for the bytes."""

    def __init__(self, text):
        version, ttl, olen, mss, window, layout, quirks, payload = text.split(":")
        self.v6 = version == "6" or version == "*" and chance(0.3)
        most = sum(map(int, filter(None, re.split(r"[+-]", ttl))))
        self.ttl = most if chance(0.4) else max(0, most - rng.randrange(40))
        olen = olen[1:] if ttl.endswith("-") else olen  # as p0f reads it
        self.olen = min(40, int(olen or 0) // 4 * 4)
        self.layout = layout.split(",") if layout else []
        self.quirks = set(quirks.split(",")) if quirks else set()
        self.payload = payload == "+" or payload == "*" and chance(0.5)
        self.mss = int(mss or 0) if mss != "*" else rng.choice(MTUS) - (60 if self.v6 else 40)
        size, scale = window.split(",")
        self.scale = int(scale or 0) if scale != "*" else rng.choice((0, 1, 2, 5, 6, 7, 8, 10, 14))
        if "*" == size:
            self.window = rng.choice((8192, 65535, 64240, 0, rng.randrange(65536)))
        elif size.startswith("%"):
            self.window = int(size[1:]) * rng.randrange(65535 // int(size[1:]) + 1)
        elif m := re.fullmatch(r"(mss|mtu)\*([0-9]+)", size):
            fits = [x for x in (self.mss, self.mss - 12, 1460, 1448, 1440, 1428)] if m[1] == "mss" else \
                   [self.mss + 40, self.mss + 60, 1500]
            fits = [x for x in fits if 0 < x * int(m[2]) < 65536]
            if mss == "*" and (not fits or chance(0.2)):
                self.mss = rng.randrange(100, 1461)
                fits = [x for x in (self.mss + (40 if m[1] == "mtu" else 0),) if x * int(m[2]) < 65536]
            self.window = (fits[0] if fits and chance(0.7) else rng.choice(fits or [1])) * int(m[2]) % 65536
        else:
            self.window = int(size or 0)
        self.dscp = rng.randrange(64) if chance(0.1) else 0

    def change(self):
        """One step away from the signature."""
        way = rng.randrange(12)
        if way == 0:
            self.ttl = rng.choice((0, 1, 28, 29, 32, 63, 64, 65, 92, 93, 128, 129, 219, 220, 255, rng.randrange(256)))
        elif way == 1:
            self.ttl = max(0, min(255, self.ttl + rng.choice((-36, -35, -1, 1, 2))))
        elif way in (2, 3):  # what p0f forgives
            self.quirks ^= {rng.choice(("df", "id+", "id-", "ecn"))}
        elif way == 4:
            self.quirks ^= {rng.choice(("0+", "flow", "flow", "seq-", "ack+", "uptr+", "urgf+", "pushf+", "ts1-", "ts2+",
                                        "opt+", "bad"))}
        elif way == 5:
            self.window = rng.choice((0, self.window ^ 1, self.window // 2, 65535, 1460 * rng.randrange(45),
                                      (self.mss + 40) % 65536, rng.randrange(65536)))
        elif way == 6:
            self.mss = rng.choice((0, 99, 100, 536, 1360, 1380, 1400, 1440, 1460, 8960, 65495, rng.randrange(65536)))
        elif way == 7:
            self.scale = rng.choice((0, 2, 6, 7, 8, 14, 15, 255))
        elif way == 8:
            self.payload = not self.payload
        elif way == 9:
            self.v6 = not self.v6
        elif way == 10:
            self.olen = rng.choice((0, 4, 8, 40))
        elif self.layout:
            self.layout = list(self.layout)
            i = rng.randrange(len(self.layout))
            self.layout[i:i + 1] = rng.choice(([], ["nop"], [self.layout[i], "nop"], ["?30"]))

    def options(self):
        out, bad = b"", "bad" in self.quirks
        for name in self.layout:
            kind = KIND.get(name, 0) if not name.startswith("?") else int(name[1:] or 0)
            if name.startswith("eol+") or kind == 0:
                pad = bytearray(int(name[4:] or 0) if name.startswith("eol") else 0)
                if "opt+" in self.quirks and len(pad) > 1:
                    pad[0] = 1
                out += b"\0" + bytes(pad)
                break
            body = {1: None, 2: struct.pack("!H", self.mss), 3: bytes((self.scale,)), 4: b"", 5: bytes(8),
                    8: struct.pack("!II", 0 if "ts1-" in self.quirks else rng.randrange(1, 1 << 32),
                                   7 if "ts2+" in self.quirks else 0)}.get(kind, b"")
            if body is None:
                out += b"\1"
                continue
            length = len(body) + 2 + (1 if bad and kind in (2, 3, 4, 8) else 0)
            bad = bad and kind not in (2, 3, 4, 8)
            out += bytes((kind, length)) + body
        out = out[:40]
        return out + b"\1" * (-len(out) % 4)

    def packet(self, index):
        """(bytes from the IP header on, its key in p0f's log)"""
        o, q = self.options(), self.quirks
        ecn_in_ip = "ecn" in q and chance(0.5)
        flags = SYN | (PSH if "pushf+" in q else 0) | (URG if "urgf+" in q else 0)
        if "ecn" in q and not ecn_in_ip:
            flags |= rng.choice((ECE, CWR, ECE | CWR))
        source_port = 1024 + index % 60000
        tcp = struct.pack("!HHIIBBHHH", source_port, 80, 0 if "seq-" in q else rng.randrange(1, 1 << 32),
                          0x01000001 if "ack+" in q else 0, (5 + len(o) // 4) << 4, flags, self.window, 0,
                          5 if "uptr+" in q else 0) + o + (b"hello" if self.payload else b"")
        tos = self.dscp << 2 | (2 if ecn_in_ip else 0)
        host = index // 16 + 1
        if self.v6:
            flow = rng.randrange(1, 1 << 20) if "flow" in q else 0
            source = bytes.fromhex("20010db8") + bytes(8) + struct.pack("!I", host)
            head = struct.pack("!IHBB", 6 << 28 | tos << 20 | flow, len(tcp), 6, self.ttl) + source + source[:-1] + b"\0"
        else:
            df = "df" in q
            number = rng.randrange(1, 65536) if ("id+" in q if df else "id-" not in q) else 0
            source = struct.pack("!I", 10 << 24 | host)
            head = struct.pack("!BBHHHBBH", 4 << 4 | 5 + self.olen // 4, tos, 20 + self.olen + len(tcp), number,
                               (0x4000 if df else 0) | (0x8000 if "0+" in q else 0), self.ttl, 6, 0)
            head += source + b"\xc0\0\2\1" + b"\1" * self.olen
        return head + tcp, (p0f_common.address_of(source), source_port)


def ask_helper(database, packets):
    done = subprocess.run([HELPER, database], input="".join(p.hex() + "\n" for p in packets), capture_output=True, text=True,
                          timeout=300)
    return done.returncode, done.stdout.splitlines()


def write(path, text):
    with open(path, "w", newline="") as f:
        f.write(text)


def without_tools(text):
    """The same lines, with every tool a system: shows what p0f found before it gave up."""
    text = re.sub(r"(?m)^(label[ \t]*=[ \t]*[sg]):!:", r"\1:other:", text)
    if not re.search(r"(?mi)^classes[ \t]*=.*\bother\b", text):
        text = "classes = other " + text.replace("\n", " ", 1) if text.startswith(";") else text
    return re.sub(r"(?m)^sys[ \t]*=.*$", ";", text)


def compare(what, text, count, directory):
    """All of what p0f logs; returns how often each kind of answer came."""
    database, plain = os.path.join(directory, "db.fp"), os.path.join(directory, "plain.fp")
    write(database, text)
    write(plain, without_tools(text))
    known = signatures(text)
    packets, keys = [], []
    while len(packets) < count:
        line, label, sig = known[len(packets) % len(known)]
        syn = Syn(sig)
        for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
            syn.change()
        if syn.window == 1337 and syn.mss == 1331:  # p0f's own probes
            continue
        data, key = syn.packet(len(packets))
        packets.append(data)
        keys.append(key)
    path = os.path.join(directory, "syns.pcap")
    p0f_common.write_pcap(path, packets)
    syns, mtus = p0f_common.p0f_log(P0F, path, directory, database)
    status, ours = ask_helper(database, packets)
    if status != 0:
        sys.exit(f"{what}: p0f reads it, we do not: {ours}")
    status, found_first = ask_helper(plain, packets)
    if status != 0:
        sys.exit(f"{what}, without tools: {found_first}")
    kinds, failures = collections.Counter(), []
    for data, key, line, first in zip(packets, keys, ours, found_first):
        theirs = syns.get(key)
        if theirs is None:
            failures.append(f"p0f skips {data.hex()}")
            continue
        title, dist, params, link, number = line.split("\t")
        if title == "???" and " fuzzy " in f" {first.split(chr(9))[2]} ":
            # p0f gives up before it guesses a distance if its fuzzy candidate is a tool.
            dist, params = "0", " ".join(p for p in params.split() if p != "excess_dist") or "none"
            kinds["fuzzy tools"] += 1
        wanted = (theirs.get("app") or theirs["os"], theirs["dist"], theirs["params"])
        if (title, dist, params) != wanted:
            failures.append(f"p0f: {wanted}\nwe:  {(title, dist, params)}, line {number}\n     {theirs['raw_sig']} {data.hex()}")
            continue
        if key in mtus and mtus[key]["link"] != link:
            failures.append(f"p0f: {mtus[key]['raw_mtu']} is {mtus[key]['link']}, we: {link}")
        kinds["IPv6" if data[0] >> 4 == 6 else "IPv4"] += 1
        kinds["unknown" if title == "???" else "known"] += 1
        kinds["linked"] += link != "???"
        for word in params.split():
            kinds[word.split(":")[0]] += 1
    if failures:
        print("\n".join(failures[:10]))
        sys.exit(f"{what}: {len(failures)} of {count} differ")
    return kinds


def random_signature(layouts):
    version = rng.choice("46**")
    ttl = rng.choice(("64", "64", "128", "255", "32", "54+10", "64-", "255-", "1", "100"))
    quirks = [x for x in ("df", "id+", "id-", "ecn", "0+", "flow", "seq-", "ack+", "uptr+", "urgf+", "pushf+", "ts1-", "ts2+",
                          "opt+", "exws", "bad") if chance(0.5 if x in ("df", "id+") else 0.06)]
    if version == "6":
        quirks = [x for x in quirks if x not in ("df", "id+", "id-", "0+")]
    if version == "4":
        quirks = [x for x in quirks if x != "flow"]
    rng.shuffle(quirks)
    mss = rng.choice(("*", "*", "*", "1460", "1440", "0", "536"))
    window = rng.choice(("*", "*", "mss*44", "mss*4", "mtu*4", "mtu*2", "8192", "65535", "5840", "%8192", "%2", "%1000"))
    scale = rng.choice(("*", "*", "0", "7", "10"))
    olen = rng.choice(("0", "0", "0", "4", "8", "12"))
    return (f"{version}:{ttl}:{olen}:{mss}:{window},{scale}:{rng.choice(layouts)}:{','.join(quirks)}:"
            f"{rng.choice('0*+000')}")


def random_database():
    layouts = rng.sample(["", "mss", "mss,sok,ts,nop,ws", "mss,nop,ws,nop,nop,sok", "mss,nop,ws,nop,nop,ts,sok,eol+1",
                          "mss,eol+2,"[:-1], "mss,sok,?30,nop,nop", "ts,nop,nop,ws,nop,mss", "mss,?254,sok", "nop,nop,sack,nop,nop",
                          "?2,nop,?3", "nop,nop,nop,?0"], 5)
    lines = ["; random", "classes = win,unix, other", "[mtu]"]
    for mtu in rng.sample(range(1270, 1510), 100):
        lines += [f"label = link {mtu}"] * chance(0.5) + [f"sig = {mtu}"] if len(lines) > 3 else ["label = first", f"sig = {mtu}"]
    lines += ["[tcp:request]"]
    earlier = []
    for i in range(40):
        os_class = rng.choice(("win", "unix", "Other", "!"))
        # Names whose case differs are one name: the first spelling is printed.
        name = rng.choice(("Alpha", "alpha", "ALPHA 2", "Beta (x)", "beta (X)", f"n{i}"))
        lines.append(f"label = {rng.choice('ssg')}:{os_class}:{name}:{rng.choice(('', '1', 'x: y|z'[:4], '2.x'))}")
        if os_class == "!":
            lines.append(f"sys = {rng.choice(('@unix', '@win,Alpha', 'gamma, @other'))}")
        for _ in range(rng.randrange(1, 5)):
            # Sometimes one that an earlier one may cover: with the window in other words, or as it is.
            if earlier and chance(0.15):
                sig = re.sub(r":0:[^:]*:(mss[*]4|5840),", rng.choice((":0:1460:5840,", r":0:*:\1,")), rng.choice(earlier))
            else:
                sig = random_signature(layouts)
            earlier.append(sig)
            lines.append("sig = " + sig)
    return lines


def p0f_reads(database, nothing):
    """None, or (line, message)."""
    done = subprocess.run([P0F, "-f", database, "-r", nothing], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60)
    refused = re.search(r"PROGRAM ABORT : (.* in line ([0-9]+)[^\n]*)", done.stdout + done.stderr)
    return (int(refused[2]), refused[1]) if refused else None


def we_read(database):
    status, output = ask_helper(database, [])
    return (int(output[0].removeprefix(database).split(":")[1]), output[0]) if status != 0 else None


def agree(text, directory):
    """What both say of a database: None, or the line that both refuse."""
    database, nothing = os.path.join(directory, "db.fp"), os.path.join(directory, "nothing.pcap")
    write(database, text)
    p0f_common.write_pcap(nothing, [])
    theirs, ours = p0f_reads(database, nothing), we_read(database)
    if (theirs and theirs[0]) != (ours and ours[0]):
        sys.exit(f"p0f: {theirs}\nwe:  {ours}\n" + "\n".join(f"{i:4} {x}" for i, x in enumerate(text.split("\n"), 1)))
    return theirs


def loadable(lines, directory):
    """Without the lines that both refuse."""
    refused = 0
    while bad := agree("\n".join(lines) + "\n", directory):
        lines[bad[0] - 1] = "; refused"
        refused += 1
    return "\n".join(lines) + "\n", refused


GOOD = """; comment
classes = win,unix,other
[mtu]
label = Ethernet
sig   = 1500
[tcp:request]
label = s:unix:Linux:3.x
sig   = *:64:0:*:mss*20,10:mss,sok,ts,nop,ws:df,id+:0
sig   = 4:54+10:8:1460:%8192,*:mss,?30,eol+2:df,ecn,0+,seq-:*
label = g:!:Tool (x):-sS
sys   = @unix,@win,Linux
sig   = 6:255-:0:0:mtu*4,0::flow,pushf+:+
[tcp:response]
label = s:win:Windows:XP
sig   = *:128:0:*:65535,0:mss,nop,nop,sok:df,id+:0
[http:request]
ua_os = Linux,Windows,iOS=[iPad],Mac OS X
label = s:!:Firefox:2.x
sys   = Windows,@unix
sig   = *:Host,User-Agent,Accept=[,*/*;q=],?Keep-Alive:Via,X-Forwarded-For:Firefox/
[http:response]
label = s:!:Apache:2.x
sys   = @unix
sig   = 1:Date,Server,?ETag::Apache
"""


def damaged():
    """A good database with a few characters or a line changed."""
    lines = GOOD.split("\n")
    i = rng.randrange(len(lines) - 1)
    way = rng.random()
    if way < 0.1:
        del lines[i]
    elif way < 0.2:
        lines.insert(i, rng.choice(lines))
    elif way < 0.3:
        j = rng.randrange(len(lines) - 1)
        lines[i], lines[j] = lines[j], lines[i]
    else:
        line = lines[i]
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(line) + 1)
            cut = rng.choice((0, 0, 1, 1, 2))
            line = line[:at] + rng.choice(("", "", ",", ":", "*", "+", "-", "0", "7", "%", "[", "]", "=", "?", "x", " ", "\t",
                                           ";", "eol+0", "999", "65535", "1001", "mss*", "!", "@", "df,", "é")) + line[at + cut:]
        lines[i] = line
    return "\n".join(lines)


def beyond_p0f(text):
    """Where we are stricter than p0f, which reads numbers modulo 2^32 and "N-M" as N followed by M."""
    return re.search(r"[0-9]{6}", text) or re.search(r"(?m)^sig *= *[46*]:[0-9]+-[^:]", text)


def covered_http(text):
    """Where p0f is stricter than we: it compares HTTP signatures, which we skip."""
    _, http, rest = text.partition("[http:")
    sigs = re.findall(r"(?m)^[ \t]*sig[ \t]*=[ \t]*(.*)$", http + rest)
    return len(set(sigs)) < len(sigs)


def main():
    with tempfile.TemporaryDirectory() as directory:
        with open(p0f_common.DATABASE) as f:
            debian = f.read()
        with open(RECORDED) as f:
            recorded = f.read()
        with open(OBSERVED) as f:
            observed = f.read()
        total = collections.Counter()
        for what, text, count in (("p0f's database", debian, COUNT), ("what we recorded", recorded, COUNT // 6),
                                  ("what we observed", observed, COUNT // 6)):
            kinds = compare(what, text, count, directory)
            total += kinds
            print(f"{what}: {len(signatures(text))} signatures, {count} SYNs equal:",
                  ", ".join(f"{k} {n}" for k, n in kinds.most_common()))
        kinds, refused = collections.Counter(), 0
        for _ in range(10):
            text, n = loadable(random_database(), directory)
            refused += n
            kinds += compare("a random database:\n" + text, text, COUNT // 10, directory)
        print(f"10 random databases: {COUNT // 10} SYNs each equal; both refused {refused} signatures:",
              ", ".join(f"{k} {n}" for k, n in kinds.most_common()))
        if refused < 3:
            sys.exit("the random databases held no signatures that p0f refuses")
        both, only_we, good = collections.Counter(), 0, 0
        for _ in range(600):
            text = damaged()
            if beyond_p0f(text) or covered_http(text):
                only_we += 1
                continue
            bad = agree(text, directory)
            good += bad is None
            if bad:
                both[re.sub(r"'[^']*'", "'...'", re.sub(r"[0-9]+", "N", bad[1]))] += 1
        print(f"damaged databases: both read {good}, both refuse {sum(both.values())} in the same line, with {len(both)} of "
              f"p0f's messages; {only_we} left out: numbers beyond 65,535, \"N-M\", or an HTTP signature "
              "twice")
    print(f"seed {SEED}")
    missing = {"generic", "fuzzy", "random_ttl", "excess_dist", "tos", "fuzzy tools", "known", "unknown", "linked", "IPv4",
               "IPv6"} - {k for k, n in total.items() if n >= 5}
    if missing:
        sys.exit(f"too few of: {missing}")
    if len(both) < 20 or good < 50:
        sys.exit("the damage is not varied enough")


if __name__ == "__main__":
    main()
