#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a process stands still while it is patched: the largest gap that a spinning thread sees.

Each round measures, in the same process and in turns: the background (nobody does anything for as long as a patch
takes), patch, unpatch, and a bare stop of all threads with ptrace. Threads run with chrt(1) -f 10, so that the
scheduler's own gaps stay small; the last row does without and has more spinning threads than one.
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


def start(build, realtime, threads, spinners):
    wrapper = ["chrt", "-f", "10"] if realtime else []
    target = lab.Target([*wrapper, build.program])
    assert target.ask(f"sleepers {threads - spinners - 1}" if threads > spinners else "sleepers 0") == 0
    assert target.ask(f"spinners {spinners}") == 0
    return target


def show(threads, spinners, realtime, gaps):
    p99 = {what: percentile(values, 99) for what, values in gaps.items()}
    mid = {what: median(values) for what, values in gaps.items()}
    above = max(p99["patch"], p99["unpatch"]) - p99["background"]
    goal = GOAL_US.get(threads) if realtime else None
    verdict = "" if goal is None else f"{above / goal:5.2f} × goal"
    print(f"{threads:5} {spinners:4} " + " ".join(
        f"{mid[what]:7.0f} {p99[what]:7.0f}" for what in ("background", "patch", "unpatch", "ptrace"))
        + f" {above:+8.0f} {mid['patch'] / mid['ptrace']:6.2f} {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args()
    with laboratory() as (kcare, build, patch, folder):
        stop_all = str(folder / "stop_all")
        lab.call(["gcc", "-O2", str(HERE / "stop_all.c"), "-o", stop_all], folder)
        print(f"largest gap in µs, {args.rounds} rounds; ratio: median of patch ÷ median of a bare ptrace stop;")
        print("above: worse p99 of patch and unpatch, less the background's")
        print("thr. spin  background      patch           unpatch         bare ptrace        above  ratio")
        print("              med     p99     med     p99     med     p99     med     p99")
        rows = [(1, 1, True), (16, 1, True), (256, 1, True), (1000, 1, True), (256, 3, False)]
        for threads, spinners, realtime in rows:
            target = start(build, realtime, threads, spinners)
            try:
                show(threads, spinners, realtime, run_rounds(kcare, target, patch, stop_all, args.rounds))
            finally:
                target.close()
        print("LibCare, measured once: " + ", ".join(f"{n}: {ms} ms" for n, ms in LIBCARE_MS.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
