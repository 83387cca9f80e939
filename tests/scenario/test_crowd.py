# SPDX-License-Identifier: GPL-2.0-or-later
"""Much going on in the target while it is patched: threads without number, signals, vfork. Every thread calls the
patched functions all the time and counts answers that are neither old nor new."""

import time

import pytest

import lab

pytestmark = pytest.mark.alone


def values(target):
    return target.ask("value 10"), target.ask("one 10")


def patch_and_undo(kcare, worker, target, both, rounds=5, wait=20):
    for _ in range(rounds):
        kcare.patch(target, *both, wait=wait)
        assert values(target) == (32, 1011)
        lab.assert_whole(target, worker)
        kcare.unpatch(target, wait=wait)
        assert values(target) == (31, 1010)
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")
    assert target.ask("wrong") == 0, "a function answered neither old nor new"


def assert_goes_on(target, counter):
    before = target.ask(counter)
    lab.wait_until(lambda: target.ask(counter) > before, what=f"{counter} grows")


def test_constant_creation_of_threads(worker, spawn, kcare, both):
    target = spawn(worker)
    target.ask("creators 2")
    patch_and_undo(kcare, worker, target, both)
    assert_goes_on(target, "started")


def test_a_thousand_threads(worker, spawn, kcare, both):
    target = spawn(worker)
    assert target.ask("sleepers 980") == 0
    assert target.ask("stutterers 20") == 0
    lab.wait_until(lambda: target.threads() == 1001, what="1,001 threads")
    patch_and_undo(kcare, worker, target, both)
    assert target.threads() == 1001
    assert_goes_on(target, "turns")


def test_more_spinning_threads_than_processors(worker, spawn, kcare, both):
    target = spawn(worker)
    target.ask("spinners 16")
    patch_and_undo(kcare, worker, target, both)
    assert_goes_on(target, "turns")


def test_a_storm_of_signals(worker, spawn, kcare, both):
    """The handlers call the patched functions too, and no signal is lost for good."""
    target = spawn(worker)
    target.ask("stutterers 4")
    target.ask("storm 2")
    lab.wait_until(lambda: target.ask("handled") > 100, what="the storm blows")
    patch_and_undo(kcare, worker, target, both)
    assert_goes_on(target, "handled")


def test_vfork_in_another_thread(worker, spawn, kcare, both):
    """The parent of a vfork is stuck in the kernel for the child's life: nobody waits for it."""
    target = spawn(worker)
    target.ask("stutterers 4")
    target.ask("vfork 4000")
    lab.wait_until(lambda: lab.children_of_all(target.pid), what="the child runs")
    began = time.monotonic()
    kcare.patch(target, *both, wait=2)
    took = time.monotonic() - began
    assert values(target) == (32, 1011)
    assert lab.children_of_all(target.pid), "the child still runs: nobody waited for it"
    assert took < 3.5
    kcare.unpatch(target, wait=2)
    lab.wait_until(lambda: not lab.children_of_all(target.pid), what="the child ends as it would have")
    assert target.ask("wrong") == 0


def test_all_processes_at_once(worker, namespace, spawn, kcare, both):
    """`-p all` finds those that map the files, and leaves the others alone."""
    targets = [spawn(worker, wrapper=namespace.prefix) for _ in range(3)]
    folder = lab.folder_of(both, kcare.root)
    result = kcare.ctl("patch", "-p", "all", folder, "--wait", 5, prefix=namespace.prefix)
    assert result.code == lab.DONE, result
    assert [values(target) for target in targets] == [(32, 1011)] * 3
    listed = kcare.ctl("info", "-j", prefix=namespace.prefix)
    pids = {lab.json.loads(line)["pid"] for line in listed.out.splitlines()}
    assert pids == {namespace.pid_inside(target) for target in targets}, listed
    result = kcare.ctl("unpatch", "-p", "all", "--wait", 5, prefix=namespace.prefix)
    assert result.code == lab.DONE, result
    assert [values(target) for target in targets] == [(31, 1010)] * 3
    assert kcare.ctl("patch", "-p", "all", folder, "--wait", 5, prefix=namespace.prefix).code == lab.DONE
    assert kcare.ctl("patch", "-p", "all", folder, prefix=namespace.prefix).code == lab.NOTHING
