#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of bench_kernel_load that runs in the guest: loads each module five times, and prints medians."""
import pathlib
import statistics
import subprocess
import time

ROUNDS = 5
LIVEPATCH = pathlib.Path("/sys/kernel/livepatch")


def wait(condition):
    while not condition():
        time.sleep(0.005)


def settled(folder):
    try:
        return (folder / "transition").read_text().strip() == "0"
    except OSError:  # taken out
        return True


def round_trip(path, name):
    """(seconds in insmod, seconds until every task has switched)"""
    start = time.monotonic()
    subprocess.run(["insmod", path], check=True)
    loaded = time.monotonic()
    wait(lambda: settled(LIVEPATCH / name))
    done = time.monotonic()
    (LIVEPATCH / name / "enabled").write_text("0")
    wait(lambda: not (LIVEPATCH / name).exists())
    wait(lambda: subprocess.run(["rmmod", name], stderr=subprocess.DEVNULL, check=False).returncode == 0)
    return loaded - start, done - loaded


def refused(path):
    start = time.monotonic()
    subprocess.run(["insmod", path], stderr=subprocess.DEVNULL, check=False)
    return time.monotonic() - start


def main():
    subprocess.run(["modprobe", "qrtr"], check=True)
    subprocess.run(["insmod", "/kcare/kcare.ko"], check=True)
    for label, name in (("one", "one"), ("patch", "kcare_livepatch_1")):
        times = [round_trip(f"/kcare/{label}.ko", name) for _ in range(ROUNDS)]
        load, settle = (statistics.median(values) for values in zip(*times))
        print(f"bench: {label} {load:.4f} {settle:.4f}", flush=True)
    for label in ("few", "many"):
        print(f"bench: {label} {statistics.median(refused(f'/kcare/{label}.ko') for _ in range(ROUNDS)):.4f} 0", flush=True)


main()
