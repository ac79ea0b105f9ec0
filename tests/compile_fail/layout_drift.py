#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared header cannot drift unseen: one mutation at a time of abi.h, compiled against the layout proof, or of
the header as the BPF object was built with it, against the object's BTF. Every mutation must fail to compile, and
the copy without a mutation must compile.

usage: layout_drift.py SOURCE_DIR EMBED_BPF CXX BPF_STRIP BPF_COMPILE..."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

source, embed, cxx, strip, *bpf_compile = sys.argv[1:]
source = pathlib.Path(source)

# name, where ("both": user space and BPF read the mutated header; "bpf": only the object was built with it),
# text, replacement, and what the compiler must say.
MUTATIONS = [
    ("nothing", "both", "", "", None),
    ("nothing in the object", "bpf", "", "", None),
    ("two u32 fields of a slot swapped", "both",
     r"(  synfp_u32 ifindex;[^\n]*\n)(  synfp_u32 lost;[^\n]*\n)", r"\2\1", "synfp_slot::(ifindex|lost)"),
    ("two u32 fields of a bucket swapped", "both",
     r"(synfp_u32 sequence;)\n  (synfp_u32 lost;)", r"\2 \1", "synfp_bucket::(sequence|lost)"),
    ("two u32 fields of the metadata swapped", "both",
     r"synfp_u32 hold;\n  synfp_u32 cpus;", "synfp_u32 cpus;\n  synfp_u32 hold;", "synfp_meta::(hold|cpus)"),
    ("two bytes of the configuration swapped", "both",
     r"synfp_u8 families;\n  synfp_u8 scope; ", "synfp_u8 scope; synfp_u8 families; ", "synfp_config::"),
    ("a field widened", "both", r"synfp_u16 vlan\[2\]", "synfp_u32 vlan[2]", "synfp_slot"),
    ("a field narrowed into padding", "both", r"synfp_u32 zone;\n};", "synfp_u16 zone;\n};", "synfp_key::zone"),
    ("an array shortened", "both", r"SYNFP_TCP_BYTES = 60", "SYNFP_TCP_BYTES = 56", "synfp_slot"),
    ("one slot less", "both", r"SYNFP_WAYS = 15", "SYNFP_WAYS = 14", "synfp_bucket"),
    ("the ports of the key swapped in memory", "both",
     r"struct synfp_be16 peer_port;\n  struct synfp_be16 local_port;",
     "struct synfp_be16 local_port;\n  struct synfp_be16 peer_port;", "synfp_key::(peer|local)_port"),
    ("a port in host order in the key builder", "both",
     r"(synfp_address4\(ip \+ 16, little\),\n\s*)synfp_load16\(tcp, little\)",
     r"\1(struct synfp_be16){synfp_host16(synfp_load16(tcp, little), little)}", "byte order"),
    ("the key builder swaps the ports", "both",
     r"(synfp_address4\(ip \+ 16, little\),\n\s*)synfp_load16\(tcp, little\), synfp_load16\(tcp \+ 2, little\)",
     r"\1synfp_load16(tcp + 2, little), synfp_load16(tcp, little)", "byte order"),
    ("the key builder swaps the addresses", "both",
     r"synfp_make_key\(synfp_address4\(ip \+ 12, little\), synfp_address4\(ip \+ 16, little\)",
     "synfp_make_key(synfp_address4(ip + 16, little), synfp_address4(ip + 12, little)", "byte order"),
    ("the IPv6 key builder reads the wrong address", "both",
     r"synfp_address6\(ip \+ 8, little\)", "synfp_address6(ip + 24, little)", "byte order"),
    ("a byte order helper that swaps on the wrong host", "both",
     r"return little \? synfp_swap16\(v\.net\) : v\.net;", "return little ? v.net : synfp_swap16(v.net);",
     "byte order"),
    ("another rotation in the hash", "both", r"synfp_rotate\(s\.v1, 13\)", "synfp_rotate(s.v1, 12)", "the hash of"),
    ("one round less in the hash", "both",
     r"synfp_sip_round\(synfp_sip_round\(synfp_sip_round\(s\)\)\)", "synfp_sip_round(synfp_sip_round(s))",
     "the hash of"),
    ("another length in the hash of IPv4", "both", r"synfp_u64\)12 << 56", "synfp_u64)13 << 56",
     "the hash of an IPv4 key"),
    ("a word left out of the hash of IPv6", "both",
     r"  s = synfp_sip_word\(s, synfp_word\(k->local\.word\[2\], k->local\.word\[3\], little\)\);\n", "",
     "the hash of an IPv6 key"),
    ("a field moved in the object only", "bpf",
     r"(  synfp_u32 ifindex;[^\n]*\n)(  synfp_u32 lost;[^\n]*\n)", r"\2\1", "the BPF object has synfp_slot::"),
    ("a field widened in the object only", "bpf", r"synfp_u32 differs; [^\n]*\n};\n\n/\* A bucket",
     "synfp_u64 differs;\n};\n\n/* A bucket", "the BPF object has"),
    ("the key of the object has its ports swapped", "bpf",
     r"struct synfp_be16 peer_port;\n  struct synfp_be16 local_port;",
     "struct synfp_be16 local_port;\n  struct synfp_be16 peer_port;", "the BPF object has synfp_key::"),
    ("the configuration of the object has a field more", "bpf",
     r"synfp_u8 publish; [^\n]*\n", "synfp_u8 publish;\n  synfp_u64 more;\n", "the BPF object has another synfp_config"),
    ("the metadata of the object has a field moved", "bpf",
     r"synfp_u64 max_age_ns;\n  synfp_u64 conflict_ns;", "synfp_u64 conflict_ns;\n  synfp_u64 max_age_ns;",
     "the BPF object has synfp_meta::"),
    ("a field renamed in the object only", "bpf", r"synfp_u8 families;\n  synfp_u8 ports;",
     "synfp_u8 kinds;\n  synfp_u8 ports;", "synfp_meta"),
]


