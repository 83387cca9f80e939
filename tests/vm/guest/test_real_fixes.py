# SPDX-License-Identifier: GPL-2.0-or-later
"""Real fixes of Debian's kernels: the hole is open, is closed by a live patch, and is open again when it is unloaded."""
import pytest

import lab
import probes

PROBES = {"qrtr": probes.qrtr, "raw-ihl": probes.raw_ihl, "prctl-auxv": probes.prctl_auxv}
# Which holes other kernels have: the cloud's has no QRTR, 6.12 came when two were closed already.
ELSEWHERE = [pytest.param("raw-ihl", marks=pytest.mark.guests("cloud", "rt")),
             pytest.param("prctl-auxv", marks=pytest.mark.guests("6.12", "cloud", "rt"))]


def holes():
    """Names of the holes that are open."""
    return [name for name, probe in PROBES.items() if probe()]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_live_patch_closes_one_hole_on_each_series_and_flavour(kcare, patch, name):
    assert PROBES[name](), "the kernel is not vulnerable"
    kcare.load(patch(name))
    assert not PROBES[name]()
    kcare.unload()
    assert PROBES[name]()


@pytest.mark.parametrize("name", PROBES)
def test_a_live_patch_closes_the_hole_and_unloading_opens_it(kcare, patch, name):
    others = [other for other in PROBES if other != name]
    assert holes() == list(PROBES), "the kernel is not vulnerable"
    kcare.load(patch(name))
    assert holes() == others
    kcare.unload()
    assert lab.livepatches() == []
    assert holes() == list(PROBES)


def test_a_patch_that_is_loaded_before_the_module_closes_the_hole_when_the_module_arrives(kcare, patch):
    lab.run("modprobe", "-r", "qrtr").ok()
    assert not lab.is_loaded("qrtr")
    kcare.load(patch("qrtr"))
    assert not lab.is_loaded("qrtr")
    assert not probes.qrtr()
    assert lab.is_loaded("qrtr"), "the probe has shown nothing: the module was not loaded"
    lab.run("modprobe", "-r", "qrtr").ok()
    lab.run("modprobe", "qrtr").ok()
    assert not probes.qrtr()
    kcare.unload()
    assert probes.qrtr()


def test_one_cumulative_patch_closes_all_three_and_level_2_follows_it(kcare, patch):
    assert holes() == list(PROBES)
    kcare.load(patch("all-three"))
    assert holes() == []
    assert (lab.PROC / "level").read_text() == "1\n"
    kcare.load(patch("all-three-level-2"))
    assert holes() == []
    assert (lab.PROC / "level").read_text() == "2\n"
    assert len(lab.livepatches()) == 1
    kcare.unload()
    assert holes() == list(PROBES)


@pytest.mark.guests("reference")
def test_the_newest_kernel_has_none_of_the_holes():
    assert holes() == []
