# SPDX-License-Identifier: GPL-2.0-or-later
"""A host without a network: key and patches are carried in as files, and nothing that is not the author's gets in."""
import os
import shutil

import lab
import marks


def untrusting():
    """An agent on a host that trusts nobody yet."""
    kcare = lab.Agent()
    kcare.reset()
    shutil.rmtree(lab.KEYS)
    return kcare


def test_key_and_patches_come_in_as_files_and_the_newest_is_applied(kcare, patch, tmp_path):
    assert os.listdir("/sys/class/net") == ["lo"], "this guest has a network"
    kcare = untrusting()
    for name in ("mark-1", "mark-2"):
        shutil.copy(patch(name), tmp_path / f"{name}.kpatch")
    kcare("--import-key", "/kcare/author.pub").ok()
    kcare("--import-patch", tmp_path).ok()
    kcare("--smart-update").ok()
    assert marks.loadavg() == 2
    assert kcare("--status").code == 0


def test_a_patch_of_an_unknown_author_is_not_imported(kcare, patch):
    kcare = untrusting()
    result = kcare("--import-patch", patch("mark-1"))
    assert result.code not in (0, 3) and "--import-key" in result.err, str(result)
    assert not list(lab.CACHE.rglob("*.kpatch"))


def test_a_patch_that_was_changed_on_its_way_is_not_imported(kcare, patch, tmp_path):
    data = bytearray(patch("mark-1").read_bytes())
    data[-20] ^= 1
    changed = tmp_path / "changed.kpatch"
    changed.write_bytes(data)
    result = kcare("--import-patch", changed)
    assert result.code not in (0, 3) and "changed.kpatch" in result.err, str(result)
    assert not list(lab.CACHE.rglob("*.kpatch"))


def test_a_patch_that_was_changed_in_the_cache_is_not_applied(kcare, patch):
    kcare("--import-patch", patch("mark-1")).ok()
    cached, = lab.CACHE.rglob("*.kpatch")
    data = bytearray(cached.read_bytes())
    data[-20] ^= 1
    cached.write_bytes(data)
    result = kcare("--update")
    assert result.code not in (0, 3), str(result)
    assert lab.livepatches() == []
