#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every entry of data/observed.fp has its evidence, and p0f names its examples by it and by no other: tools/record --check
says so, and refuses copies in which one thing is missing or wrong.

Usage: observed.py RECORD OBSERVED [unittest arguments]. Needs p0f."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

RECORD, OBSERVED = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))

HEAD = "classes = win,unix,other\n[tcp:request]\n"
ENTRY = """
label = s:other:Test:1
; evidence: captures
; capture: one/repository: a/file.pcap: says Test
; capture: another/repository: a/file.pcap: says Test, and
;   more of it
; example: 4:64+0:0:1460:1111,3:mss,nop,ws:df,id+:0
sig = 4:64:0:*:1111,3:mss,nop,ws:df,id+:0
"""
OTHER = ENTRY.replace("Test:1", "Test:2").replace("1111", "2222")


class Observed(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "observed.fp")

    def run_record(self, *arguments):
        return subprocess.run([RECORD, *arguments], capture_output=True, text=True, timeout=60)

    def text(self):
        with open(self.path, encoding="ascii") as file:
            return file.read()

    def check(self, text):
        """None if it is right, else why not."""
        with open(self.path, "w", encoding="ascii") as file:
            file.write(text)
        done = self.run_record("--check", self.path)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.stderr.strip() if done.returncode else None

    def refused(self, why, *change, text=HEAD + ENTRY + OTHER):
        for old, new in change:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        said = self.check(text)
        self.assertIsNotNone(said, text)
        self.assertRegex(said, why)

    def test_ours(self):
        done = self.run_record("--check", OBSERVED)
        self.assertEqual(done.returncode, 0, done.stderr)
        print(done.stdout.strip())

    def test_a_small_one(self):
        self.assertIsNone(self.check(HEAD + ENTRY + OTHER))

    def test_evidence_is_needed(self):
        self.refused(r"observed.fp:\d+: a signature of s:other:Test:1 without evidence",
                     (re.search(r"; evidence(.|\n)*?id\+:0\n", ENTRY)[0], ""))
        self.refused("capture without evidence", ("; evidence: captures\n", ""))
        self.refused("evidence 'guessed'", ("evidence: captures", "evidence: guessed"))
        self.refused("evidence 'recorded'", ("evidence: captures", "evidence: recorded"))
        self.refused("no entry with evidence", text=HEAD)

    def test_two_captures_or_one_and_a_source(self):
        first = "; capture: one/repository: a/file.pcap: says Test\n"
        self.refused("one capture; two of different recordings", (first, ""))
        self.refused("one capture; two of different recordings", (first, first.replace("one/", "another/")))
        self.assertIsNone(self.check(HEAD + ENTRY.replace(first, "; source: one/repository: a/file.c: what it says\n")))
        self.assertIsNone(self.check(HEAD + ENTRY.replace(first, "; source: vendor.example/page: what it says\n")))

    def test_a_source_is_named(self):
        self.refused("no source", ("evidence: captures", "evidence: source"))
        self.refused("write OWNER/REPOSITORY: FILE", ("evidence: captures", "evidence: source"),
                     ("; example", "; source: everybody knows\n; example"))
        self.refused("write OWNER/REPOSITORY: FILE", ("one/repository: a/file.pcap: says Test", "one/repository: a/file.pcap"))

    def test_examples(self):
        example = "; example: 4:64+0:0:1460:1111,3:mss,nop,ws:df,id+:0\n"
        self.refused("no example", (example, ""))
        self.refused(r"is \?\?\? \(exact\), not s:other:Test:1", ("1460:1111,3:", "1460:1111,4:"))
        self.refused(r"is Test 2 \(exact\), not s:other:Test:1", ("1460:1111,3:", "1460:2222,3:"))
        self.refused(r"\(fuzzy\), not s:other:Test:1", ("1111,3:mss,nop,ws:df,id+:0", "1111,3:mss,nop,ws:df:0"))
        self.refused("is not what p0f prints", ("mss,nop,ws:df", "mss,nap,ws:df"))

    def test_no_other_entry_names_them(self):
        wider = OTHER.replace("sig = 4:64:0:*:2222,3", "sig = 4:64:0:*:%1111,3")
        self.refused("also named Test 2", text=HEAD + ENTRY + wider)
        generic = wider.replace("s:other", "g:other")
        self.assertIsNone(self.check(HEAD + ENTRY + generic.replace("1460:2222,3", "1460:3333,3")))
        self.refused("also named Test 2", text=HEAD + ENTRY + generic.replace("g:other", "g:unix"))
        # Signatures of synfp.fp count as well.
        linux = ENTRY.replace("1111,3:mss,nop,ws", "mss*44,10:mss,sok,ts,nop,ws")
        self.refused("also named Linux|does not load", text=HEAD + linux)

    def test_adds_what_passes(self):
        self.assertIsNone(self.check(HEAD + ENTRY))
        words = ("--database", self.path, "--label", "s:other:Test:3", "--evidence", "source", "--cite",
                 "one/repository: a/file.c: what it says", "--example", "4:64+0:0:1460:3333,3:mss,nop,ws:df,id+:0")
        before = self.text()
        self.assertEqual(self.run_record(*words, "--signature", "4:64:0:*:4444,3:mss,nop,ws:df,id+:0").returncode, 1)
        self.assertEqual(self.text(), before)
        done = self.run_record(*words, "--signature", "4:64:0:*:3333,3:mss,nop,ws:df,id+:0")
        self.assertEqual(done.returncode, 0, done.stderr)
        after = self.text()
        self.assertTrue(after.startswith(before))
        self.assertIn("label = s:other:Test:3\n; evidence: source\n", after)
        self.assertIsNone(self.check(after))


if __name__ == "__main__":
    unittest.main(verbosity=2)
