# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that must not stay: the file `withdrawn` of a folder of patch files, for libcare-ctl patch and its server."""

import hashlib
import os
import shutil
import signal

import pytest

import lab
from conftest import need_root
from hosts import host  # noqa: F401 (fixture)
from test_server_host import Server, soon


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "patches"
    path.mkdir()
    return path


def withdraw(folder, host, *files):
    """What the agent does with blocked patches."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()} {build_id(host, file)}\n" for file in files]
    (folder / "withdrawn").write_text("# a comment\n\n" + "".join(lines))


def build_id(host, file):
    shown = host.build("show", file, "--json")
    assert shown.code == lab.DONE, shown
    return lab.json.loads(shown.out)["manifest"]["target"]


def test_a_lower_level_takes_its_place(host, worker, spawn, value_patch, folder):
    target = spawn(worker)
    host.patch(target, value_patch(2))
    assert target.ask("value 10") == 33
    shutil.copy(value_patch(1), folder / "1.kpatch")
    refused = host.ctl("patch", "-p", target.pid, folder)
    assert refused.code == lab.REFUSED and "unpatch first" in refused.err, refused
    shutil.copy(value_patch(2), folder / "2.kpatch")
    withdraw(folder, host, value_patch(2))
    host.patch(target, folder)
    assert target.ask("value 10") == 32, "the file of what is withdrawn does not count, though it is there"
    assert host.info(target)["program"]["patchlvl"] == 1
    assert host.patch(target, folder, code=lab.NOTHING)


def test_without_another_level_the_original_code_is_back(host, worker, spawn, value_patch, one_patch, folder):
    target = spawn(worker)
    host.patch(target, value_patch(2), one_patch(1))
    withdraw(folder, host, value_patch(2))
    host.patch(target, folder)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1011), "only what is withdrawn goes"
    lab.assert_original(target, worker.program)


def test_one_goes_and_another_comes(host, worker, spawn, value_patch, one_patch, folder):
    target = spawn(worker)
    host.patch(target, value_patch(1))
    shutil.copy(one_patch(2), folder / "one.kpatch")
    withdraw(folder, host, value_patch(1))
    host.patch(target, folder)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1012)


def test_the_blacklist_keeps_nothing_in(host, worker, spawn, value_patch, one_patch, folder):
    target = spawn(worker)
    host.patch(target, value_patch(1))
    (host.root / "var/lib/libcare").mkdir(parents=True)
    (host.root / "var/lib/libcare/blacklist").write_text(f"path:{worker.program}\n")
    shutil.copy(one_patch(1), folder / "one.kpatch")
    withdraw(folder, host, value_patch(1))
    host.patch(target, folder)
    assert (target.ask("value 10"), target.ask("one 10")) == (31, 1010)
    refused = host.ctl("patch", "-p", target.pid, folder)
    assert refused.code == lab.REFUSED and "blacklisted" in refused.err, refused


@pytest.mark.parametrize("text", ["x\n", "0" * 64 + "\n", "0" * 64 + " \n", "0" * 64 + " 12G4\n", "G" * 64 + " 1234\n",
                                  "0" * 64 + "\t1234\n", "0" * 64 + " " + "1" * 200 + "\n", "\0" * 70])
def test_a_damaged_list_is_refused(host, worker, spawn, value_patch, folder, text):
    target = spawn(worker)
    shutil.copy(value_patch(1), folder / "1.kpatch")
    (folder / "withdrawn").write_text(text)
    refused = host.ctl("patch", "-p", target.pid, folder)
    assert refused.code == lab.INPUT and "withdrawn:1: expected the hash" in refused.err, refused
    assert target.ask("value 10") == 31


def test_the_server_obeys_it(host, worker, spawn, value_patch, one_patch, folder):
    """Level 2 goes from running processes at SIGHUP: to level 1, and to the original code where there is no other."""
    need_root("perf events of all processes")
    shutil.copy(value_patch(2), folder / "value.kpatch")
    shutil.copy(one_patch(2), folder / "one.kpatch")
    server = Server(host, folder)
    try:
        target = spawn(worker)
        soon(target, "value 10", 33)
        soon(target, "one 10", 1012)
        shutil.copy(value_patch(1), folder / "value.kpatch")
        (folder / "one.kpatch").unlink()
        withdraw(folder, host, value_patch(2), one_patch(2))
        assert (host.root / "run/libcare-server.lock").read_text() == f"{server.pid}\n"
        os.kill(server.pid, signal.SIGHUP)
        soon(target, "value 10", 32)
        soon(target, "one 10", 1010)
        new = spawn(worker)
        soon(new, "value 10", 32)
        assert new.ask("one 10") == 1010
    finally:
        server.stop()
