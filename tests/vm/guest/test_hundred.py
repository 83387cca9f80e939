# SPDX-License-Identifier: GPL-2.0-or-later
"""The same patch again and again under load: the kernel keeps nothing of it."""
import os
import pathlib
import re
import subprocess

import pytest

import lab
import marks

ROUNDS = 100 if os.environ["KCARE_VM_LONG"] == "1" else 30
WARM_UP = 10
# Beyond noise: one leaked page for each of a hundred rounds.
SLACK_KB = 4 * (100 - WARM_UP)


def slab_kb():
    """Memory of the slab allocator that nothing can reclaim, with the caches emptied."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    return int(re.search(r"SUnreclaim: +(\d+) kB", marks.read("meminfo"))[1])


def objects(name):
    """Live objects in one cache of the slab allocator."""
    return next(int(line.split()[1]) for line in marks.read("slabinfo").splitlines() if line.split()[0] == name)


@pytest.fixture
def load():
    """One process that starts others all the time, and one that reads what is patched all the time."""
    started = [subprocess.Popen(["sh", "-c", script]) for script in (
        "while :; do cat /proc/uptime | wc -c >/dev/null; done", "while :; do read line </proc/loadavg; usleep 5000; done")]
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.guests("hundred")
@pytest.mark.limit(1700)
def test_many_times_in_and_out_under_load_leaves_nothing_in_the_slabs(kcare, patch, load):
    kcare("--import-patch", patch("full-1")).ok()
    for i in range(ROUNDS):
        kcare("--update").ok()
        assert marks.loadavg() == 1
        kcare.unload()
        assert marks.loadavg() is None
        if i == WARM_UP:
            before = slab_kb()
    grown = slab_kb() - before
    assert all(process.poll() is None for process in load), "the load did not run"
    assert grown < SLACK_KB, f"{grown} kB of slab memory are gone after {ROUNDS - WARM_UP} rounds"
    assert os.listdir("/sys/kernel/livepatch") == []
