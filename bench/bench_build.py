#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seconds from a fix to a signed patch file on a prepared OpenSSL, beside the floor: compiling the touched objects three
times (plain, original, patched) with as many jobs. Goal: at most 1.5 times the floor.

"first" is a fix to an object that was never built before; "again" finds the plain object in the cache.
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
CVES = ("CVE-2026-42766", "CVE-2026-45445")
RUNS = 7
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


def compile_commands(prepared, files):
    """One command per different object of the files, as kcare-build would run it."""
    found = {}
    for entry in json.loads((prepared / "compile_commands.json").read_text()):
        if any(entry["file"].endswith(file) for file in files):
            found[(entry["directory"], *entry["arguments"])] = entry
    return list(found.values())


def compile_all(commands, folder):
    """The floor: three forms of each object."""
    forms = ([], ["-ffunction-sections", "-fdata-sections"], ["-ffunction-sections", "-fdata-sections"])
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(call, *command["arguments"], *form, "-o", f"{folder}/{i}-{j}.o", cwd=command["directory"])
                     for i, command in enumerate(commands) for j, form in enumerate(forms)]:
            done.result()


def main():
    tool = BUILD / "src/cmd/kcare-build"
    with tempfile.TemporaryDirectory(prefix="kcare-bench-") as folder:
        work = pathlib.Path(folder)
        fixes = []
        for cve in CVES:
            text = call(TOP / "tools/derive-fix", cve)
            header = dict(line.split(": ", 1) for line in text.split("\n\n")[0].splitlines())
            fixes.append(work / f"{cve}.patch")
            fixes[-1].write_text(text)
        target = f"{header['Package']}={header['Version']}"
        prepared = pathlib.Path(call(tool, "prepare", "user", target, "--print-path").strip())
        call(tool, "keygen", work / "keys")
        files = [line[6:].split("\t")[0] for fix in fixes for line in fix.read_text().splitlines() if line.startswith("+++ b/")]
        commands = compile_commands(prepared, files)

        def build():
            call(tool, "user", target, *(word for fix in fixes for word in ("--fix", fix)), "--level", 1, "--patchset",
                 "U20261123_01", "--key", work / "keys/author.key", "-j", JOBS, "-o", work / "out")

        def build_first():
            shutil.rmtree(prepared / "plain", ignore_errors=True)
            return seconds(build)

        times = {"floor": [], "first": [], "again": []}
        build()
        for _ in range(RUNS):
            times["floor"].append(seconds(lambda: compile_all(commands, folder)))
            times["first"].append(build_first())
            times["again"].append(seconds(build))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{target}, {len(fixes)} fixes, {len(commands)} objects, {JOBS} jobs, median of {RUNS}")
    print(f"  compiling three times (floor)   {median['floor']:6.2f} s")
    for name, what in (("first", "fix to patch file, first build "), ("again", "fix to patch file, again       ")):
        print(f"  {what} {median[name]:6.2f} s   {median[name] / median['floor']:.2f} x the floor (goal 1.5)")


if __name__ == "__main__":
    main()
