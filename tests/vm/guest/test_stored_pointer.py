# SPDX-License-Identifier: GPL-2.0-or-later
"""A fix has the kernel store a pointer to one of its new functions: the code outlives the patch."""
import pytest

import lab
import marks


@pytest.mark.guests("once")
def test_a_new_function_whose_address_is_stored_runs_after_the_patch_was_unloaded(patch, kernel_log):
    kcare = lab.Agent()
    kcare.reset()
    kcare.load(patch("devices-work"))
    marks.read("devices")
    kcare.unload()
    assert lab.livepatches() == []
    lab.wait_until(lambda: any("kcare-test: the work ran" in line for line in kernel_log()), what="the work has run")
    assert lab.is_loaded("kcare_livepatch_1"), "the code was freed under a stored pointer"
    kcare.load(patch("mark-2"))
    assert marks.loadavg() == 2, "no other level can be loaded any more"
