# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch files that must not get into a process: each is refused with its own error, and the process is unchanged."""

import random

import pytest

import lab
from lab import INPUT, NOTHING, REFUSED


@pytest.fixture
def target(worker, spawn):
    target = spawn(worker)
    yield target
    assert target.ask("value 10") == 31
    lab.assert_original(target, worker.program, worker.run / "libone.so.1")


def refuse(kcare, target, data, tmp_path, codes=(REFUSED, INPUT)):
    path = tmp_path / "bad.kpatch"
    path.write_bytes(data)
    result = kcare.ctl("patch", "-p", target.pid, path)
    assert result.code in codes and result.err.strip(), result
    return result.err


def test_truncated(kcare, target, value_patch, tmp_path):
    data = value_patch().read_bytes()
    for size in [0, 1, 7, 8, 16, 100, len(data) // 2, len(data) - 1]:
        refuse(kcare, target, data[:size], tmp_path)


def test_one_bit_flipped_anywhere(kcare, target, value_patch, tmp_path, long):
    data = value_patch().read_bytes()
    random.seed(20261123)
    for _ in range(400 if long else 40):
        bit = random.randrange(len(data) * 8)
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        refuse(kcare, target, bytes(changed), tmp_path)


def test_something_behind_the_end(kcare, target, value_patch, tmp_path):
    refuse(kcare, target, value_patch().read_bytes() + b"\0", tmp_path)


def test_signed_by_an_unknown_key(kcare, target, worker, make_patch, tmp_path):
    made = kcare.build("keygen", tmp_path / "stranger")
    assert made.code == lab.DONE
    keep, kcare.key = kcare.key, next((tmp_path / "stranger").glob("*.key"))
    try:
        result, files = make_patch.try_make(worker, lab.edit("value.c", "x * 3 + 1", "x * 3 + 9"))
    finally:
        kcare.key = keep
    assert result.code == lab.DONE, result
    assert "unknown-key" in refuse(kcare, target, files[0].read_bytes(), tmp_path, (REFUSED,))


def test_made_for_another_build(kcare, build_target, target, make_patch):
    """The same program, compiled otherwise, has another build-id: there is nothing to do here."""
    other = lab.edit("content.c", "x * 3 + 1;", "x * 3 + 2;")
    kcare.patch(target, make_patch(build_target("content"), other), code=NOTHING)


def test_no_such_process_and_no_such_file(kcare, target, value_patch, tmp_path):
    result = kcare.ctl("patch", "-p", 2 ** 22 - 3, value_patch())
    assert result.code == INPUT and "no-process" in result.err, result
    result = kcare.ctl("patch", "-p", target.pid, tmp_path / "missing.kpatch")
    assert result.code != 0 and "missing.kpatch" in result.err, result
    assert kcare.ctl("patch", "-p", "x", value_patch()).code == lab.USAGE


def test_a_blacklisted_program(kcare, target, worker, value_patch):
    folder = kcare.root / "var/cache/kcare/userspace"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blacklist").write_text(f"path:{worker.program}\n")
    try:
        result = kcare.patch(target, value_patch(), code=REFUSED)
        assert "blacklisted" in result.err, result
    finally:
        (folder / "blacklist").unlink()
