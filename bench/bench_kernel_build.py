#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seconds from a fix to a signed patch file on a prepared kernel, beside the floor: compiling each touched object twice
(original, patched) with as many jobs, and once more by Kbuild (plain) where it was never built before. Goal: at most 1.5
times the floor, and under 10 s for a fix to one file.
"""
import concurrent.futures
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/vm"))
import cache  # noqa: E402
import kernels  # noqa: E402

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
CASES = (["raw-ihl"], ["raw-ihl", "prctl-auxv", "CVE-2026-68294"])
RUNS = 5
JOBS = os.cpu_count()


def call(*argv, **options):
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, **options)
    if done.returncode:
        sys.exit(f"{argv[0]}: {done.stderr}")
    return done.stdout


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def touched_units(prepared, fixes):
    """(object, command of the compiler) of the sources that the fixes change."""
    names = [line[6:].split("\t")[0] for fix in fixes for line in fix.read_text().splitlines() if line.startswith("+++ b/")]
    commands = (prepared / "commands").read_bytes()
    found = []
    for line in (prepared / "units").read_text().splitlines():
        _, name, source, _, offset, size = line.split("\t")
        if any(source.endswith(f"/{wanted}") for wanted in names):
            found.append((name, commands[int(offset):int(offset) + int(size)].decode()))
    return found


def compile_all(prepared, units, folder):
    """The floor: what cannot be saved."""
    def compile_one(number, command):
        words = shlex.split(command.replace("$$", "$").replace(r"\#", "#"))
        words[words.index("-o") + 1] = f"{folder}/{number}.o"
        call(*[word for word in words if not word.startswith("-Wp,-MMD")], "-ffunction-sections", "-fdata-sections",
             cwd=prepared / "obj")

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(compile_one, f"{i}-{form}", command) for i, (_, command) in enumerate(units)
                     for form in range(2)]:
            done.result()


def forget_plain(prepared, units):
    for name, _ in units:
        path = prepared / "obj" / name
        path.unlink(missing_ok=True)
        path.with_name(f".{path.name}.cmd").unlink(missing_ok=True)


def measure(release, prepared, fixes, work):
    tool = BUILD / "src/cmd/kcare-build"
    units = touched_units(prepared, fixes)

    def build():
        call(tool, "kernel", release, *(word for fix in fixes for word in ("--fix", fix)), "--level", 1, "--patchset",
             "K20261123_01", "--key", work / "keys/author.key", "-j", JOBS, "-o", work / "out")

    def build_first():
        forget_plain(prepared, units)
        return seconds(build)

    build()
    times = {"floor": [], "first": [], "again": []}
    for _ in range(RUNS):
        times["floor"].append(seconds(lambda: compile_all(prepared, units, work)))
        times["first"].append(build_first())
        times["again"].append(seconds(build))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{release}, {len(fixes)} fixes, {len(units)} objects, {JOBS} jobs, median of {RUNS}")
    print(f"  compiling original and patched (floor)   {median['floor']:6.2f} s")
    for name, what in (("again", "fix to patch file                     "), ("first", "fix to patch file, with Kbuild's plain")):
        print(f"  {what}   {median[name]:6.2f} s   {median[name] / median['floor']:.2f} x the floor"
              + (" (goal 1.5)" if name == "again" else ""))


def main():
    release, _ = kernels.resolve("6.1 oldest amd64", cache.folder())
    tool = BUILD / "src/cmd/kcare-build"
    prepared = pathlib.Path(call(tool, "prepare", "kernel", release, "--print-path").strip())
    with tempfile.TemporaryDirectory(prefix="kcare-bench-") as folder:
        work = pathlib.Path(folder)
        call(tool, "keygen", work / "keys")
        for names in CASES:
            measure(release, prepared, [kernels.derived_fix(cache.folder(), name) for name in names], work)


if __name__ == "__main__":
    main()
