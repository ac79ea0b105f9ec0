#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many SYNs of public captures have a name, and how many of these names agree with the User-Agent of the same
connection: the tables of docs/guide/fingerprints.md.

Usage: pairs.py HELPER PAIRS DOCUMENT          fails if the document says otherwise, or too few agree
       pairs.py HELPER PAIRS DOCUMENT --write  makes its tables anew

HELPER is the program of pairs.cpp. PAIRS is a JSON array of {"p0f", "muonfp", "user_agent", "captures"}: what p0f and
MuonFP print of a SYN, the system part of the User-Agent of the same connection, and the captures ("OWNER/REPOSITORY:
FILE") in which both are. Such a file is evidence, and no part of this project."""
import collections
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "support"))
sys.dont_write_bytecode = True
import raw_syn  # noqa: E402

HELPER, PAIRS, DOCUMENT = sys.argv[1:4]
NAMED, AGREE = 0.85, 0.97  # at least
BEGIN, END = "<!-- Made by tests/oracle/pairs.py --write: begin -->", "<!-- end -->"
TITLE = {"windows": "Windows", "linux": "Linux, Android, ChromeOS", "macos": "macOS, iOS", "freebsd": "FreeBSD",
         "openbsd": "OpenBSD"}

# What is known of pairs whose User-Agent is not of the system that sent the SYN, by capture. True: known to be a proxy, a
# VPN or an emulator, and set aside; False: the cause is a guess.
CAUSES = {
    "arkime/arkime: tests/pcap/http-xff.pcap":
        (True, "a proxy: its requests carry X-Forwarded-For"),
    "ntop/nDPI: tests/cfgs/default/pcap/softether.pcap":
        (True, "a VPN program that always sends this User-Agent"),
    "OISF/suricata-verify: tests/http-request-invalid/input.pcap":
        (False, "a script that sends invalid requests on purpose?"),
    "OISF/suricata-verify: tests/bug-7657-01/input.pcap":
        (False, "a script that repeats a request of a bug report?"),
    "seladb/PcapPlusPlus: Examples/Tutorials/Tutorial-PcapFiles/input.pcap":
        (False, "a virtual machine or a proxy?"),
}
# Command-line tools write the target that they were built for: "curl/7.24.0 (x86_64-apple-darwin12.0)". That is no claim to
# the library, but it says who sent the SYN.
TARGETS = {r"[(-]darwin[0-9]": "macos", r"[(-]linux-gnu": "linux", r"-openbsd[0-9]": "openbsd", r"-freebsd[0-9]": "freebsd"}
PACKETS = "packets made by hand: not a system's SYN"


def ask(pairs):
    lines = []
    for number, pair in enumerate(pairs):
        packet = raw_syn.packet_of(pair["p0f"], 1024 + number, int(pair["muonfp"].split(":")[0]))
        lines.append(packet.hex() + "\t" + pair["user_agent"].replace("\n", " "))
    done = subprocess.run([HELPER], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(answers) != len(pairs):
        sys.exit(f"{HELPER} failed: {done.stderr}")
    for pair, answer in zip(pairs, answers):
        if answer["p0f"] != pair["p0f"]:
            sys.exit(f"the packet is not what was seen: {answer['p0f']} instead of {pair['p0f']}")
        if answer["claimed"] == "unknown":
            answer["claimed"] = next((system for target, system in TARGETS.items() if re.search(target, pair["user_agent"])),
                                     "unknown")
    return answers


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def percent(part, whole):
    return f"{100 * part / whole:.1f} %"


def judge(pairs, answers):
    """The lines of the document, and what is wrong."""
    named = [a for a in answers if a["os"]["label"]]
    ranks = collections.Counter(a["os"]["match"] for a in named)
    claims = [(p, a) for p, a in zip(pairs, answers) if a["os"]["label"] and a["claimed"] != "unknown"]
    agree = [(p, a) for p, a in claims if a["claimed"] == a["family"]]
    differ = [(p, a) for p, a in claims if a["claimed"] != a["family"]]
    explained, known = [], 0
    for pair, answer in differ:
        if answer["os"]["class"] == "!":
            is_known, why = True, PACKETS
        else:
            is_known, why = next((CAUSES[c] for c in pair["captures"] if c in CAUSES), (False, None))
        if why is None:
            sys.exit(f"{pair['captures']}: {answer['os']['label']}, but the User-Agent is {pair['user_agent']}: why?")
        known += is_known
        explained.append((answer["os"]["label"].split(":", 2)[2].rstrip(":").replace(":", " "), TITLE[answer["claimed"]],
                          "`" + pair["captures"][0].replace(": ", ":", 1) + "`", why))
    counted = len(claims) - known
    lines = table(("", "pairs", ""), (
        ("all", len(pairs), ""),
        ("named", len(named), percent(len(named), len(pairs))),
        ("of these exact, generic, fuzzy", ", ".join(str(ranks[r]) for r in ("exact", "generic", "fuzzy")), ""),
        ("named, and the User-Agent says a system", len(claims), ""),
        ("of these with the User-Agent's system", len(agree), percent(len(agree), len(claims))),
        ("without known proxies, VPNs and packets made by hand", f"{len(agree)} of {counted}", percent(len(agree), counted))))
    per = collections.Counter(a["claimed"] for p, a in zip(pairs, answers))
    lines += [""] + table(("the User-Agent says", "pairs", "named", "as this system"), [
        (TITLE.get(family, "nothing of a system"), count,
         sum(1 for a in answers if a["claimed"] == family and a["os"]["label"]),
         "" if family == "unknown" else sum(1 for _, a in agree if a["claimed"] == family))
        for family, count in sorted(per.items(), key=lambda item: (item[0] == "unknown", -item[1], item[0]))])
    lines += [""] + table(("the SYN is named", "the User-Agent says", "in", "because"), sorted(explained))
    unnamed = collections.Counter(p["p0f"] for p, a in zip(pairs, answers) if not a["os"]["label"])
    lines += ["", f"Without a name: {sum(unnamed.values())} pairs, {len(unnamed)} signatures:", ""]
    lines += table(("signature", "pairs"), [(f"`{text}`", n) for text, n in sorted(unnamed.items(), key=lambda i: (-i[1], i[0]))])
    wrong = []
    if len(named) < NAMED * len(pairs):
        wrong.append(f"{percent(len(named), len(pairs))} are named, less than {100 * NAMED:.0f} %")
    if len(agree) < AGREE * counted:
        wrong.append(f"{percent(len(agree), counted)} agree, less than {100 * AGREE:.0f} %")
    return lines, wrong


def main():
    with open(PAIRS, encoding="utf-8") as file:
        pairs = json.load(file)
    lines, wrong = judge(pairs, ask(pairs))
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    before, begin, rest = text.partition(BEGIN)
    there, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{DOCUMENT}: no lines between which the tables belong:\n{BEGIN}\n{END}")
    ours = "\n\n" + "\n".join(lines) + "\n\n"
    if sys.argv[4:] == ["--write"]:
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(before + begin + ours + end + after)
    elif there != ours:
        wrong.append(f"the tables of {DOCUMENT} are not these; run pairs.py with --write:\n" + "\n".join(lines))
    print("\n".join(lines[:8]))
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
