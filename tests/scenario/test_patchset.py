# SPDX-License-Identifier: GPL-2.0-or-later
"""Patchsets as their author makes, shows and checks them, and as other tools repack them.

What an enemy may send in their place is in test_patchset_enemies.py.
"""

import bz2
import json
import os
import tarfile
import time

import pytest

import archives
from archives import LIST, Author, archive, member, members_of, tar
from lab import DONE, INPUT, REFUSED, USAGE
from publishing import kernel_patch, run, user_patch

KERNELS = ["d6a9ac615d000000000000000000000000000047", "d6a9ac615d000000000000000000000000000048"]
BUILD_IDS = ["93ac615d00000000000000000000000000000000", "0011223344556677889900112233445566778899"]


@pytest.fixture(scope="module")
def author(build_folder, tmp_path_factory):
    return Author(build_folder, tmp_path_factory.mktemp("author"), "author")


@pytest.fixture(scope="module")
def stranger(build_folder, tmp_path_factory):
    return Author(build_folder, tmp_path_factory.mktemp("stranger"), "stranger")


def samples():
    return [kernel_patch(level, target, release=f"6.1.0-4{number}-amd64")
            for number, (level, target) in enumerate([(1, KERNELS[0]), (2, KERNELS[1])], 7)]


@pytest.fixture(scope="module")
def files(author, tmp_path_factory):
    """Two patch files of K20261123_01."""
    return author.patch_files(tmp_path_factory.mktemp("files"), samples(), "K20261123_01")


@pytest.fixture(scope="module")
def good(author, files, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "K20261123_01.tar.bz2"
    made = author.pack("K20261123_01", *files, "--released", "2026-11-01", "--distro", "debian12", "-o", path)
    assert made.code == DONE and made.out == f"{path}\n" and not made.err, made
    return path


def kcare_build(author, *args, **options):
    return run(author.build, "kcare-build", *args, **options)


def tree(folder):
    return {path.relative_to(folder): path.lstat().st_mode for path in folder.rglob("*")}


# ------------------------------------------------------------------------------------------------------- the author


def test_an_archive_that_any_tar_reads(author, good, files):
    with tarfile.open(good) as opened:
        infos = list(opened)
        assert [info.name for info in infos] == [LIST, "kernel-d6a9ac615d000000-1.kpatch",
                                                 "kernel-d6a9ac615d000000-2.kpatch"]
        assert all(info.isreg() and info.mtime == 1793491200 and info.uid == info.gid == 0 and info.mode == 0o644
                   for info in infos)
        assert [opened.extractfile(info).read() for info in infos[1:]] == [path.read_bytes() for path in files]
        content = json.loads(opened.extractfile(LIST).read())
    assert content["signed"]["released"] == 1793491200 and content["signed"]["distro"] == "debian12"
    assert [entry["release"] for entry in content["signed"]["files"]] == ["6.1.0-47-amd64", "6.1.0-48-amd64"]
    assert content == json.loads(archives.envelope(content["signed"], author.key))


def test_the_same_release_has_the_same_bytes(author, good, files, tmp_path):
    made = author.pack("K20261123_01", *reversed(files), "--released", "2026-11-01T00:00:00Z", "--distro", "debian12",
                       "-o", tmp_path)
    assert made.code == DONE, made
    assert (tmp_path / "K20261123_01.tar.bz2").read_bytes() == good.read_bytes()


def test_a_folder_of_patch_files_and_the_default_name(author, files, tmp_path):
    (tmp_path / "in").mkdir()
    for path in files:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "README").write_text("not a patch")
    made = author.pack("K20261123_01", "in", cwd=tmp_path)
    assert made.code == DONE and made.out == "./K20261123_01.tar.bz2\n", made
    shown = json.loads(kcare_build(author, "show", "--json", tmp_path / "K20261123_01.tar.bz2").out)
    assert abs(shown["released"] - time.time()) < 300 and shown["distro"].startswith("debian"), shown
    assert len(shown["files"]) == 2


