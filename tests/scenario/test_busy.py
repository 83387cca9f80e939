# SPDX-License-Identifier: GPL-2.0-or-later
"""A thread inside a function of the set: the patcher is busy and nothing changes; once it has left, it succeeds."""

import threading
import time

import pytest

import lab
from lab import BUSY, edit

H = "hold.c"
FIXES = {
    "plain": edit(H, "\t\tblock();\n\treturn x + 1;", "\t\tblock();\n\treturn x + 2;"),
    "last": edit(H, "l->value = l->x + 1;", "l->value = l->x + 2;"),
    "cold": edit(H, "return x + 101;\n\t}\n\treturn x + 1;", "return x + 101;\n\t}\n\treturn x + 2;"),
    "spin": edit(H, "\t\t;\n\treturn x + 1;", "\t\t;\n\treturn x + 2;"),
    "signal": edit(H, "\t\thold_raise();\n\treturn x + 1;", "\t\thold_raise();\n\treturn x + 2;"),
    "recursion": edit(H, "return below + 1;", "return below + 2;"),
    "coroutine": edit(H, "\t\thold_yield();\n\treturn x + 1;", "\t\thold_yield();\n\treturn x + 2;"),
    "fault": edit(H, "return x - *p;", "return x - *p + 1;"),
}
OLD, NEW = ({"recursion": 101, "fault": 100}, {"recursion": 202})


def old(kind):
    return OLD.get(kind, 101)


def new(kind):
    return NEW.get(kind, old(kind) + 1)


def assert_busy(kcare, worker, target, kind, patch, elf="program", **options):
    result = kcare.patch(target, patch, code=BUSY, **options)
    assert "busy" in result.err and str(target.pid) in result.err, result
    lab.assert_original(target, worker.run / elf)
    return result


def assert_patched(kcare, worker, target, kind, patch):
    assert target.ask(f"hold {kind}") == old(kind)
    kcare.patch(target, patch, wait=5)
    lab.assert_whole(target, worker)
    assert target.ask(f"hold {kind}") == new(kind)


@pytest.mark.parametrize("kind", ["plain", "last", "cold", "signal", "recursion", "fault"])
def test_busy_while_a_thread_is_inside_then_success(worker, make_patch, spawn, kcare, kind):
    """plain: a return address; last: only the one behind the last call, and so behind the function; cold: one in the
    .cold fragment; signal: on the main stack, below a handler on an alternate stack; fault: a pc behind the entry, in
    a handler's frame."""
    patch = make_patch(worker, FIXES[kind])
    target = spawn(worker)
    target.ask(f"enter {kind}")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread is inside")
    assert_busy(kcare, worker, target, kind, patch)
    target.ask("leave")
    assert target.ask("join") == (201 if kind == "cold" else old(kind))
    assert_patched(kcare, worker, target, kind, patch)


@pytest.mark.parametrize("interrupted", [False, True], ids=["running", "in-a-handler-on-an-alternate-stack"])
def test_busy_while_only_the_pc_of_a_thread_is_inside(worker, make_patch, spawn, kcare, interrupted):
    patch = make_patch(worker, FIXES["spin"])
    target = spawn(worker)
    target.ask("enter spin")
    time.sleep(0.1)
    if interrupted:
        target.ask("interrupt")
        lab.wait_until(lambda: target.ask("inside") == 1, what="the handler blocks")
    assert_busy(kcare, worker, target, "spin", patch)
    if interrupted:
        target.ask("leave")
    target.ask("go")
    assert target.ask("join") == 101
    assert_patched(kcare, worker, target, "spin", patch)


def test_busy_while_the_child_of_a_vfork_is_inside(worker, make_patch, spawn, kcare):
    """It shares the memory, and is no thread of the process."""
    patch = make_patch(worker, FIXES["plain"])
    target = spawn(worker)
    target.ask("enter-vfork")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the child is inside")
    assert_busy(kcare, worker, target, "plain", patch)
    target.ask("leave")
    assert target.ask("join") == 101
    assert_patched(kcare, worker, target, "plain", patch)


