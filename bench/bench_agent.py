#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU time and peak memory of what monitoring asks again and again, `kcarectl --status` and `--info`, beside the floor:
a program that does nothing. Goal: under 5 ms and 4 MiB. A loaded patch makes no difference: both read a few small files.

The host knows its kernel, as each run that holds the lock leaves it (docs/agent.md). The last line is the one look that is
needed before that.
"""
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
ROUNDS = 200


def measure(root, *argv):
    """Median CPU time in ms, and the largest peak in MiB."""
    done = subprocess.run([BUILD / "bench/rusage", str(ROUNDS), *map(str, argv)], capture_output=True, text=True, check=False,
                          env=os.environ | {"KCARE_ROOT": str(root)})
    if done.returncode:
        sys.exit(f"bench: {done.stderr.strip()}")
    runs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    return statistics.median(cpu for cpu, _ in runs) / 1000, max(peak for _, peak in runs) / 1024


def know_kernel(root):
    version = pathlib.Path("/proc/version").read_text()
    state = root / "var/cache/kcare/kernel/state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"document": "kcare-state-1", "kernel_version": version,
                                 "kernel_id": hashlib.sha1(version.encode()).hexdigest()}))


def main():
    kcarectl = BUILD / "src/cmd/kcarectl"
    with tempfile.TemporaryDirectory() as folder:
        known, unknown = pathlib.Path(folder, "known"), pathlib.Path(folder, "unknown")
        know_kernel(known)
        floor_cpu, floor_peak = measure(known, "/bin/true")
        print(f"median of {ROUNDS} runs, largest peak")
        print(f"  true (floor)               {floor_cpu:5.2f} ms   {floor_peak:4.1f} MiB")
        for option in ("--status", "--info"):
            cpu, peak = measure(known, kcarectl, option)
            print(f"  kcarectl {option:17} {cpu:5.2f} ms   {peak:4.1f} MiB   {cpu / floor_cpu:.1f} x and "
                  f"{peak / floor_peak:.1f} x the floor (goal 5 ms, 4 MiB)")
        cpu, peak = measure(unknown, kcarectl, "--status")
        print(f"  --status, unknown kernel   {cpu:5.2f} ms   {peak:4.1f} MiB")


if __name__ == "__main__":
    main()
