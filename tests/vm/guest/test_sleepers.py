# SPDX-License-Identifier: GPL-2.0-or-later
"""Fifty tasks asleep inside the patched function: what each way of waiting for them does."""
import re

import pytest

import lab
import marks
import sleepers

N = 50


@pytest.fixture
def readers():
    made = sleepers.Readers(N)
    yield made
    made.close()


@pytest.fixture
def vfork_parents():
    made = sleepers.VforkParents(N)
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["smart", "full"])
def test_the_freezer_gets_sleeping_tasks_out_of_the_function_and_they_do_not_notice(kcare, patch, readers, mode):
    result = kcare.load(patch("pipe-read"), "--freezer", mode)
    assert marks.pipe_refuses()
    assert not lab.in_transition()
    assert result.seconds < 14, f"not faster than the kernel's own signal: {result.seconds:.0f} s"
    assert readers.wake() == N


def test_without_the_freezer_the_kernels_own_signal_settles_it(kcare, patch, readers):
    result = kcare.load(patch("pipe-read"), "--freezer", "none")
    assert marks.pipe_refuses()
    assert not lab.in_transition()
    assert result.seconds > 10, f"somebody has interrupted them before the kernel did: {result.seconds:.0f} s"
    assert readers.wake() == N


def test_sleeping_tasks_are_got_out_of_the_new_function_too_when_it_is_unloaded(kcare, patch):
    kcare.load(patch("pipe-read"))
    readers = sleepers.Readers(N)
    try:
        kcare.unload()
        assert lab.livepatches() == [] and not marks.pipe_refuses()
        assert readers.wake() == N
    finally:
        readers.close()


@pytest.mark.limit(240)
def test_a_transition_that_does_not_settle_is_reversed_and_names_every_task_with_its_stack(kcare, patch, vfork_parents):
    kcare("--import-patch", patch("kernel-clone")).ok()
    result = kcare("--update")
    assert result.code != 0, str(result)
    assert lab.livepatches() == []
    named = set(map(int, re.findall(r"\b(\d+)\b", result.err)))
    assert set(vfork_parents.pids) <= named, f"not all tasks are named: {result}"
    assert "kernel_clone" in result.err, str(result)
    assert "--force" in result.err, f"there is no way out in it: {result}"
    assert vfork_parents.release() == N
    kcare("--update").ok()


@pytest.mark.guests("once")
@pytest.mark.boot(2)
@pytest.mark.limit(240)
def test_force_ends_the_transition_and_unloading_then_says_reboot(patch, vfork_parents):
    kcare = lab.Agent()
    kcare.reset()
    result = kcare.load(patch("kernel-clone"), "--force")
    assert not lab.in_transition() and lab.livepatches() == ["kcare_livepatch_1"]
    assert "reboot" in result.out + result.err, f"it is not said what that means: {result}"
    refused = kcare("--unload")
    assert refused.code != 0 and "reboot" in refused.err, str(refused)
    assert lab.livepatches() == ["kcare_livepatch_1"]
    assert vfork_parents.release() == N