@pytest.mark.parametrize("where", ["mmap", "malloc", "merged"])
def test_busy_while_a_suspended_coroutine_is_inside(worker, make_patch, spawn, kcare, where):
    """Its stack belongs to no thread."""
    patch = make_patch(worker, FIXES["coroutine"])
    target = spawn(worker)
    target.ask(f"suspend {where}")
    assert_busy(kcare, worker, target, "coroutine", patch)
    assert target.ask("resume") == 101
    assert_patched(kcare, worker, target, "coroutine", patch)


def test_busy_until_the_wait_is_over_when_a_thread_never_leaves(worker, make_patch, spawn, kcare):
    patch = make_patch(worker, FIXES["plain"])
    target = spawn(worker)
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    result = assert_busy(kcare, worker, target, "plain", patch, wait=2)
    assert 1.5 <= result.seconds <= 6, f"--wait 2 took {result.seconds:.1f} s"
    assert target.ask("hold plain") == 101


def test_a_thread_that_leaves_during_the_wait_lets_the_patch_in(worker, make_patch, spawn, kcare):
    patch = make_patch(worker, FIXES["plain"])
    target = spawn(worker)
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    timer = threading.Timer(1.0, lambda: target.ask("leave"))
    timer.start()
    result = kcare.patch(target, patch, wait=20)
    timer.join()
    assert 0.9 <= result.seconds <= 10, result
    assert target.ask("join") == 101
    assert target.ask("hold plain") == 102


def test_unpatching_is_busy_while_a_thread_is_in_the_new_code(worker, make_patch, spawn, kcare):
    patch = make_patch(worker, FIXES["plain"])
    target = spawn(worker)
    kcare.patch(target, patch, wait=5)
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    result = kcare.unpatch(target, code=BUSY)
    assert "busy" in result.err, result
    assert target.ask("hold plain") == 102
    target.ask("leave")
    assert target.ask("join") == 102
    kcare.unpatch(target, wait=5)
    assert target.ask("hold plain") == 101
    lab.assert_original(target, worker.program)


def test_a_thread_next_to_the_function_is_not_in_the_way(worker, make_patch, spawn, kcare):
    """hold.c has no gaps between functions: the function behind hold_last is held, hold_last itself is free."""
    symbols = worker.symbols("program")
    start, size = symbols["hold_last"]
    assert any(other == start + size for other, _ in symbols.values()), "the target has gaps between functions"
    target = spawn(worker)
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    kcare.patch(target, make_patch(worker, FIXES["last"]), wait=2)
    assert target.ask("hold last") == 102
    target.ask("leave")
    assert target.ask("join") == 101


def test_two_libraries_and_one_is_busy_then_neither_is_patched(worker, make_patch, spawn, kcare, value_patch):
    hold = make_patch(worker, edit("one.c", "return x + one_base + 1;", "return x + one_base + 2;"), "libone.so.1")
    target = spawn(worker)
    target.ask(f"dlopen {worker.run / 'libtwo.so.1'}")
    two = make_patch(worker, edit("two.c", "x + two_base;", "x + two_base + 1;"), "libtwo.so.1")
    target.ask("enter library")
    lab.wait_until(lambda: target.ask("inside") == 1)
    result = kcare.patch(target, hold, two, code=BUSY)
    assert "busy" in result.err, result
    lab.assert_original(target, worker.program, worker.run / "libone.so.1", worker.run / "libtwo.so.1")
    assert target.ask("two 10") == 2010
    target.ask("leave")
    target.ask("join")
    kcare.patch(target, hold, two, wait=5)
    assert (target.ask("hold library"), target.ask("two 10")) == (1102, 2011)


def test_consistency_function_lets_old_and_new_overlap(worker, make_patch, spawn, kcare):
    """Then info names the threads in old code, and the CVE does not count as fixed while there are any."""
    fix = edit(H, "\t\tblock();\n\treturn x + 1;", "\t\tblock();\n\treturn x + 2;", cve="CVE-2026-10077",
               header="Consistency: function\n")
    target = spawn(worker)
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    kcare.patch(target, make_patch(worker, fix), wait=2)
    assert target.ask("hold plain") == 102
    fixed = kcare.info(target).get("program", {}).get("cve", [])
    assert "CVE-2026-10077" not in fixed, "counted as fixed while a thread is in the old code"
    target.ask("leave")
    assert target.ask("join") == 101, "the call that was inside ends as it began"
    assert "CVE-2026-10077" in kcare.info(target)["program"]["cve"]
