#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make check`: runs every suite and closes with `N passed, N failed, N skipped`.

Suites: unit, house and fuzz (meson), scenario (pytest: real processes), api (pytest: the portal against
api/openapi.yaml), vm (real kernels in QEMU). `--long` adds long fuzzing, ThreadSanitizer and the full list of crash points.
"""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

TOP = pathlib.Path(__file__).resolve().parents[1]
SUITES = ["meson", "scenario", "api", "vm", "long"]


def count_junit(path, counts):
    """Adds a JUnit file's results to `counts`; returns lines about what failed or was skipped."""
    lines = []
    for case in xml.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
        skipped, problem = case.find("skipped"), case.find("failure")
        problem = case.find("error") if problem is None else problem
        if problem is not None:
            counts["failed"] += 1
            lines.append(f"FAILED  {name}")
        elif skipped is not None:
            counts["skipped"] += 1
            lines.append(f"skipped {name}: {skipped.get('message') or (skipped.text or '').strip()}")
        else:
            counts["passed"] += 1
    return lines


def run_suite(title, command, junit, env, counts):
    print(f"== {title}", flush=True)
    start = time.monotonic()
    junit.unlink(missing_ok=True)
    code = subprocess.run(command, cwd=TOP, env=env, check=False).returncode
    before = dict(counts)
    lines = count_junit(junit, counts) if junit.exists() else []
    if code != 0 and counts["failed"] == before["failed"]:
        counts["failed"] += 1
        lines.append(f"FAILED  {title}: ended with code {code}")
    if code == 0 and counts["passed"] == before["passed"]:
        counts["failed"] += 1
        lines.append(f"FAILED  {title}: no test ran")
    for line in lines:
        print(line)
    print(f"== {title}: {time.monotonic() - start:.0f} s", flush=True)


def wanted_suites(args):
    if args.only:
        return [args.only]
    return [suite for suite in SUITES if suite != "long" or args.long]


def suite_runs(suite, args, build):
    """[(title, command, JUnit file)] of one suite. Scenarios run two at a time, but for those that measure or need all processors."""
    long = ["--long"] if args.long else []
    if suite == "meson":
        return [("unit, house, fuzz", ["meson", "test", "-C", str(build), "--no-rebuild", "--print-errorlogs", "--quiet"],
                 build / "meson-logs/testlog.junit.xml")]
    if suite == "vm":
        junit = build / "vm.junit.xml"
        shipped = ["--shipped", args.shipped] if args.shipped else []
        return [("vm", [sys.executable, "tests/vm/run", "--build", str(build), *shipped, f"--junit={junit}", *long], junit)]
    if suite == "scenario":
        return [pytest_run("scenario", build / "scenario.junit.xml",
                           ["-m", "not alone", "-n", "2", "--dist", "loadfile", *long, "tests/scenario", *args.pytest]),
                pytest_run("scenario, alone", build / "alone.junit.xml", ["-m", "alone", *long, "tests/scenario", *args.pytest])]
    return [pytest_run(suite, build / f"{suite}.junit.xml", [f"tests/{suite}"])]


def pytest_run(title, junit, arguments):
    return title, [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=10", "-q", "-rfEsxX", f"--junitxml={junit}",
                   *arguments], junit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="meson build folder, with ASan and UBSan")
    parser.add_argument("--shipped", help="meson build folder without them, for some of the guests")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", choices=SUITES, help="one suite")
    parser.add_argument("pytest", nargs="*", help="more arguments for pytest")
    args = parser.parse_args()
    build = (TOP / args.build).resolve()
    env = dict(os.environ, KCARE_BUILD_DIR=str(build), PYTHONDONTWRITEBYTECODE="1")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for `make check &`, and so would what tests interrupt

    for suite in wanted_suites(args):
        for title, command, junit in suite_runs(suite, args, build):
            run_suite(title, command, junit, env, counts)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
