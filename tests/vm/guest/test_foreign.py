# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody else changes the kernel's functions too: nothing is applied over him, and he is named."""
import pathlib

import pytest

import lab
import marks

TRACING = pathlib.Path("/sys/kernel/tracing")


@pytest.fixture
def kprobe():
    (TRACING / "kprobe_events").write_text("p:kcare_test loadavg_proc_show\n")
    enable = TRACING / "events/kprobes/kcare_test/enable"
    enable.write_text("1\n")
    yield
    enable.write_text("0\n")
    (TRACING / "kprobe_events").write_text("")  # removes all


def test_a_kprobe_on_a_replaced_function_refuses_the_patch_and_is_named(kcare, patch, kprobe):
    kcare("--import-patch", patch("mark-1")).ok()
    result = kcare("--update")
    assert result.code != 0 and "kprobe" in result.err and "loadavg_proc_show" in result.err, str(result)
    assert lab.livepatches() == [] and marks.loadavg() is None


def test_a_kprobe_on_another_function_is_no_obstacle(kcare, patch, kprobe):
    kcare.load(patch("counter-1"))
    assert marks.uptime_words() != []
