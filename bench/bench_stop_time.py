#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a process stands still while it is patched: the largest gap that a spinning thread sees.

Each round measures, in the same process and in turns: the background (nobody does anything for as long as a patch
takes), patch, unpatch, and a bare stop of all threads with ptrace. Threads run with chrt(1) -f 10, so that the
scheduler's own gaps stay small. One thread spins, the others block; in the last row many of them run every 50 ms.
"""
import argparse
import subprocess
import sys
import time

from measure import HERE, lab, laboratory, median, percentile

GOAL_US = {1: 300, 16: 300, 256: 300, 1000: 500}
LIBCARE_MS = {1: 5, 16: 30, 256: 738, 1000: 6640}


def run_rounds(kcare, target, patch, stop_all, rounds):
    """{what: [largest gap in µs]}"""
    gaps = {"background": [], "patch": [], "unpatch": [], "ptrace": []}

    def measure(what, action):
        target.ask("reset")
        action()
        gaps[what].append(target.ask("largest") / 1000)

    window = 0.05
    for _ in range(rounds):
        measure("background", lambda: time.sleep(window))
        began = time.monotonic()
        measure("patch", lambda: kcare.patch(target, patch, wait=30))
        window = time.monotonic() - began
        measure("unpatch", lambda: kcare.unpatch(target, wait=30))
        measure("ptrace", lambda: subprocess.run([stop_all, str(target.pid)], check=True))
    return gaps


def start(build, threads, stutterers):
    target = lab.Target(["chrt", "-f", "10", build.program])
    assert target.ask(f"sleepers {max(0, threads - 2 - stutterers)}") == 0
    assert target.ask(f"stutterers {stutterers}") == 0
    assert target.ask("spinners 1") == 0
    return target


def show(threads, stutterers, gaps):
    p99 = {what: percentile(values, 99) for what, values in gaps.items()}
    mid = {what: median(values) for what, values in gaps.items()}
    above = max(p99["patch"], p99["unpatch"]) - p99["background"]
    print(f"{threads:5} {stutterers:4} " + " ".join(
        f"{mid[what]:7.0f} {p99[what]:7.0f}" for what in ("background", "patch", "unpatch", "ptrace"))
        + f" {above:+8.0f} {mid['patch'] / mid['ptrace']:6.2f} {above / GOAL_US[threads]:5.2f} × goal", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args()
    with laboratory() as (kcare, build, patch, folder):
        stop_all = str(folder / "stop_all")
        lab.call(["gcc", "-O2", str(HERE / "stop_all.c"), "-o", stop_all], folder)
        print(f"largest gap in µs, {args.rounds} rounds; ratio: median of patch ÷ median of a bare ptrace stop;")
        print("above: worse p99 of patch and unpatch, less the background's")
        print("thr.  run  background      patch           unpatch         bare ptrace        above  ratio")
        print("              med     p99     med     p99     med     p99     med     p99")
        for threads, stutterers in [(1, 0), (16, 0), (256, 0), (1000, 0), (256, 100)]:
            target = start(build, threads, stutterers)
            try:
                show(threads, stutterers, run_rounds(kcare, target, patch, stop_all, args.rounds))
            finally:
                target.close()
        print("LibCare, measured once: " + ", ".join(f"{n}: {ms} ms" for n, ms in LIBCARE_MS.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
