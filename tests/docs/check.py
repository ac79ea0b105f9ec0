#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the documents to the code.

check.py code PAGE... -- COMPILER FLAGS...
    Every block of a page that is marked as cpp compiles. A block with a main() is a whole program. Any other is put
    into what the last comment of the form
        <!-- cpp
        #include <synfp/...>
        void example() {
          BLOCK
        }
        -->
    above it says, in place of the line BLOCK; such a block may leave things unused. A template compiles whatever it
    says until it is instantiated, so its frame does that. Errors name the page and its line.
check.py must-fail PAGE -- COMPILER FLAGS...
    No block of the page compiles, each for the reason that its line "// expect: REGEX" says, and the error names that
    page: so a broken block does fail `code`.
check.py links PAGE...
    Every relative link leads to a file, and to a heading of it if it names one. So does every path of this repository
    that is written as code, unless it has NAME in it.
check.py sentences PAGE DIRECTORY...
    What the first columns of the page quote is in string literals of the headers; \u2026 stands for what varies.
check.py hostile PAGE KINDS RESULTS...
    The page has a row for each kind of hostile client of the header KINDS, in its order, and its figures are those of
    the last of the pages RESULTS that has them.
check.py misses PAGE INCLUDE_DIRECTORY
    The page has a heading for each enumerator of `miss`, and no other.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

UNUSED = ["-Wno-unused-variable", "-Wno-unused-but-set-variable", "-Wno-unused-function", "-Wno-unused-parameter"]


def blocks(page):
    """(line of the page, text, frame) of every cpp block; no frame for a whole program."""
    frame = fence = None
    found, text, start = [], [], 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if fence is None:
            opened = re.fullmatch(r"\s*(```+)(\w*)", line)
            if opened:
                fence, language, text, start = opened[1], opened[2], [], number + 1
            elif line == "<!-- cpp":
                fence, language, text = "-->", "frame", []
        elif line.strip() == fence:
            if language == "frame":
                if [part.strip() for part in text].count("BLOCK") != 1:
                    sys.exit(f"{page}:{number}: a frame has one line BLOCK")
                frame = "\n".join(text) + "\n"
            elif language == "cpp":
                body = "\n".join(text) + "\n"
                whole = re.search(r"\bint main\(", body) is not None
                if not whole and frame is None:
                    sys.exit(f"{page}:{start}: neither a whole program, nor a frame above it")
                found.append((start, body, None if whole else frame))
            fence = None
        else:
            text.append(line)
    if fence is not None:
        sys.exit(f"{page}: a block or frame that does not end")
    return found


def programs(found, one_by_one):
    """(line of the page, program, framed): whole programs, and the blocks of each frame together, as that is faster."""
    framed = {}
    for start, body, frame in found:
        if frame is None:
            yield start, f"#line {start}\n{body}", False
        else:
            framed.setdefault((frame, start if one_by_one else 0), []).append((start, body))
    for (frame, _), members in framed.items():
        includes, rest = re.findall(r"(?m)^#include.*\n", frame), re.sub(r"(?m)^#include.*\n", "", frame)
        program = "".join(includes)
        for start, body in members:
            placed = f"#line {start}\n{body}"
            program += f"namespace block_{start} {{\n" + re.sub(r"(?m)^ *BLOCK\n", lambda _: placed, rest) + "}\n"
        yield members[0][0], program, True


def compile_program(page, start, program, framed, command):
    with tempfile.TemporaryDirectory() as directory:
        unit = pathlib.Path(directory) / "unit.cpp"
        unit.write_text(program)
        done = subprocess.run([*command, *(UNUSED if framed else []), "-fsyntax-only", unit], capture_output=True,
                              text=True)
    return page, start, done.returncode, (done.stdout + done.stderr).replace(str(unit), str(page))


