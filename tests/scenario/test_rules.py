# SPDX-License-Identifier: GPL-2.0-or-later
"""The six rules of switching (docs/switching.md), each with a test that tries to break it. Other files try harder at
some: rule 2 test_busy.py, rule 4 test_invisible.py and bench/, rule 5 test_crash.py."""

import os
import statistics
import threading
import time

import pytest

import lab
from conftest import need_program, need_root
from lab import BUSY, DONE

pytestmark = pytest.mark.alone


def test_rule_1_no_thread_executes_torn_code(worker, spawn, kcare, both, long):
    """Two threads do nothing but run through the functions' first bytes, signals interrupt them everywhere, and the
    bytes under them change to and fro. A torn instruction kills the process or gives a third answer."""
    target = spawn(worker)
    target.ask("spinners 2")
    target.ask("storm 1")
    for _ in range(200 if long else 25):
        kcare.patch(target, *both, wait=20)
        lab.assert_whole(target, worker)
        kcare.unpatch(target, wait=20)
    target.ask("stop")
    assert target.ask("wrong") == 0
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")


def test_rule_1_no_thread_resumes_inside_overwritten_bytes(worker, make_patch, spawn, kcare):
    """A thread faulted at the second instruction, three bytes behind the entry; its handler blocks, and then returns
    there. Patched now, it would go on in the middle of the jump."""
    patch = make_patch(worker, lab.edit("hold.c", "return x - *p;", "return x - *p + 1;"))
    target = spawn(worker)
    target.ask("enter fault")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the handler blocks")
    for _ in range(10):
        kcare.patch(target, patch, code=BUSY)
    target.ask("leave")
    assert target.ask("join") == 100


def test_rule_2_no_thread_is_inside_an_old_version_at_the_switch(worker, make_patch, spawn, kcare, long):
    """A thread goes in and out all the time. Whatever the patcher meets, a call that began in the old function and was
    not over must have prevented the switch: no call may answer old after `patch` has returned."""
    patch = make_patch(worker, lab.edit("hold.c", "\t\tblock();\n\treturn x + 1;", "\t\tblock();\n\treturn x + 2;"))
    target = spawn(worker)
    for _ in range(30 if long else 8):
        target.ask("enter plain")
        lab.wait_until(lambda: target.ask("inside") == 1)
        results = []
        command = ("patch", "-p", target.pid, patch, "--wait", 9)
        patcher = threading.Thread(target=lambda: results.append(kcare.ctl(*command)))
        patcher.start()
        time.sleep(0.15)
        assert not results, f"switched while a thread was inside: {results}"
        target.ask("leave")
        assert target.ask("join") == 101, "the call that was inside ended in other code than it began in"
        patcher.join(30)
        assert results[0].code == DONE, results[0]
        assert target.ask("hold plain") == 102
        kcare.unpatch(target, wait=5)


def test_rule_2_no_call_of_the_old_version_ends_after_one_of_the_new_began(worker, make_patch, spawn, kcare, long):
    """Three threads are inside for a third of the time each, and a fourth watches which version is called now. A call
    that sees the other version begin before it is over was inside at the switch."""
    patch = make_patch(worker, lab.edit("hold.c", "long mine = 1,", "long mine = 2,"))
    target = spawn(worker)
    assert target.ask("overlap 3") == 0
    for _ in range(60 if long else 12):
        kcare.patch(target, patch, wait=30)
        lab.wait_until(lambda: target.ask("seen") == 2)
        kcare.unpatch(target, wait=30)
        lab.wait_until(lambda: target.ask("seen") == 1)
    assert target.ask("overlaps") == 0
    assert target.ask("slow-calls") > 100


def test_rule_3_all_functions_of_all_objects_switch_in_one_stop(worker, spawn, kcare, both, long):
    """A thread asks the program, the library and the program again, all the time: both answers of the program agree
    and the library's does not? Then they did not switch together."""
    target = spawn(worker)
    target.ask("spinners 2")
    for _ in range(100 if long else 20):
        kcare.patch(target, *both, wait=20)
        kcare.unpatch(target, wait=20)
    assert target.ask("mixed") == 0
    assert target.ask("turns") > 1000


def test_rule_4_a_stop_is_invisible_and_short(build_target, make_patch, spawn, kcare):
    """The largest gap that a spinning thread sees in a process with 16 threads; bench/ measures this precisely, here
    only the order of magnitude counts (a developers' build on a busy machine). The target runs with real-time priority:
    else the gaps are those of the scheduler, which shares the processor between the target and the patcher."""
    need_root("a real-time priority")
    need_program("chrt", "util-linux")
    build = build_target("gaps")
    patch = make_patch(build, lab.edit("gaps_call.c", "return x + 1;", "return x + 2;"))
    target = spawn(build, wrapper=["chrt", "-f", "10"])
    target.ask("sleepers 14")
    target.ask("spinners 1")
    gaps = []
    for _ in range(12):
        target.ask("reset")
        kcare.patch(target, patch, wait=20)
        gaps.append(target.ask("largest"))
        kcare.unpatch(target, wait=20)
    assert statistics.median(gaps) < 3_000_000, f"gaps in microseconds: {sorted(gap / 1000 for gap in gaps)}"


def test_rule_5_a_killed_patcher_leaves_everything_whole(worker, spawn, kcare, both):
    """SIGKILL at arbitrary moments; test_crash.py does it after every system call."""
    target = spawn(worker)
    target.ask("stutterers 3")
    usual = kcare.patch(target, *both, wait=5).seconds
    folder = lab.folder_of(both, kcare.root)
    for step in range(40):
        action = ("unpatch", "-p", target.pid) if step % 2 else ("patch", "-p", target.pid, folder)
        program = lab.subprocess.Popen([kcare.bin["libcare-ctl"], *map(str, action)], env=kcare.environment,
                                       stdout=lab.subprocess.DEVNULL, stderr=lab.subprocess.DEVNULL)
        time.sleep(usual * (step + 1) / 41)
        program.kill()
        program.wait(10)
        for elf in ("program", "libone.so.1"):
            lab.assert_whole(target, worker, elf)
        assert (target.ask("value 10") - 31, target.ask("one 10") - 1010) in ((0, 0), (1, 1))
    result = kcare.ctl("patch", "-p", target.pid, folder, "--wait", 5)
    assert result.code in (DONE, lab.NOTHING), result
    assert (target.ask("value 10"), target.ask("one 10")) == (32, 1011)
    kcare.unpatch(target, wait=5)
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")
    assert target.ask("wrong") == 0


def test_rule_6_it_gives_up_in_time_and_leaves_everything_as_it_was(worker, make_patch, spawn, kcare):
    """A thread stays for ever: without --wait the patcher is back at once, with it soon after; neither code, maps,
    threads nor the state of anything has changed."""
    patch = make_patch(worker, lab.edit("hold.c", "\t\tblock();\n\treturn x + 1;", "\t\tblock();\n\treturn x + 2;"))
    target = spawn(worker)
    target.ask("sleepers 10")
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1)
    before = executable(target)
    for wait, limit in ((None, 3), (1, 4)):
        result = kcare.patch(target, patch, code=BUSY, wait=wait)
        assert result.seconds < limit, result
        lab.assert_original(target, worker.program)
        assert executable(target) == before, "something is left in the process"
        assert all(lab.process_state(int(thread)) not in "tT" for thread in os.listdir(f"/proc/{target.pid}/task"))
    assert target.ask("hold plain") == 101


def executable(target):
    return lab.executable_maps(target.pid)
