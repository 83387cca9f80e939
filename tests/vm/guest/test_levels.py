# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels, switches, callbacks, shadow variables: what a fix may bring, and what goes from level to level."""
import threading
import time

import pytest

import lab
import marks

pytestmark = pytest.mark.guests("6.1", "6.12", "cloud", "rt")


def test_a_patch_is_loaded_shown_and_unloaded(kcare, patch):
    assert marks.loadavg() is None
    kcare.load(patch("mark-1"))
    assert marks.loadavg() == 1
    assert lab.livepatches() == ["kcare_livepatch_1"]
    assert (lab.PROC / "cvelist").read_text() == "CVE-2026-90001\n"
    kcare.unload()
    assert marks.loadavg() is None
    assert lab.livepatches() == []


def test_at_no_moment_is_the_fix_missing_while_level_2_replaces_level_1(kcare, patch):
    kcare.load(patch("mark-1"))
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(marks.loadavg())
            time.sleep(0.005)  # a CPU that never rests makes the transition slow under emulation

    reader = threading.Thread(target=read)
    reader.start()
    try:
        kcare.load(patch("mark-2"))
        lab.wait_until(lambda: 2 in seen, what="level 2 is seen")
    finally:
        stop.set()
        reader.join()
    assert seen == {1, 2}


def test_a_new_variable_keeps_its_value_in_level_2(kcare, patch):
    assert marks.uptime_words() == []
    kcare.load(patch("counter-1"))
    first = int(marks.uptime_words()[0])
    assert marks.uptime_words() == [str(first + 1)]
    kcare.load(patch("counter-2"))
    assert marks.uptime_words() == ["reads", str(first + 2)]
    kcare.unload()
    assert marks.uptime_words() == []


def test_a_switch_turns_its_fix_off_and_on_while_it_is_loaded(kcare, patch):
    assert not marks.softirqs() and not marks.SWITCH.exists()
    kcare.load(patch("full-1"))
    assert marks.softirqs()
    marks.SWITCH.write_text("1\n")
    assert not marks.softirqs()
    assert marks.loadavg() == 1, "the switch has turned off another fix too"
    marks.SWITCH.write_text("0\n")
    assert marks.softirqs()
    with pytest.raises(OSError):
        marks.SWITCH.write_text("2\n")


def callbacks(kernel_log):
    return [line.split("kcare-test: ")[1] for line in kernel_log() if "kcare-test: " in line]


def test_callbacks_run_around_the_patch_and_shadow_variables_go_with_it(kcare, patch, kernel_log):
    kcare.load(patch("full-1"))
    assert callbacks(kernel_log) == ["pre_patch 1", "post_patch 1"]
    assert [marks.cmdline_reads(), marks.cmdline_reads()] == [1, 2]
    kcare.unload()
    assert callbacks(kernel_log)[2:] == ["pre_unpatch 1", "post_unpatch 1"]
    assert marks.cmdline_reads() is None
    kcare.load(patch("full-1"))
    assert marks.cmdline_reads() == 1, "the shadow variable outlived its patch"


def test_level_2_takes_over_callbacks_switch_and_shadow_variables_of_level_1(kcare, patch, kernel_log):
    kcare.load(patch("full-1"))
    marks.SWITCH.write_text("1\n")
    assert [marks.cmdline_reads(), marks.cmdline_reads()] == [1, 2]
    kcare.load(patch("full-2"))
    assert callbacks(kernel_log) == ["pre_patch 1", "post_patch 1", "pre_patch 2", "post_patch 2"]
    assert marks.cmdline_reads() == 3, "the shadow variable did not go to level 2"
    assert marks.SWITCH.read_text() == "1\n" and not marks.softirqs(), "the switch has lost its value"
    assert marks.loadavg() == 2
    marks.SWITCH.write_text("0\n")
    assert marks.softirqs()
    kcare.unload()
    assert callbacks(kernel_log)[4:] == ["pre_unpatch 2", "post_unpatch 2"]
    assert marks.cmdline_reads() is None


@pytest.mark.guests("6.1", "6.12")
def test_callbacks_of_a_module_run_when_it_comes_and_when_it_goes(kcare, patch, kernel_log):
    kcare.load(patch("dummy-callbacks"))
    assert callbacks(kernel_log) == [], "the module is not loaded: nobody can have called them"
    lab.run("modprobe", "dummy").ok()
    assert marks.dummy_mtu() == 4242, "the module's first function ran unpatched"
    assert callbacks(kernel_log) == ["dummy pre_patch", "dummy post_patch"]
    lab.run("rmmod", "dummy").ok()
    assert callbacks(kernel_log)[2:] == ["dummy pre_unpatch", "dummy post_unpatch"]
    lab.run("modprobe", "dummy").ok()
    kcare.unload()
    assert callbacks(kernel_log)[6:] == ["dummy pre_unpatch", "dummy post_unpatch"]
    lab.run("rmmod", "dummy").ok()
    lab.run("modprobe", "dummy").ok()
    assert marks.dummy_mtu() == 1500
    lab.run("rmmod", "dummy").ok()


@pytest.mark.guests("6.1")
def test_a_callback_that_refuses_leaves_the_kernel_as_it_was(kcare, patch, kernel_log):
    kcare("--import-patch", patch("refused")).ok()
    result = kcare("--update")
    assert result.code not in (0, 3), str(result)
    assert callbacks(kernel_log) == ["refused"]
    assert lab.livepatches() == [] and marks.loadavg() is None and not lab.is_loaded("kcare_livepatch_1")
    kcare.reset()
    kcare.load(patch("mark-1"))
    assert marks.loadavg() == 1, "no other patch can be loaded any more"
