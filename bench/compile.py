#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the headers cost the compiler, in user CPU seconds: the smallest program, and every public header alone.

Usage: compile.py BUILD_DIRECTORY, which has the generated headers; tools/bench compile runs it. The best of several runs:
on a machine that others use, a time is the less wrong the smaller it is. `own` is what a header costs over the headers of
other libraries that it reaches."""
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(sys.argv[1])
FLAGS = ["-std=c++20", f"-I{ROOT}/include", f"-I{BUILD}/recorded", f"-I{BUILD}/generated"]
RUNS = 5


def user_seconds(argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(argv, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def cost(compiler, source, *options):
    return min(user_seconds([compiler, *FLAGS, *options, "-c", source, "-o", os.devnull]) for _ in range(RUNS))


def foreign_includes(compiler, source):
    """The #include lines of our own files below `source` that name other libraries' headers."""
    made = subprocess.run([compiler, *FLAGS, "-M", source], check=True, capture_output=True, text=True).stdout
    ours = [name for name in made.replace("\\\n", " ").split() if "/synfp/" in name and name.startswith("/")]
    lines = [line for name in ours for line in pathlib.Path(name).read_text().splitlines()]
    return sorted({line for line in lines if re.match(r"#include <(?!synfp/)", line)})


def main():
    compilers = [c for c in ("g++", "clang++") if shutil.which(c)]
    print("user seconds, best of", RUNS)
    for compiler in compilers:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        for level in ("-O0", "-O2"):
            seconds = cost(compiler, ROOT / "examples" / "minimal.cpp", level)
            print(f"{seconds:6.2f}  minimal.cpp {level}  {version}", flush=True)

    compiler = compilers[0]
    print(f"\n alone    own  header, {compiler} -O0", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = pathlib.Path(scratch) / "one.cpp"
        headers = [p.relative_to(ROOT / "include") for p in (ROOT / "include").rglob("*.hpp") if "detail" not in p.parts]
        for header in sorted(headers):
            source.write_text(f"#include <{header}>\n")
            alone = cost(compiler, source, "-O0")
            foreign = foreign_includes(compiler, source)
            source.write_text("\n".join(foreign) + "\n")
            own = max(0.0, alone - cost(compiler, source, "-O0"))
            print(f"{alone:6.2f} {own:6.2f}  {header}", flush=True)


if __name__ == "__main__":
    main()
