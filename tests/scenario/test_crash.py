# SPDX-License-Identifier: GPL-2.0-or-later
"""The patcher is killed at every system call that it makes, one run for each, both while it patches and unpatches.

tests/targets/kill_at.c counts the patcher's system calls over all its threads and kills it at the chosen one. After
each: the target lives and answers, every function is wholly old or wholly new (a kill between two entries leaves one
new and the other old), and the next run finishes or undoes what it finds, for all functions. `make check` leaves out
what can make no difference: the system calls before the first that names the target, and points that differ from the
one before only by something that was read; of the rest it takes each fourth, from another one each day. What changes the
target is taken whole, by its own count. --long takes all.

Everything happens in a pid namespace, so that the patcher, which looks at all processes when it lists what is fixed,
finds only a few.
"""

import concurrent.futures
import re
import sys
import threading
import time

import pytest

import lab
from conftest import need_program
from lab import DONE, NOTHING

pytestmark = pytest.mark.alone

WORKERS = 2
KILLED = 137
MISSES = 4
STEP = 4
READS = ("pread64", "process_vm_readv", "read", "newfstatat")  # as in kill_at.c
OLD, NEW = (31, 1010), (32, 1011)


class Series:
    """Which system calls of `patch` or `unpatch` are still to be killed at: shared by the workers."""

    def __init__(self, first, total, mode=(), step=1):
        self.first, self.total, self.mode, self.step = first, total, mode, step
        self.next, self.over, self.killed, self.missed = first, False, 0, 0
        self.lock = threading.Lock()

    def take(self):
        """The next number, or None when a run has come to its end before it."""
        with self.lock:
            if self.over:
                return None
            number, self.next = self.next, self.next + self.step
            return number

    def report(self, killed):
        with self.lock:
            self.killed += killed
            self.missed += not killed
            self.over = self.missed >= MISSES  # one run may have polled less than others


class Shooter:
    """One target, patched or not, and a patcher that is killed while it changes that."""

    def __init__(self, kcare, worker, folder, namespace, kill_at):
        self.kcare, self.worker, self.folder, self.namespace, self.kill_at = kcare, worker, folder, namespace, kill_at
        self.target = lab.Target([*namespace.prefix, worker.program], inner=True)
        self.pid = namespace.pid_inside(self.target)
        self.torn_sets = 0  # killed between two entries: one function is new, another one still old
        self.target.ask("sleepers 3")
        self.target.ask("stutterers 1")

    def command(self, action):
        files = [self.folder] if action == "patch" else []
        return [action, "-p", self.pid, *files, "--wait", 5]

    def run(self, action, *prefix):
        return self.kcare.run("libcare-ctl", *self.command(action), prefix=[*self.namespace.prefix, *prefix])

    def values(self):
        return self.target.ask("value 10"), self.target.ask("one 10")

    def set(self, action):
        """A run that nobody kills; returns what was found to do."""
        result = self.run(action)
        assert result.code in (DONE, NOTHING), result
        assert self.values() == (NEW if action == "patch" else OLD), result
        return result

    def first_that_concerns_the_target(self, action, log, left_out):
        """The number of the first system call that names the target or traces it."""
        done = self.run(action, "strace", "-f", "-o", str(log))
        assert done.code == DONE, done
        calls = [line for line in log.read_text().splitlines() if re.match(r"\d+ +[a-z_0-9]+\(", line)]
        calls = [line for line in calls if not re.match(rf"\d+ +({'|'.join(left_out)})\(", line)]
        pattern = re.compile(rf"ptrace\(|/proc/{self.pid}\b|process_vm")
        return next(i for i, line in enumerate(calls, 1) if pattern.search(line))

    def count(self, action, mode, log):
        """How many system calls there are, when kill_at counts them. Runs that poll more or less have more or less."""
        log.write_bytes(b"")
        done = self.run(action, self.kill_at, *mode, "-a", str(log), str(sys.maxsize))
        assert done.code == DONE, done
        return log.stat().st_size

    def shoot(self, action, mode, number, next_action):
        """Kills the patcher at its system call `number`, looks, and brings the target to where `next_action` starts."""
        result = self.run(action, self.kill_at, *mode, str(number))
        killed = result.code == KILLED
        when = f"{action} killed at system call {' '.join(mode)} {number}"
        assert killed or result.code == DONE, f"{when}: {result}"
        program, library = self.check(when)
        self.torn_sets += (program in OLD) != (library in OLD)
        recovered = self.set("unpatch" if next_action == "patch" else "patch")
        self.check(f"{when}, then {recovered}")
        if next_action == "patch":
            lab.assert_original(self.target, self.worker.program, self.worker.run / "libone.so.1")
        return killed

    def check(self, when):
        for elf in ("program", "libone.so.1"):
            lab.assert_whole(self.target, self.worker, elf)
        assert self.target.ask("wrong") == 0, f"{when}: a function is neither old nor new"
        return self.values()


def other(action):
    return "unpatch" if action == "patch" else "patch"


def work(shooter, series, stop):
    """Shoots until both series are over. The recovery finishes what was begun or undoes it, in turns."""
    action, turn = "patch", 0
    while not stop.is_set():
        number = series[action].take()
        if number is None:
            if series[other(action)].over:
                return
            shooter.set(action)
            action = other(action)
            continue
        turn += 1
        following = other(action) if turn % 3 and not series[other(action)].over else action
        series[action].report(shooter.shoot(action, series[action].mode, number, following))
        action = following


def shoot_all(shooters, series):
    for shooter in shooters:
        shooter.set("unpatch")
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work, shooter, series, stop) for shooter in shooters]
        concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        if any(future.done() and future.exception() for future in futures):
            stop.set()
        for future in futures:
            future.result()


def test_killed_at_every_system_call(worker, namespace, kcare, both, tmp_path, long):
    need_program("strace", "strace")
    folder = lab.folder_of(both, kcare.root)
    kill_at = tmp_path / "kill_at"
    lab.call(["gcc", "-O2", "-D_GNU_SOURCE", str(lab.TARGETS / "kill_at.c"), "-o", str(kill_at)], tmp_path)
    shooters = [Shooter(kcare, worker, folder, namespace, str(kill_at)) for _ in range(WORKERS)]
    today = int(time.time() // 86400) % STEP
    try:
        series = {}
        for action in ("patch", "unpatch"):
            mode, left_out = ((), ("-",)) if long else (("-r",), READS)
            first = shooters[0].first_that_concerns_the_target(action, tmp_path / "log", left_out)
            shooters[0].set(other(action))
            total = shooters[0].count(action, mode, tmp_path / "count")
            assert total > first > 20
            series[action] = Series(1, total) if long else Series(first - 10 + today, total, mode, STEP)
        shoot_all(shooters, series)
        for action, done in series.items():
            expected = (done.total - done.first) // done.step
            assert done.killed >= expected * 0.5, f"{action}: {done.killed} kills, {expected} system calls"
            print(f"{action}: killed {done.killed} times")
        # How often the patcher polls differs from run to run, so that a number is not always the same point. What it
        # does to the target is in order: once more, with only this counted.
        series = {action: Series(1, 0, ("-w",)) for action in ("patch", "unpatch")}
        shoot_all(shooters, series)
        assert all(done.killed > 20 for done in series.values())
        assert sum(shooter.torn_sets for shooter in shooters), "no kill fell between two entries of the set"
    finally:
        for shooter in shooters:
            shooter.target.close()
