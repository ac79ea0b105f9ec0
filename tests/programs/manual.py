#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What synfp and synfpd say of themselves: --version, errors of the command line, and that man pages and bash's
completion say what --help says. Usage: manual.py SYNFP MANUAL_DIRECTORY VERSION Words|Pages|Completion...,
or manual.py SYNFPD MANUAL_DIRECTORY VERSION Synfpd. No privileges."""
import os
import re
import shutil
import subprocess
import sys
import unittest

PROGRAM, MANUAL, VERSION = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1)), sys.argv.pop(1)
COMMANDS = ["read", "watch", "flood", "sizing", "socket", "stats", "doctor"]


def synfp(*words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def page(name, section=1):
    with open(os.path.join(MANUAL, f"{name}.{section}")) as file:
        text = file.read()
    return text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


def flat(text):
    return " ".join(re.sub(r"\\f[BIR]", "", text).split())


def complete(*words):
    """What bash offers for the last word, which may be empty."""
    script = """
        set -e
        compopt() { :; }
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        $(complete -p synfp | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script, "bash", os.path.join(MANUAL, "synfp"), "synfp", *words],
                          capture_output=True, text=True, check=True, cwd=os.path.dirname(os.path.abspath(__file__)))
    return sorted(done.stdout.split("\n")[:-1] if done.stdout.strip() else [])


class Comparison(unittest.TestCase):
    def says_the_same(self, text, title, name, out):
        """A man page, and what --help prints."""
        self.assertTrue(text.startswith(title), text[:80])
        head, options = out.split("\nOptions:\n")
        options, _, footer = options.partition("\n\n")
        self.assertIn(f"{name} - {head.splitlines()[0]}\n", text)
        described = re.split(r"\n(?=  -)", "\n" + options)[1:]
        self.assertGreaterEqual(len(described), 2)
        for one in described:
            self.assertIn(flat(one), flat(text))
        for paragraph in footer.split("\n\n"):
            self.assertIn(flat(paragraph.replace("Exit status: ", "")), flat(text.replace(".PP", "")))
        self.assertEqual(".SH EXIT STATUS" in text, "Exit status: " in footer)

    def no_line_is_taken_for_a_request(self, file):
        requests = {".TH", ".SH", ".TP", ".PP", ".B", ".BR", ".nf", ".fi"}
        with open(os.path.join(MANUAL, file)) as lines:
            for line in lines:
                self.assertTrue(line[0] not in ".'" or line.split()[0] in requests, line)

    def man_has_no_warning(self, file):
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", os.path.join(MANUAL, file)],
                              capture_output=True, text=True, env={**os.environ, "MANWIDTH": "100"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("SYNOPSIS", done.stdout)


class Words(unittest.TestCase):
    def test_version(self):
        self.assertEqual(synfp("--version"), (0, f"synfp {VERSION}\n", ""))

    def test_commands_that_are_none_are_named(self):
        self.assertEqual(synfp("raed", "x.pcap"), (2, "", "synfp: there is no command 'raed', only read, watch, flood, "
                                                          "sizing, socket, stats, doctor; see synfp --help\n"))
        self.assertEqual(synfp(), (2, "", "synfp: name a command: read, watch, flood, sizing, socket, stats, doctor; see "
                                                "synfp --help\n"))
        status, out, errors = synfp("--bogus")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("--bogus", errors)
        status, out, errors = synfp("read", "x.pcap", "--bogus")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("--bogus", errors)

    def test_help_is_short_enough_for_a_terminal(self):
        for words in ([], *([c] for c in COMMANDS)):
            status, out, errors = synfp(*words, "--help")
            self.assertEqual((status, errors), (0, ""))
            self.assertTrue(all(f"  {c} " in out for c in COMMANDS) or words)
            self.assertLessEqual(max(map(len, out.splitlines())), 110, words)

    def test_only_formats_that_were_built_are_offered(self):
        offered = re.search(r"one of ([a-z0-9, \n]+);", synfp("read", "--help")[1]).group(1)
        offered = offered.replace(",", " ").split()
        self.assertIn("p0f", offered)
        for form in offered + ["ja4t"]:
            known = synfp("read", "/nowhere", "--format", form)[2].startswith("synfp: /nowhere: ")
            self.assertEqual(known, form in offered, form)
        self.assertEqual(complete("read", "x", "--format", ""), sorted(offered))


class Pages(Comparison):
    FILES = ["synfp.1", *(f"synfp-{c}.1" for c in COMMANDS)]

    def test_each_says_what_help_says(self):
        for command in COMMANDS:
            self.says_the_same(page("synfp-" + command), f'.TH SYNFP-{command.upper()} 1 "" "synfp {VERSION}"',
                               "synfp-" + command, synfp(command, "--help")[1])
        text = page("synfp")
        for command in COMMANDS:
            self.assertIn(flat(re.search(rf"\n  {command} +(.*)", synfp("--help")[1]).group(1)), flat(text))

    def test_no_line_is_taken_for_a_request(self):
        for file in self.FILES:
            self.no_line_is_taken_for_a_request(file)

    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_man_has_no_warning(self):
        for file in self.FILES:
            self.man_has_no_warning(file)


class Synfpd(Comparison):
    def test_version(self):
        self.assertEqual(synfp("--version"), (0, f"synfpd {VERSION}\n", ""))

    def test_help_is_short_enough_for_a_terminal(self):
        status, out, errors = synfp("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertLessEqual(max(map(len, out.splitlines())), 110)

    def test_the_page_says_what_help_says(self):
        self.says_the_same(page("synfpd", 8), f'.TH SYNFPD 8 "" "synfp {VERSION}" "System Administration"', "synfpd",
                           synfp("--help")[1])
        self.assertIn(".SH EXIT STATUS", page("synfpd", 8))
        self.no_line_is_taken_for_a_request("synfpd.8")

    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_man_has_no_warning(self):
        self.man_has_no_warning("synfpd.8")


class Completion(unittest.TestCase):
    def test_commands_and_options(self):
        self.assertEqual(complete(""), sorted(COMMANDS + ["--help", "--version"]))
        self.assertEqual(complete("r"), ["read"])
        for command in COMMANDS:
            options = set(re.findall(r"^  .*?(--[a-z0-9-]+)", synfp(command, "--help")[1].partition("\nOptions:\n")[2], re.M))
            self.assertEqual(set(complete(command, "--")), options)
        self.assertEqual(complete("flood", "--shape", "m"), ["macos", "mixed"])
        self.assertEqual(complete("flood", "--rate", ""), [])

    def test_files_and_interfaces(self):
        here = [name for name in os.listdir(os.path.dirname(os.path.abspath(__file__))) if name.startswith("m")]
        self.assertIn(os.path.basename(__file__), here)
        self.assertEqual(complete("read", "m"), sorted(here))
        self.assertEqual(complete("watch", "--p0f-db", "m"), sorted(here))
        self.assertEqual(complete("watch", "--interface", "l"),
                         sorted(name for name in os.listdir("/sys/class/net") if name.startswith("l")))
        self.assertIn("bash", complete("flood", "--rate", "9", "--", "bas"))


if __name__ == "__main__":
    unittest.main()
