#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: runs every program bench/bench_*.py, one after the other, and shows what it prints.

A bench prints ratios against a named floor or peer that it measures in the same run. It passes no judgement: machines
are noisy, and numbers are for people.
"""
import argparse
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="meson build folder (release)")
    parser.add_argument("names", nargs="*", help="only these: stop_time, build, …")
    args = parser.parse_args()
    env = dict(os.environ, KCARE_BUILD_DIR=str(pathlib.Path(args.build).resolve()), PYTHONDONTWRITEBYTECODE="1")
    failed = []
    for path in sorted(HERE.glob("bench_*.py")):
        name = path.stem.removeprefix("bench_")
        if args.names and name not in args.names:
            continue
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, path], env=env, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
