# SPDX-License-Identifier: GPL-2.0-or-later
"""What an author does beside building: make keys, look at patch files, check them."""

import base64
import hashlib
import json
import os
import stat

import pytest

import lab
from lab import DONE, INPUT, NOTHING, REFUSED, USAGE


@pytest.fixture(scope="module")
def patch_file(worker, make_patch):
    return make_patch(worker, lab.edit("value.c", "x * 3 + 1", "x * 3 + 5"))


def key_id(public):
    der = base64.b64decode("".join(public.read_text().splitlines()[1:-1]))
    return hashlib.sha256(der).hexdigest()


def test_key_pair_is_secret_named_by_its_hash_and_kept(kcare, tmp_path):
    made = kcare.build("keygen", tmp_path / "new" / "folder", "--name", "jane")
    private, public = (tmp_path / "new/folder" / f"jane.{part}" for part in ("key", "pub"))
    assert made.code == DONE and key_id(public) in made.out, made
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    again = kcare.build("keygen", tmp_path / "new" / "folder", "--name", "jane")
    assert again.code == INPUT and "bad-key" in again.err, again
    assert private.read_bytes() == before


def test_protected_key_needs_its_passphrase(kcare, make_patch, worker, tmp_path):
    """Without a terminal and without a file there is an error, and no wait."""
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    assert kcare.build("keygen", tmp_path, "--passphrase-file", tmp_path / "passphrase").code == DONE
    assert "ENCRYPTED" in (tmp_path / "author.key").read_text()
    fix = lab.edit("value.c", "x * 3 + 1", "x * 3 + 6")
    keep, kcare.key = kcare.key, tmp_path / "author.key"
    run = kcare.run
    kcare.run = lambda *args, **options: run(*args, **{**options, "prefix": ("setsid", "-w")})
    try:
        for name, code in ((None, INPUT), ("wrong", INPUT), ("passphrase", DONE)):
            if name:
                kcare.environment["KCARE_KEY_PASSPHRASE_FILE"] = str(tmp_path / name)
            result, files = make_patch.try_make(worker, fix)
            assert result.code == code and (code == DONE or "bad-key" in result.err), result
    finally:
        kcare.environment.pop("KCARE_KEY_PASSPHRASE_FILE", None)
        kcare.key = keep
        del kcare.run  # the method shows again; copies of kcare must not keep this one's environment
    assert kcare.build("verify", files[0], "--key", tmp_path / "author.pub").code == DONE
    assert kcare.build("verify", files[0], "--key", kcare.public).code == REFUSED


def test_show_says_what_it_is_and_that_nothing_was_checked(kcare, patch_file):
    table = kcare.build("show", patch_file)
    assert table.code == DONE and "U20261123_01" in table.out and "signature not checked" in table.out, table
    shown = kcare.build("show", "--json", patch_file)
    content = json.loads(shown.out)
    assert content["signature"] == "not checked"
    assert content["signed_by"] == key_id(kcare.public)
    assert content["sha256"] == hashlib.sha256(patch_file.read_bytes()).hexdigest()
    assert content["manifest"]["level"] == 1 and content["manifest"]["patchset"] == "U20261123_01"
    assert [payload["name"] for payload in content["payloads"]] == ["user.o"]


def test_verify_takes_a_key_or_a_folder(kcare, patch_file, tmp_path):
    for key in (kcare.public, kcare.keys):
        done = kcare.build("verify", patch_file, "--key", key)
        assert done.code == DONE and "good signature" in done.out and key_id(kcare.public) in done.out, done
    assert kcare.build("verify", patch_file).code == USAGE
    assert kcare.build("verify", patch_file, "--key", tmp_path).code == INPUT
    (tmp_path / "broken.pub").write_text("not a key")
    broken = kcare.build("verify", patch_file, "--key", tmp_path)
    assert broken.code == INPUT and "broken.pub" in broken.err, broken


