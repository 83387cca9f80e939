# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest itself is what the other tests take it for."""
import os
import pathlib

import lab


def test_the_guest_runs_the_debian_kernel_with_its_modules_as_root():
    release = os.uname().release
    assert os.geteuid() == 0
    assert "Debian" in pathlib.Path("/proc/version").read_text()
    lab.run("modprobe", "dummy").ok()
    assert lab.is_loaded("dummy")
    lab.run("rmmod", "dummy").ok()
    assert pathlib.Path("/lib/modules", release).is_dir()


def test_the_kernel_has_no_livepatch_and_is_tainted_by_nothing_but_the_modules_of_tests():
    """Tests that ran before leave these flags: a module from outside (O), unsigned (E), a livepatch (K)."""
    allowed = 1 << 12 | 1 << 13 | 1 << 15
    assert lab.livepatches() == []
    assert int(pathlib.Path("/proc/sys/kernel/tainted").read_text()) & ~allowed == 0
