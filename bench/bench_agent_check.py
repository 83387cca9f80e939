#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU time, bytes and requests of `kcarectl --check` on a host that is up to date, beside its peer: curl fetching the same
files. kcarectl's helper, kcare-fetch, counts as well. Goal: 1.5 times curl's CPU.

A fleet asks every four hours, and nearly always there is nothing new; this is what that costs.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "scenario"))

from publishing import Host, Publisher, kernel_patch  # noqa: E402  (needs the path above)
from web import Web  # noqa: E402

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
ROUNDS = 100
GOAL = 1.5


def cpu_ms(env, *argv):
    """Median CPU time of a program with all its children."""
    done = subprocess.run([BUILD / "bench/rusage", str(ROUNDS), *map(str, argv)], capture_output=True, text=True, check=False,
                          env=os.environ | env)
    if done.returncode:
        sys.exit(f"bench: {done.stderr.strip()}")
    return statistics.median(int(line.split()[0]) for line in done.stdout.splitlines()) / 1000


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        publisher = Publisher(BUILD, folder)
        publisher.deploy(publisher.patchset("K20261101_01", [kernel_patch(1)]))
        with Web(publisher.public, folder / "web") as web:
            host = Host(BUILD, folder / "host", publisher, web.url)
            if host.kcarectl("--check").code > 1:
                sys.exit("bench: kcarectl --check does not work")
            web.requests()
            host.kcarectl("--check")
            asked = web.requests()
            urls = [web.url + line.split()[1] for line in asked]
            n_bytes = sum(int(line.split()[-1]) for line in asked)
            ours = cpu_ms({"KCARE_ROOT": str(host.root)}, BUILD / "src/cmd/kcarectl", "--check")
            curl = cpu_ms({}, "curl", "-s", *(word for url in urls for word in ("-o", folder / "out", url)))
        print(f"median of {ROUNDS} runs, up to date")
        for line in asked:
            print(f"  asks: {line}")
        print(f"  {len(asked)} requests, {n_bytes} bytes of content")
        print(f"  curl, the same files   {curl:5.1f} ms CPU (peer)")
        print(f"  kcarectl --check       {ours:5.1f} ms CPU   {ours / curl:.2f} x curl (goal {GOAL})")


if __name__ == "__main__":
    main()
