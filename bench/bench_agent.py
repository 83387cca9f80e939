#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU time and peak memory of what monitoring asks again and again, `kcarectl --status` and `--info`, beside the floor:
a program that does nothing. Goal: under 5 ms and 4 MiB. A loaded patch makes no difference: both read a few small files.
"""
import os
import pathlib
import statistics
import subprocess
import sys

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
ROUNDS = 200


def measure(*argv):
    """Median CPU time in ms, and the largest peak in MiB."""
    done = subprocess.run([BUILD / "bench/rusage", str(ROUNDS), *map(str, argv)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {done.stderr.strip()}")
    runs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return statistics.median(cpu for cpu, _ in runs) / 1000, max(peak for _, peak in runs) / 1024


def main():
    floor_cpu, floor_peak = measure("/bin/true")
    print(f"median of {ROUNDS} runs, largest peak")
    print(f"  true (floor)        {floor_cpu:5.2f} ms   {floor_peak:4.1f} MiB")
    for option in ("--status", "--info"):
        cpu, peak = measure(BUILD / "src/cmd/kcarectl", option)
        print(f"  kcarectl {option:10} {cpu:5.2f} ms   {peak:4.1f} MiB   {cpu / floor_cpu:.1f} x and {peak / floor_peak:.1f} x "
              "the floor (goal 5 ms, 4 MiB)")


if __name__ == "__main__":
    main()
