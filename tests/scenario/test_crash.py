# SPDX-License-Identifier: GPL-2.0-or-later
"""The patcher is killed after every system call that it makes, one run for each.

strace counts the patcher's system calls and delivers SIGKILL at the chosen one. After each: the target lives and
answers, every function is wholly old or wholly new, and the next run finishes or undoes what it finds. `make check`
begins with the first system call that concerns the target (what comes before cannot touch it); --long takes all.
"""

import concurrent.futures
import itertools
import re
import threading

import pytest

import lab
from conftest import need_program
from lab import DONE, NOTHING

WORKERS = 2


class Bench:
    """One target of one worker, brought to a known state before each shot."""

    def __init__(self, kcare, worker, folder, action):
        self.kcare, self.worker, self.folder, self.action = kcare, worker, folder, action
        self.target = lab.Target([worker.program])
        self.target.ask("sleepers 3")
        self.target.ask("stutterers 1")

    def command(self):
        action = ("patch", "-p", self.target.pid, self.folder) if self.action == "patch" else (
            "unpatch", "-p", self.target.pid)
        return [*map(str, action), "--wait", "5"]

    def reset(self):
        """Before a shot at `patch` nothing is in the process; before one at `unpatch`, the patch is."""
        wanted = (31, 1010) if self.action == "patch" else (32, 1011)
        if self.values() != wanted:
            other = "unpatch" if self.action == "patch" else "patch"
            arguments = [other, "-p", self.target.pid] + ([self.folder] if other == "patch" else [])
            result = self.kcare.ctl(*arguments, "--wait", 5)
            assert result.code == DONE, result
        assert self.values() == wanted

    def values(self):
        return self.target.ask("value 10"), self.target.ask("one 10")

    def shoot(self, number, log):
        """Kills the patcher at its system call `number`. False when it had ended before."""
        self.reset()
        inject = ["strace", "-f", "-o", str(log), "-e", "trace=none", "-e", "signal=none", "-e",
                  f"inject=all:signal=KILL:when={number}"]
        result = self.kcare.run("libcare-ctl", *self.command(), prefix=inject)
        killed = result.code in (-9, 137)
        assert killed or result.code == DONE, result
        self.check(f"killed at system call {number}")
        self.recover(number)
        return killed

    def check(self, when):
        for elf in ("program", "libone.so.1"):
            lab.assert_whole(self.target, self.worker, elf)
        assert self.values() in ((31, 1010), (32, 1011)), f"{when}: {self.values()}: neither old nor new"
        assert self.target.ask("wrong") == 0, when

    def recover(self, number):
        """The next run: finishes when it patches, undoes when it unpatches; nothing is left when it is undone."""
        finish = number % 2 == 0
        arguments = ["patch", "-p", self.target.pid, self.folder] if finish else ["unpatch", "-p", self.target.pid]
        result = self.kcare.ctl(*arguments, "--wait", 5)
        assert result.code in (DONE, NOTHING), f"after system call {number}: {result}"
        assert self.values() == ((32, 1011) if finish else (31, 1010)), f"after system call {number}: {result}"
        self.check(f"recovered from system call {number}")
        if not finish:
            lab.assert_original(self.target, self.worker.program, self.worker.run / "libone.so.1")


def first_that_concerns(kcare, bench, log):
    """The number of the first system call that names the target or traces it."""
    bench.reset()
    done = kcare.run("libcare-ctl", *bench.command(), prefix=["strace", "-f", "-o", str(log)])
    assert done.code == DONE, done
    calls = [line for line in log.read_text().splitlines() if re.match(r"\d+ +[a-z_0-9]+\(", line)]
    pattern = re.compile(rf"ptrace\(|/proc/{bench.target.pid}\b|process_vm")
    return next(i for i, line in enumerate(calls, 1) if pattern.search(line)), len(calls)


@pytest.mark.parametrize("action", ["patch", "unpatch"])
def test_killed_after_every_system_call(worker, kcare, both, tmp_path, long, action, record_property):
    need_program("strace", "strace")
    folder = lab.folder_of(both, kcare.root)
    benches = [Bench(kcare, worker, folder, action) for _ in range(WORKERS)]
    try:
        first, total = first_that_concerns(kcare, benches[0], tmp_path / "count")
        assert total > first > 1
        numbers, over, shots = itertools.count(1 if long else first), threading.Event(), []

        def work(index):
            while not over.is_set():
                number = next(numbers)
                if benches[index].shoot(number, tmp_path / f"log{index}"):
                    shots.append(number)
                else:
                    over.set()

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(work, index) for index in range(WORKERS)]:
                try:
                    future.result()
                finally:
                    over.set()
        assert len(shots) >= (total - first) * 0.8, f"{len(shots)} kills for {total} system calls from {first} on"
        record_property("kills", len(shots))
    finally:
        for bench in benches:
            bench.target.close()