def test_processes_of_several_types(author, tmp_path):
    patches = [user_patch(1, BUILD_IDS[0]), user_patch(1, BUILD_IDS[0], type="extra"),
               user_patch(3, BUILD_IDS[1], package="zlib1g=1:1", soname="libz.so.1")]
    paths = author.patch_files(tmp_path, patches, "U20261123_01-qemu")
    path = tmp_path / "u.tar.bz2"
    refused = author.pack("U20261123_01-qemu", *paths, "-o", path)
    assert refused.code == INPUT and "its type is extra" in refused.err and not path.exists(), refused
    made = author.pack("U20261123_01-qemu", *paths, "--type", "default", "--type", "extra", "-o", path)
    assert made.code == DONE, made
    shown = json.loads(kcare_build(author, "show", "--json", path).out)
    assert [(f["name"], f["type"], f["package"]) for f in shown["files"]] == [
        ("libssl.so.3-93ac615d00000000-1-extra.kpatch", "extra", "libssl3"),
        ("libssl.so.3-93ac615d00000000-1.kpatch", "default", "libssl3"),
        ("libz.so.1-0011223344556677-3.kpatch", "default", "zlib1g"),
    ]


@pytest.mark.parametrize("text, seconds", [
    ("2026-11-01", 1793491200),
    ("2026-11-01 12:30:05", 1793536205),
    ("2026-11-01T12:30:05Z", 1793536205),
    ("@1793491201", 1793491201),
    ("1970-01-01", 0),
])
def test_release_times(author, files, tmp_path, text, seconds):
    made = author.pack("K20261123_01", *files, "--released", text, "-o", tmp_path / "a.tar.bz2")
    assert made.code == DONE, made
    assert json.loads(kcare_build(author, "show", "--json", tmp_path / "a.tar.bz2").out)["released"] == seconds


@pytest.mark.parametrize("text", ["2026-02-30", "01.11.2026", "2026-11-1", " 2026-11-01", "2026-11-01 ", "@", "@-1", "@x",
                                  "2026-11-01T12:30:05", "2026-11-01T12:30:05+01:00", "", "-1", "1969-12-31"])
def test_what_is_not_a_time(author, files, tmp_path, text):
    made = author.pack("K20261123_01", *files, f"--released={text}", "-o", tmp_path / "a.tar.bz2")
    assert made.code == USAGE and "is not a time" in made.err, made
    assert not list(tmp_path.iterdir())


def test_a_release_is_not_in_the_future(author, files, tmp_path):
    made = author.pack("K20261123_01", *files, "--released", "2126-11-01", "-o", tmp_path / "a.tar.bz2")
    assert made.code == USAGE and "lies in the future" in made.err, made


@pytest.mark.parametrize("args, code, text", [
    ((), USAGE, "expected NAME and patch files"),
    (("K20261123_01",), USAGE, "expected NAME and patch files"),
    (("K2026_01", "f"), USAGE, "'K2026_01' is not the name of a patchset"),
    (("../K20261123_01", "f"), USAGE, "is not the name of a patchset"),
    (("K20261123_01-qemu", "f", "--type", "some"), USAGE, "there is no type 'some'"),
    (("K20261123_01", "f", "--distro", "Debian 12"), USAGE, "--distro: 'Debian 12' is not a distribution"),
    (("K20261123_01", "f", "--distro", "../x"), USAGE, "--distro:"),
    (("K20261123_01", "f", "--colour"), USAGE, "--colour"),
    (("K20261123_01", "f", "--released"), USAGE, "needs a value"),
    (("K20261123_01", "f"), INPUT, "cannot read f: No such file"),
    (("K20261123_01", "empty"), INPUT, "empty: there is no patch file"),
    (("K20261123_01", "text"), INPUT, "not-a-patch: text"),
    (("K20261123_01", "fifo"), INPUT, "cannot read fifo"),
])
def test_what_is_wrong_is_said(author, tmp_path, args, code, text):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "fifo")
    before = tree(tmp_path)
    made = author.pack(*args, cwd=tmp_path, timeout=30)
    assert made.code == code and text in made.err and not made.out, made
    assert tree(tmp_path) == before


def test_a_key_is_needed(author, files, tmp_path):
    made = kcare_build(author, "patchset", "K20261123_01", *files, cwd=tmp_path)
    assert made.code == USAGE and "--key" in made.err, made
    made = kcare_build(author, "patchset", "K20261123_01", *files, "--key", author.public, cwd=tmp_path)
    assert made.code == INPUT and "bad-key" in made.err, made
    assert not list(tmp_path.iterdir())


