#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A repository with 2,000 kernels and 20 levels of each: what `kcare-repo deploy` of a new level costs, for one kernel and for
all of them, beside the floor: hashing and copying the same patch files. Goal: less than a second beyond the floor.

And what a host downloads that is not up to date: all metadata and its list, without the patch. Goal: less than 50 KB.
"""
import hashlib
import os
import pathlib
import resource
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "scenario"))

from publishing import Host, Publisher, kernel_patch, running_kernel_id  # noqa: E402  (needs the path above)
from web import Web  # noqa: E402

BUILD = pathlib.Path(os.environ["KCARE_BUILD_DIR"])
TARGETS, LEVELS = 2000, 20
STEP = 5  # levels in one patchset: all their names must fit into one command line
SIZE = 20000  # bytes of each new patch file
GOAL_S, GOAL_BYTES = 1.0, 50_000


def patches(kernels, levels):
    return [kernel_patch(level, kernel, release=f"6.1.0-{number}-amd64", cves=[f"CVE-2026-{1000 + level}"])
            for number, kernel in enumerate(kernels) for level in levels]


def floor_s(files, folder):
    """Reading, hashing and copying the files, and waiting for the disk once."""
    folder.mkdir()
    begin = time.monotonic()
    for file in files:
        data = file.read_bytes()
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
    os.sync()
    return time.monotonic() - begin


def deploy(publisher, kernels, level, name):
    folder = publisher.folder / "patches" / name
    archive = publisher.patchset(name, patches(kernels, [level]), size=SIZE)
    os.sync()
    floor = floor_s(sorted(folder.iterdir()), publisher.folder / f"floor-{level}")
    os.sync()
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    publisher.deploy(archive)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"deploy of level {level} for {len(kernels):5} kernel{'s' if len(kernels) > 1 else ' '}: {seconds:6.2f} s ({cpu:.2f} s CPU); hashing and copying "
          f"{floor:5.2f} s; beyond that {seconds - floor:5.2f} s (goal {GOAL_S:.0f} s)")


def download(publisher, folder):
    with Web(publisher.public, folder / "web") as web:
        host = Host(BUILD, folder / "host", publisher, web.url)
        done = host.kcarectl("--check")
        if done.code > 1:
            sys.exit(f"bench: {done}")
        sizes = [(int(line.split()[-1]), line.split()[1]) for line in web.requests() if line.split()[2] == "200"]
    for size, name in sizes:
        print(f"  {size:7} {name}")
    print(f"a host that asks for the first time downloads {sum(size for size, _ in sizes)} bytes (goal {GOAL_BYTES})")


def main():
    kernels = [running_kernel_id()] + [hashlib.sha1(str(number).encode()).hexdigest() for number in range(1, TARGETS)]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        publisher = Publisher(BUILD, folder)
        begin = time.monotonic()
        for first in range(1, LEVELS + 1, STEP):
            publisher.deploy(publisher.patchset(f"K202611{first:02}_01", patches(kernels, range(first, first + STEP))))
            shutil.rmtree(folder / "patches")
        print(f"{TARGETS} kernels x {LEVELS} levels: made in {time.monotonic() - begin:.0f} s")
        deploy(publisher, kernels[:1], LEVELS + 1, "K20261122_01")
        deploy(publisher, kernels[:100], LEVELS + 2, "K20261123_01")
        deploy(publisher, kernels, LEVELS + 3, "K20261124_01")
        download(publisher, folder)


if __name__ == "__main__":
    main()
