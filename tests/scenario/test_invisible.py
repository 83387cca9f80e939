# SPDX-License-Identifier: GPL-2.0-or-later
"""A stop is invisible: no system call of another thread returns what it would not have returned without the patcher."""

import time

import pytest

# Timeouts that the system call holds in a register (or remembers by itself): a restarted call ends when it should have.
# The others read theirs from memory or from the socket again, so each stop gives them up to one timeout more.
ENDS_IN_TIME = {"epoll_wait", "nanosleep", "poll", "select"}
KINDS = ["epoll_wait", "semop", "semtimedop", "recv", "sigtimedwait", "nanosleep", "poll", "select", "msgrcv"]


def counters(target):
    return {name: target.ask(f"wait-{name}") for name in ("turns", "errors", "early", "late", "errno")}


@pytest.mark.parametrize("kind", KINDS)
def test_no_spurious_error_and_no_wrong_timeout(worker, spawn, kcare, both, long, kind):
    """Eight threads wait with a timeout of 150 ms, over and over, while the process is patched and unpatched."""
    target = spawn(worker)
    for _ in range(8):
        assert target.ask(f"wait {kind}") == 0
    stops = 0
    for _ in range(50 if long else 8):
        kcare.patch(target, *both, wait=20)
        kcare.unpatch(target, wait=20)
        stops += 2
    turns = target.ask("wait-turns")
    end = time.monotonic() + 5
    while target.ask("wait-turns") < turns + 16 and time.monotonic() < end:
        time.sleep(0.02)
    seen = counters(target)
    assert target.ask("wait-end", timeout=30) == 0
    assert seen["errors"] == 0, f"{stops} stops: {seen}"
    assert seen["early"] == 0, f"{stops} stops: {seen}"
    assert kind not in ENDS_IN_TIME or seen["late"] == 0, f"{stops} stops: {seen}"
    assert seen["turns"] >= turns + 16, "the waits go on"


def test_a_timeout_in_a_register_is_not_started_again_by_each_stop(worker, spawn, kcare, both):
    """Stops that come faster than the timeout must not put it off for ever."""
    target = spawn(worker)
    assert target.ask("wait epoll_wait") == 0
    turns, began = target.ask("wait-turns"), time.monotonic()
    while time.monotonic() - began < 4:
        kcare.patch(target, *both, wait=5)
        kcare.unpatch(target, wait=5)
    seen = counters(target)
    assert seen["late"] == 0 and seen["errors"] == 0, seen
    assert seen["turns"] - turns >= 4 / 0.150 / 2, seen
    target.ask("wait-end", timeout=30)


def test_a_signal_that_is_pending_still_interrupts(worker, spawn, kcare, both):
    """What the target would have seen without us, it still sees: a handled signal ends an epoll_wait with EINTR."""
    target = spawn(worker)
    assert target.ask("wait epoll_wait") == 0
    target.ask("storm 1")
    for _ in range(3):
        kcare.patch(target, *both, wait=20)
        kcare.unpatch(target, wait=20)
    target.ask("stop")
    seen = counters(target)
    assert seen["errors"] > 0 and seen["errno"] == 4, seen
