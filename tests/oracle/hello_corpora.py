#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every hello of the captures has the JA3 and JA4, in all four forms, that are published for them.

usage: hello_corpora.py SYNFP DIRECTORY      of captures and expected.json

Those of tests/data/tls are our own: openssl s_client (the third and fourth connection: a session and its resumption),
curl, gnutls-cli and Python of Debian 12, against openssl s_server over loopback; of each, SYN and first data. Their
JA3 is Wireshark's, their JA4 that of the model in hello.py."""
import collections
import json
import os
import subprocess
import sys

FORMS = ("ja4", "ja4_r", "ja4_o", "ja4_ro", "ja3", "ja3_full")  # and steady, where it is expected


def main():
    synfp, directory = sys.argv[1:]
    with open(os.path.join(directory, "expected.json")) as file:
        expected = json.load(file)
    equal, failures = collections.Counter(), []
    for capture, hellos in expected.items():
        done = subprocess.run([synfp, "read", os.path.join(directory, capture), "--format", "json"], capture_output=True,
                              text=True, timeout=60, check=True)
        ours = {}
        for line in map(json.loads, done.stdout.splitlines()):
            if line["hello"]:
                ours[(line["peer"]["address"], str(line["peer"]["port"]))] = line["hello"]
        theirs = {(h["src"], h["srcport"]): h for h in hellos}
        if ours.keys() != theirs.keys():
            failures.append(f"{capture}: hellos of {sorted(ours)}, expected {sorted(theirs)}")
            continue
        for who, hello in theirs.items():
            for form in FORMS + ("steady",):
                if hello.get(form) is None:
                    continue
                if ours[who][form] == hello[form]:
                    equal[form] += 1
                else:
                    failures.append(f"{capture}: {who}: {form} {ours[who][form]}, expected {hello[form]}")
    print(f"{len(expected)} captures: " + ", ".join(f"{form} {equal[form]}" for form in equal))
    for failure in failures:
        print(failure)
    if failures or min(equal[form] for form in FORMS) == 0:
        sys.exit(f"{len(failures)} differences")


if __name__ == "__main__":
    main()
