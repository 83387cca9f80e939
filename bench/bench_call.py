#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a call to a patched function costs, beside a call to its twin that is not patched.

The two functions have the same code; all measurements are taken in turns in one process, and the median is shown.
"""
import sys

from measure import lab, laboratory, median

CALLS, ROUNDS = 20_000_000, 15


def measure(target):
    """(ns per call of the function, of its twin)"""
    pairs = [(target.ask(f"cost {CALLS}"), target.ask(f"cost-same {CALLS}")) for _ in range(ROUNDS)]
    return tuple(median([pair[i] for pair in pairs]) / 1000 for i in (0, 1))


def main():
    with laboratory() as (kcare, build, patch, _):
        target = lab.Target([build.program])
        try:
            target.ask(f"cost {CALLS}")  # warm up
            rows = [("before", measure(target))]
            kcare.patch(target, patch, wait=10)
            rows.append(("patched", measure(target)))
            kcare.unpatch(target, wait=10)
            rows.append(("unpatched", measure(target)))
        finally:
            target.close()
    print(f"median of {ROUNDS} × {CALLS:,} calls of a function of two instructions")
    print("             function      twin     ratio  difference")
    for name, (own, twin) in rows:
        print(f"{name:10} {own:8.2f} ns {twin:6.2f} ns {own / twin:8.2f} {own - twin:+8.2f} ns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