def test_what_does_not_belong_is_not_packed(author, stranger, files, tmp_path):
    def refuse(*args, name="K20261123_01", code=INPUT, text):
        made = author.pack(name, *args, "-o", tmp_path / "out.tar.bz2")
        assert made.code == code and text in made.err, made
        assert not list(tmp_path.glob("out*"))

    refuse(*files, name="K20261123_02", text="it belongs to the patchset K20261123_01, not to K20261123_02")
    refuse(*files, files[0], text="are for the same target, type and level")
    refuse(*files, "--type", "extra", text="its type is default; name that with --type")
    other = stranger.patch_files(tmp_path, samples()[:1], "K20261123_01")
    refuse(files[1], *other, code=REFUSED, text="unknown-key: ")
    broken = tmp_path / "broken.kpatch"
    broken.write_bytes(files[0].read_bytes()[:-1])
    refuse(broken, text="truncated: ")
    processes = author.patch_files(tmp_path / "u", [user_patch(1, BUILD_IDS[0])], "U20261123_01")
    refuse(*processes, text="belongs to the patchset U20261123_01")


def test_an_archive_that_cannot_be_written_leaves_nothing(author, files, tmp_path):
    made = author.pack("K20261123_01", *files, "-o", tmp_path / "missing" / "a.tar.bz2")
    assert made.code == 1 and "cannot write" in made.err and "No such file" in made.err, made
    before = (tmp_path / "old.tar.bz2")
    before.write_text("kept")
    made = author.pack("K20261123_02", *files, "-o", before)
    assert made.code == INPUT and before.read_text() == "kept", made
    assert [path.name for path in tmp_path.iterdir()] == ["old.tar.bz2"]


# ---------------------------------------------------------------------------------------------------- show and verify


def test_show_and_verify(author, stranger, good):
    shown = kcare_build(author, "show", good)
    assert shown.code == DONE and "signatures not checked" in shown.out and "2026-11-01 00:00:00 UTC" in shown.out
    assert f"level 2, type default, for 6.1.0-48-amd64, kernel id {KERNELS[1]}" in shown.out, shown
    content = json.loads(kcare_build(author, "show", good, "--json").out)
    assert content["signature"] == "not checked" and content["signed_by"] == archives.key_id(author.public)
    verified = kcare_build(author, "verify", good, "--key", author.folder)
    assert verified.code == DONE and "good signatures" in verified.out and "all there" in verified.out, verified
    refused = kcare_build(author, "verify", good, "--key", stranger.public)
    assert refused.code == REFUSED and refused.err.startswith(f"kcare-build: unknown-key: {good}: "), refused
    assert archives.key_id(author.public) in refused.err


def test_show_of_what_nobody_signed(author, good, tmp_path):
    (_, text), *rest = members_of(good)
    path = tmp_path / "a.tar.bz2"
    path.write_bytes(archive([member(LIST, archives.envelope(json.loads(text)["signed"]))] + rest))
    shown = kcare_build(author, "show", path)
    assert shown.code == DONE and "signed by    nobody" in shown.out, shown


# -------------------------------------------------------------------------------------------------------- good ones


def repacked(good, author):
    """Archives that other tools make of the same files: the signature is over the list, so they are as good."""
    whole = members_of(good)
    (info, text), *rest = whole
    xattr = member(rest[0][0].name, rest[0][1], pax_headers={"SCHILY.xattr.user.note": "x", "comment": "y",
                                                             "SCHILY.acl.access": "user::rwx,user:root:rwx"})
    strange = member(rest[0][0].name, rest[0][1], mode=0o4777, uid=0, gid=0, uname="root", mtime=1 << 32)
    path_by_pax = member("x", rest[1][1], pax_headers={"path": rest[1][0].name, "size": str(len(rest[1][1]))})
    plain = tar(whole)
    half = len(plain) // 2
    return {
        "as it is": good.read_bytes(),
        "other order": archive([whole[0], *reversed(rest)]),
        "gnu": archive(whole, tarfile.GNU_FORMAT),
        "several streams": bz2.compress(plain[:half]) + bz2.compress(plain[half:]),
        "padded": bz2.compress(plain + bytes(10240)),
        "attributes": archive([whole[0], xattr, rest[1]], tarfile.PAX_FORMAT),
        "modes": archive([whole[0], strange, rest[1]], tarfile.GNU_FORMAT),
        "name by pax": archive([whole[0], rest[0], path_by_pax], tarfile.PAX_FORMAT),
    }


@pytest.mark.parametrize("name", ["as it is", "other order", "gnu", "several streams", "padded", "attributes", "modes",
                                  "name by pax"])
def test_other_tools_may_repack(author, good, tmp_path, name):
    path = tmp_path / "a.tar.bz2"
    path.write_bytes(repacked(good, author)[name])
    verified = kcare_build(author, "verify", path, "--key", author.public)
    assert verified.code == DONE, verified

