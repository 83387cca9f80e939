# SPDX-License-Identifier: GPL-2.0-or-later
"""Secure Boot with our own keys: the kernel is locked down, and loads what the key in db has signed."""
import pathlib

import pytest

import lab
from hand_made import Switch, cmdline, module

pytestmark = pytest.mark.guests("secureboot")


EXITS = {name: code for code, name in enumerate(lab.EXIT_NAMES)}


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


@pytest.fixture
def switch():
    """The hand-made livepatches need the module whose function they replace."""
    lab.run("insmod", variant("signed", "sleepy")).ok()
    yield Switch()
    lab.run("rmmod", "sleepy").ok()


def load(switch, kind):
    """Level 1, both modules of that kind, by what kcarectl loads with."""
    command = [str(variant(kind, pathlib.Path(word).stem)) if word.endswith(".ko") else word
               for word in switch.command("level1", functions=["vmlinux:cmdline_proc_show"])]
    return lab.run(*command)


def test_signed_patches_are_applied_and_removed_under_lockdown(switch):
    load(switch, "signed").ok()
    assert cmdline() == "patched by level 1"
    assert (lab.PROC / "level").read_text() == "1\n"
    switch("unload").ok()
    assert "patched" not in cmdline() and not lab.is_loaded("kcare")


@pytest.mark.parametrize("kind", ["", "stranger"])
def test_other_patches_are_refused_with_what_to_do(switch, kind):
    result = load(switch, kind)
    assert result.code == EXITS["refused"], str(result)
    for word in ("error unsigned-module", "mokutil --import"):
        assert word in result.out, str(result)
    assert not lab.livepatches() and not lab.is_loaded("kcare")