def check_code(pages, command, must_fail):
    jobs, count, failed = [], 0, 0
    for page in pages:
        found = blocks(page)
        count += len(found)
        jobs += [(page, *program, command) for program in programs(found, must_fail)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for page, start, code, output in pool.map(lambda job: compile_program(*job), jobs):
            good = code == 0
            if must_fail:
                expected = re.search(r"// expect: (.*)", page.read_text().split("\n", start - 1)[-1])[1]
                good = code != 0 and re.search(re.escape(str(page)) + rf":\d+:\d+: error: .*({expected})", output)
            if not good:
                failed += 1
                print(f"{page}:{start}: {'compiles, or fails elsewhere' if must_fail else 'does not compile'}\n{output}")
    print(f"{count} blocks of {len(pages)} pages, {failed} failures")
    return count != 0 and failed == 0


def anchors(page):
    """What GitHub makes of the headings."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    found = set()
    for heading in re.findall(r"(?m)^#+ +(.*)$", text):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        while name in found:
            name += "-1"
        found.add(name)
    return found


def check_links(pages):
    count, failed = 0, 0
    for page in pages:
        text = re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", lambda m: "\n" * m[0].count("\n"), page.read_text())
        for link in re.finditer(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = link[1].partition("#")
            if re.match(r"\w+:", target):
                continue
            count += 1
            to = (page.parent / target).resolve() if target else page
            if to.exists() and (not anchor or to.suffix != ".md" or anchor in anchors(to)):
                continue
            failed += 1
            print(f"{page}:{text[:link.start()].count(chr(10)) + 1}: leads nowhere: {link[1]}")
        for path in re.finditer(r"`((?:bench|bpf|cmake|data|docs|examples|include|tests|tools)/[\w./-]+)`", page.read_text()):
            count += 1
            if "NAME" not in path[1] and not pathlib.Path(path[1]).exists():
                failed += 1
                print(f"{page}: there is no {path[1]}")
    print(f"{count} links and paths of {len(pages)} pages, {failed} failures")
    return failed == 0


def headers(directory):
    return "\n".join(path.read_text() for path in sorted(pathlib.Path(directory).rglob("*.hpp")))


def check_sentences(page, *directories):
    # Adjacent literals are one; so are those with a value between them, which the page writes as an ellipsis.
    code = re.sub(r'"\s*"', "", "".join(map(headers, directories))).replace('\\"', '"')
    quoted = re.findall(r"(?m)^\| `([^`]+)` \|", page.read_text())
    failed = 0
    for sentence in quoted:
        for part in sentence.split("\u2026"):
            if part.strip(" ();,:") not in code:
                failed += 1
                print(f"{page}: no header says: {part}")
    print(f"{len(quoted)} sentences, {failed} failures")
    return bool(quoted) and failed == 0


def check_misses(page, directory):
    found = re.search(r"enum class miss\b[^{]*\{(.*?)\};", headers(directory), re.S)
    if not found:
        sys.exit("no enum class miss")
    known = re.findall(r"(?m)^\s*(\w+)\s*(?:=[^,]*)?,", found[1])
    told = re.findall(r"(?m)^## `(\w+)`$", page.read_text())
    print(f"not told: {sorted(set(known) - set(told))}, not known: {sorted(set(told) - set(known))}")
    return set(known) == set(told)


def table(page, first):
    """The rows, by column, of the table whose first column is `first`; empty if there is none."""
    lines = iter(page.read_text().splitlines() if page.exists() else [])
    for line in lines:
        if line.startswith(f"| {first} |"):
            columns = line.strip("| ").split(" | ")
            next(lines)
            found = []
            for row in lines:
                if not row.startswith("|"):
                    break
                found.append(dict(zip(columns, (cell.strip() for cell in row.strip("|").split("|")))))
            return found
    return []


def check_hostile(page, kinds, *results):
    names = re.findall(r'\.name = "([^"]+)"', pathlib.Path(kinds).read_text())
    told = table(page, "hostile clients")
    measured = next((rows for rows in (table(pathlib.Path(p), "hostile clients") for p in reversed(results)) if rows), [])
    failed = [] if names and [row["hostile clients"] for row in told] == names else ["its kinds are not those of the tests"]
    for row, result in zip(told, measured):
        # The page of results has fewer digits from 10 on; microseconds are whole there, milliseconds have one here.
        for column, of, factor, exact in (("honest p99, ms", "p99 us", 1000, 0.06), ("without", "without, p99 us", 1000, 0.06),
                                          ("failed", "failed", 1, 0), ("MB most", "MB most", 1, 1),
                                          ("recovered, s", "recovered s", 1, 0.01)):
            if abs(float(row[column]) - float(result[of].replace(",", "")) / factor) > exact:
                failed.append(f"{row['hostile clients']}: {column} is {row[column]}, measured was {result[of]}")
        if (row["hostile clients"], row["limits"]) != (result["hostile clients"], result["limits"]):
            failed.append(f"{row['hostile clients']}: the limits are not those of the results")
    if len(told) != len(measured):
        failed.append(f"{len(told)} rows, but {len(measured)} of results")
    print(*failed or [f"{len(told)} kinds"], sep="\n")
    return not failed


def main():
    what, *rest = sys.argv[1:]
    if what == "hostile":
        sys.exit(0 if check_hostile(pathlib.Path(rest[0]), *rest[1:]) else 1)
    if what in ("sentences", "misses"):
        check = check_sentences if what == "sentences" else check_misses
        sys.exit(0 if check(pathlib.Path(rest[0]), *rest[1:]) else 1)
    split = rest.index("--") if "--" in rest else len(rest)
    pages, command = [pathlib.Path(p) for p in rest[:split]], rest[split + 1:]
    if not pages:
        sys.exit("no pages")
    if what == "links":
        good = check_links(pages)
    else:
        good = check_code(pages, command, must_fail=what == "must-fail")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