def damaged(data):
    """Each kind of damage, and the error that names it."""
    size = int.from_bytes(data[12:16], "little")
    flipped = bytearray(data)
    flipped[16 + size + 10] ^= 1
    level = data.replace(b'"level":1,', b'"level":2,')
    sig = bytearray(data)
    at = data.index(b'"sig":"') + 7
    sig[at] = ord("1") if sig[at] == ord("0") else ord("0")
    return [
        ("not-a-patch", b"\x7fELF" + data[4:], INPUT),
        ("unknown-version", data[:8] + b"\2\0\0\0" + data[12:], INPUT),
        ("truncated", data[:-1], INPUT),
        ("truncated", b"", INPUT),
        ("corrupt", bytes(flipped), INPUT),
        ("corrupt", data + b"\0", INPUT),
        ("over-limit", data[:12] + b"\xff\xff\xff\x7f" + data[16:], INPUT),
        ("bad-signature", level, REFUSED),
        ("bad-signature", bytes(sig), REFUSED),
    ]


def test_each_damage_has_its_own_error(kcare, patch_file, tmp_path):
    path = tmp_path / "bad.kpatch"
    for name, data, code in damaged(patch_file.read_bytes()):
        path.write_bytes(data)
        result = kcare.build("verify", path, "--key", kcare.public)
        assert result.code == code and result.err.startswith(f"kcare-build: {name}: {path}: "), result


@pytest.mark.parametrize("option, word", (
    (("--allow", "data-change"), "data-changed"),
    (("--level", "4294967296"), "level"),
    (("--fix", "b.patch", "--fix", "b.patch"), "given twice"),
    (("prepare", "user", "=1"), "PACKAGE=VERSION"),
    (("keygen", ""), "folder"),
))
def test_wrong_arguments_say_what_would_be_right(kcare, tmp_path, option, word):
    fix = tmp_path / "a.patch"
    fix.write_text("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n")
    arguments = option if option[0] in ("prepare", "keygen") else (
        "user", "zlib1g=1:1", "--fix", fix, "--level", 1, "--patchset", "U20261123_01", "--key", kcare.key, "-o",
        tmp_path / "out", *option)
    result = kcare.build(*arguments)
    assert result.code == USAGE and word in result.err, result
    assert not (tmp_path / "out").exists()


def test_help_behind_a_command_and_its_arguments(kcare):
    result = kcare.build("prepare", "user", "zlib1g=1", "--help")
    assert result.code == DONE and "PACKAGE=VERSION" in result.out, result


def test_a_cache_that_others_can_change_is_refused(kcare, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    result = kcare.build("prepare", "user", "zlib1g=1:1", "--cache", tmp_path / "cache")
    assert result.code == REFUSED and "permission" in result.err, result
    assert not list((tmp_path / "cache").iterdir())


def test_a_folder_of_patches_is_never_waited_for(kcare, patch_file, worker, spawn, tmp_path):
    """A FIFO with the name of a patch file would stop the patcher, and the server, for ever."""
    target = spawn(worker.program)
    none = kcare.ctl("patch", "-p", target.pid, tmp_path)
    assert none.code == NOTHING and "no patch files" in none.err, none
    (tmp_path / "good.kpatch").write_bytes(patch_file.read_bytes())
    os.mkfifo(tmp_path / "other.kpatch")
    for path in (tmp_path, tmp_path / "other.kpatch"):
        result = kcare.ctl("patch", "-p", target.pid, path, timeout=20)
        assert result.code == INPUT and "not-a-patch" in result.err, result


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has more to lose than its own keys")
def test_keys_of_another_user_are_not_trusted(kcare, patch_file, tmp_path):
    key = tmp_path / "author.pub"
    key.write_bytes(kcare.public.read_bytes())
    assert kcare.build("verify", patch_file, "--key", key).code == DONE
    os.chown(key, 65534, 65534)
    result = kcare.build("verify", patch_file, "--key", key)
    assert result.code == REFUSED and "permission" in result.err, result