def run(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    return done.returncode, done.stdout


def embedded(work, include):
    """The generated header of an object that was built with `include`; its errors are the test's."""
    objects = []
    for endian in ("el", "eb"):
        target = work / f"synfp.bpf{endian}.o"
        code, text = run(*bpf_compile, f"--target=bpf{endian}", f"-I{include}", f"-I{source / 'bpf'}", "-c",
                         source / "bpf/synfp.bpf.c", "-o", target)
        if code:
            return code, text
        run(strip, "-g", target)
        objects.append(target)
    code, text = run(embed, "bpf_object", *objects)
    if code:
        return code, text
    generated = work / "generated/synfp/detail"
    generated.mkdir(parents=True, exist_ok=True)
    (generated / "bpf_object.hpp").write_text(text)
    return 0, ""


def attempt(work, name, where, pattern, replacement):
    include = work / "include"
    shutil.copytree(source / "include", include)
    abi = include / "synfp/abi.h"
    text = abi.read_text()
    if pattern:
        text, n = re.subn(pattern, replacement, text, count=1)
        if n != 1:
            sys.exit(f"layout_drift.py: the mutation '{name}' no longer applies")
    abi.write_text(text)
    program = "#include <synfp/layout.hpp>\n"
    flags = [f"-I{include}"]
    if where == "bpf":
        code, text = embedded(work, include)
        if code:
            return code, text
        flags = [f"-I{source / 'include'}", f"-I{work / 'generated'}"]
        program = "#include <synfp/detail/bpf_object.hpp>\n"
    unit = work / "unit.cpp"
    unit.write_text(program)
    return run(cxx, "-std=c++20", "-fsyntax-only", *flags, unit)


failures = 0
for name, where, pattern, replacement, expected in MUTATIONS:
    with tempfile.TemporaryDirectory() as directory:
        code, output = attempt(pathlib.Path(directory), name, where, pattern, replacement)
    if expected is None:
        good = code == 0
    else:
        good = code != 0 and re.search(expected, output) is not None
    print("ok  " if good else "FAIL", name)
    if not good:
        failures += 1
        print(f"  compiler exit status {code}, expected {expected or 'success'}\n{output[:2000]}")
print(f"{len(MUTATIONS)} cases, {failures} failures")
sys.exit(1 if failures else 0)
