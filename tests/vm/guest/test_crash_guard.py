# SPDX-License-Identifier: GPL-2.0-or-later
"""The host goes down while a patch is being applied: it is not applied again at the next boot."""
import os
import subprocess

import pytest

import lab
import marks
import sleepers

pytestmark = pytest.mark.guests("crash")


@pytest.mark.boot(1)
def test_the_host_goes_down_in_mid_apply(patch):
    kcare = lab.Agent()
    kcare.reset()
    os.sync()  # what the test itself has written
    kcare("--import-patch", patch("kernel-clone")).ok()
    sleepers.VforkParents(3)
    with subprocess.Popen(["kcarectl", "--smart-update"]):
        lab.wait_until(lambda: lab.livepatches() and lab.in_transition(), what="the transition is under way")
        lab.tell_host("kcare-vm: pull the plug")
        lab.wait_until(lambda: False, what="the host has pulled the plug")


@pytest.mark.boot(2)
def test_the_next_boot_does_not_apply_it_again_and_says_so(patch):
    kcare = lab.Agent()
    assert list((lab.CACHE / "kernel").rglob("*.kpatch")), "the cache has not outlived the boot: this test shows nothing"
    result = kcare("--smart-update")
    assert lab.livepatches() == [], f"it was applied again: {result}"
    info, status = kcare("--info"), kcare("--status")
    assert "level 1" in info.out + info.err and "went down" in info.out + info.err, str(info)
    assert "went down" in status.out + status.err, str(status)
    kcare("--import-patch", patch("mark-2")).ok()
    kcare("--smart-update").ok()
    assert marks.loadavg() == 2, "the level after it is held back too"
