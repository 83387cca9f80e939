# SPDX-License-Identifier: GPL-2.0-or-later
"""Secure Boot with our own keys: the kernel is locked down, and loads what the key in db has signed."""
import pathlib

import pytest

import lab
from hand_made import module

pytestmark = pytest.mark.guests("secureboot")


def variant(kind, name):
    path = module(name)
    return path.parent / kind / path.name


def loaded_and_gone(name):
    loaded = lab.is_loaded(name)
    lab.run("rmmod", name).ok()
    return loaded


def refused(path):
    result = lab.run("insmod", path)
    assert result.code != 0 and "Key was rejected" in result.err, str(result)
    assert not lab.is_loaded("kcare")


def test_the_kernel_is_locked_down():
    assert "[integrity]" in pathlib.Path("/sys/kernel/security/lockdown").read_text()


def test_modules_signed_by_the_enrolled_key_load(kernel_log):
    lab.run("insmod", variant("signed", "kcare")).ok()
    assert loaded_and_gone("kcare")
    assert not [line for line in kernel_log() if "verification failed" in line]


def test_unsigned_modules_do_not(kernel_log):
    refused(module("kcare"))
    assert any("unsigned module is rejected" in line for line in kernel_log())


def test_modules_of_a_key_that_is_not_enrolled_do_not(kernel_log):
    refused(variant("stranger", "kcare"))
    assert any("unavailable key is rejected" in line for line in kernel_log())


def test_a_changed_module_does_not_either(tmp_path):
    data = bytearray(variant("signed", "kcare").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "kcare.ko").write_bytes(data)
    refused(tmp_path / "kcare.ko")


def test_a_livepatch_works_under_lockdown():
    for name in ("sleepy", "kcare", "kcare_livepatch_1"):
        lab.run("insmod", variant("signed", name)).ok()
    lab.wait_until(lambda: not lab.in_transition(), 60, "the end of the transition")
    assert "patched by level 1" in pathlib.Path("/proc/cmdline").read_text()
    (lab.LIVEPATCH / "kcare_livepatch_1/enabled").write_text("0")
    lab.wait_until(lambda: not lab.livepatches(), 60, "the end of the patch")
    for name in ("kcare_livepatch_1", "kcare", "sleepy"):
        lab.run("rmmod", name).ok()
