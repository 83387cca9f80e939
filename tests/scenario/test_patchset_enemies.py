# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives that an enemy may send in place of a patchset's.

They are made by hand (archives.py). Each must be refused by an error that names what is wrong, soon, and nothing may be
left behind: neither of the folder that it was unpacked to, nor anywhere else in the repository.
"""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import tarfile

import pytest

import archives
from archives import LIST, Author, archive, change_signed, key_id, member, members_of, tar, zeros
from lab import DONE, INPUT, REFUSED
from publishing import kernel_patch, run

KERNELS = ["d6a9ac615d000000000000000000000000000047", "d6a9ac615d000000000000000000000000000048"]
GIB = 1 << 30
SECONDS = 20  # for the sanitizers' build on a busy machine; without limits a bomb takes minutes


class Original:
    """The good archive that the bad ones are made of, and who made it."""

    def __init__(self, build, folder):
        self.author, self.stranger = Author(build, folder, "author"), Author(build, folder, "stranger")
        samples = [kernel_patch(level, target, release="6.1.0-47-amd64") for level, target in enumerate(KERNELS, 1)]
        files = self.author.patch_files(folder / "files", samples, "K20261123_01")
        self.path = folder / "good.tar.bz2"
        made = self.author.pack("K20261123_01", *files, "-o", self.path)
        assert made.code == DONE, made
        self.bytes = self.path.read_bytes()
        self.whole = self.list, self.one, self.two = members_of(self.path)
        self.name, self.content = self.one[0].name, self.one[1]
        self.signed = json.loads(self.list[1])["signed"]

    def instead(self, *members, form=tarfile.PAX_FORMAT):
        """In place of the first patch file."""
        return archive([self.list, *members, self.two], form)

    def content_as(self, name, **fields):
        return self.instead(member(name, self.content, **fields))

    def kind(self, kind, **fields):
        return self.instead(member(self.name, kind=kind, **fields))

    def with_list(self, content):
        return archive([member(LIST, content), self.one, self.two])

    def resigned(self, **values):
        """With another list by the same author."""
        return self.with_list(change_signed(self.list[1], lambda signed: signed.update(values), self.author.key))

    def entry(self, **values):
        """With another entry for the first patch file, in a list by the same author."""
        change = lambda signed: signed["files"][0].update(values)
        return self.with_list(change_signed(self.list[1], change, self.author.key))

    def foreign_patch_file(self):
        """A patch file that the stranger signed, with its right hash in a list that the author signed."""
        size = int.from_bytes(self.content[12:16], "little")
        again = archives.envelope(json.loads(self.content[16:16 + size])["signed"], self.stranger.key)
        forged = self.content[:12] + len(again).to_bytes(4, "little") + again + self.content[16 + size:]
        change = lambda signed: signed["files"][0].update(sha256=hashlib.sha256(forged).hexdigest(), size=len(forged))
        return archive([member(LIST, change_signed(self.list[1], change, self.author.key)), member(self.name, forged),
                        self.two])

    def begin(self, *members):
        """The beginning of an archive, whose last header may claim what it likes."""
        return bz2.compress(tar(members, tarfile.GNU_FORMAT)[:-1024])


def claim(size, name, **fields):
    """Only a header, which says that so many bytes follow."""
    info, _ = member(name, **fields)
    info.size = size
    return info, b""


def pax(**headers):
    return {"pax_headers": {name.replace("_", "."): str(value) for name, value in headers.items()}}


def sparse(places, size):
    """As GNU tar writes it: only these places of a file of that size are in the archive."""
    return {"pax_headers": {"GNU.sparse.map": places, "GNU.sparse.realsize": str(size), "GNU.sparse.numblocks": "1"}}

# name: how it is made of an Original, and what the error says of it. The error is bad-archive.
MEMBERS = {
    "symbolic link": (lambda o: o.kind(tarfile.SYMTYPE, linkname="/etc/passwd"), "is a symbolic link"),
    "hard link": (lambda o: o.kind(tarfile.LNKTYPE, linkname=LIST), "is a hard link"),
    "hard link with content": (lambda o: o.content_as(o.name, kind=tarfile.LNKTYPE, linkname=LIST), "a hard link"),
    "link with a long name": (lambda o: o.kind(tarfile.SYMTYPE, linkname="x" * 200), "is a symbolic link"),
    "folder": (lambda o: o.kind(tarfile.DIRTYPE), "is in a folder"),
    "character device": (lambda o: o.kind(tarfile.CHRTYPE, devmajor=1, devminor=5), "is a device"),
    "block device": (lambda o: o.kind(tarfile.BLKTYPE, devmajor=8), "is a device"),
    "fifo": (lambda o: o.kind(tarfile.FIFOTYPE), "is a FIFO"),
    "absolute": (lambda o: o.content_as("/" + o.name), "has an absolute name"),
    "absolute by pax": (lambda o: o.content_as("x", **pax(path="/tmp/x.kpatch")), "has an absolute name"),
    "dot dot": (lambda o: o.content_as("../" + o.name), "leads out of the folder"),
    "only dots": (lambda o: o.content_as(".."), "leads out of the folder"),
    "dots inside": (lambda o: o.content_as("a/../../" + o.name), "leads out of the folder"),
    "dots at the end": (lambda o: o.content_as("a/.."), "leads out of the folder"),
    "dots by pax": (lambda o: o.content_as(o.name, **pax(path="../x")), "leads out of the folder"),
    "in a folder": (lambda o: o.content_as("a/" + o.name), "is in a folder"),
    "dot slash": (lambda o: o.content_as("./" + o.name), "is in a folder"),
    "extra": (lambda o: o.instead(o.one, member("extra.kpatch", b"x")), "'extra.kpatch' is not in the list"),
    "extra at the end": (lambda o: archive([*o.whole, member("z", b"x")]), "'z' is not in the list"),
    "hidden": (lambda o: o.content_as("." + o.name), "is not in the list"),
    "upper case": (lambda o: o.content_as(o.name.upper()), "is not in the list"),
    "long name": (lambda o: o.content_as("a" * 5000), "is not in the list"),
    "long name, gnu": (lambda o: o.instead(member("a" * 5000, o.content), form=tarfile.GNU_FORMAT), "not in the list"),
    "no name": (lambda o: o.content_as(""), "a member has no name"),
    "not utf-8": (lambda o: o.content_as("\udcff" + o.name), ""),
    "terminal codes": (lambda o: o.content_as("\x1b[2J\x07" + o.name), "'?[2J?kernel"),
    "twice": (lambda o: o.instead(o.one, o.one), "is there twice"),
    "list twice": (lambda o: o.instead(o.one, o.list), f"'{LIST}' is there twice"),
    "missing": (lambda o: archive([o.list, o.one]), "kernel-d6a9ac615d000000-2.kpatch' of the list is missing"),
    "all missing": (lambda o: archive([o.list]), "kernel-d6a9ac615d000000-1.kpatch' of the list is missing"),
    "list not first": (lambda o: archive([o.one, o.list, o.two]), f"is the first one; that must be {LIST}"),
    "list last": (lambda o: archive([o.one, o.two, o.list]), f"is the first one; that must be {LIST}"),
    "no list": (lambda o: archive([o.one, o.two]), f"is the first one; that must be {LIST}"),
    "list in a folder": (lambda o: archive([member("./" + LIST, o.list[1]), o.one, o.two]), "is in a folder"),
    "list is a link": (lambda o: archive([member(LIST, kind=tarfile.SYMTYPE, linkname="/x"), o.one]), "symbolic link"),
    "list is a fifo": (lambda o: archive([member(LIST, kind=tarfile.FIFOTYPE), o.one, o.two]), "is a FIFO"),
    "one byte more": (lambda o: o.instead(member(o.name, o.content + b"x")), "bytes, the list says"),
    "one byte less": (lambda o: o.instead(member(o.name, o.content[:-1])), "bytes, the list says"),
    "empty": (lambda o: o.instead(member(o.name)), "has 0 bytes, the list says"),
    "size by pax": (lambda o: o.content_as(o.name, **pax(size=5)), "has 5 bytes, the list says"),
    "negative size by pax": (lambda o: o.content_as(o.name, **pax(size=-5)), ""),
    "sparse": (lambda o: o.instead(member(o.name, o.content[:100], **sparse("9,100", len(o.content)))), "a sparse file"),
    "another archive behind it": (lambda o: bz2.compress(tar(o.whole) + tar([member("hidden", b"x")])),
                                  "'hidden' is not in the list"),
    "another stream behind it": (lambda o: o.bytes + archive([member("hidden", b"x")]), "'hidden' is not in the list"),
    "bytes behind it": (lambda o: o.bytes + b"garbage", "7 bytes follow its end"),
    "words behind its end mark": (lambda o: bz2.compress(tar(o.whole) + b"x" * 512), ""),
    "nothing in it": (lambda o: archive([]), ""),
    "bzip2 twice": (lambda o: bz2.compress(o.bytes), ""),
    "text in bzip2": (lambda o: bz2.compress(b"hello world" * 1000), ""),
}

# What is not bzip2 at all.
FORMATS = {
    "tar alone": lambda o: tar(o.whole),
    "gzip": lambda o: gzip.compress(tar(o.whole)),
    "xz": lambda o: lzma.compress(tar(o.whole)),
    "zip": lambda o: b"PK\3\4" + bytes(100),
    "two bytes": lambda o: b"BZ",
    "no bytes": lambda o: b"",
}

# Who signed what, and whether it is so. name: how it is made, the error's name and exit code, and what it says.
SIGNED = {
    "swapped files": (lambda o: archive([o.list, member(o.name, o.two[1]), member(o.two[0].name, o.content)]),
                      "corrupt", INPUT, "it is not the file that the list names"),
    "one bit of a file": (lambda o: o.instead(member(o.name, o.content[:-1] + bytes([o.content[-1] ^ 1]))),
                          "corrupt", INPUT, "it is not the file that the list names"),
    "one bit of the list": (lambda o: o.with_list(o.list[1].replace(b"debian12", b"debian13")), "bad-signature", REFUSED,
                            "signature"),
    "unsigned": (lambda o: o.with_list(archives.envelope(o.signed)), "unsigned", REFUSED, "there is no signature"),
    "by a stranger": (lambda o: o.with_list(archives.envelope(o.signed, o.stranger.key)), "unknown-key", REFUSED,
                      "not trusted"),
    "by a stranger, too": (lambda o: o.with_list(archives.envelope(o.signed, o.author.key, o.stranger.key)),
                           "corrupt", INPUT, "one signature, this one has 2"),
    "in the author's name": (lambda o: o.with_list(archives.envelope(o.signed, o.stranger.key).replace(
        key_id(o.stranger.public).encode(), key_id(o.author.public).encode())), "bad-signature", REFUSED, "signature"),
    "not canonical": (lambda o: o.with_list(json.dumps(json.loads(o.list[1])).encode()), "corrupt", INPUT, "canonical"),
    "not json": (lambda o: o.with_list(b"{" * 1000), "corrupt", INPUT, "nested deeper"),
    "empty list": (lambda o: o.with_list(b""), "corrupt", INPUT, ""),
    "another document": (lambda o: o.resigned(document="kcare-patch-1"), "corrupt", INPUT, "not the list of a patchset"),
    "a stranger's patch file": (lambda o: o.foreign_patch_file(), "unknown-key", REFUSED, "kernel-d6a9ac615d000000-1"),
    "another hash": (lambda o: o.entry(sha256="0" * 64), "corrupt", INPUT, "it is not the file that the list names"),
    "another target": (lambda o: o.entry(target="0" * 40), "wrong-target", REFUSED, "the list says target 0000"),
    "another type": (lambda o: o.entry(type="extra"), "wrong-target", REFUSED,
                     "the list says type extra, the patch file default"),
    "another level": (lambda o: o.entry(level=7), "wrong-target", REFUSED, "the list says level 7, the patch file 1"),
    "another release": (lambda o: o.entry(release="6.1.0-1-amd64"), "wrong-target", REFUSED, "release 6.1.0-1-amd64"),
    "another object": (lambda o: o.entry(object="net"), "wrong-target", REFUSED, "object net, the patch file vmlinux"),
    "another patchset": (lambda o: o.resigned(name="K20261123_02"), "wrong-target", REFUSED, "patchset K20261123_02"),
    "no such type": (lambda o: o.entry(type="best"), "bad-input", INPUT, "type (default, extra or free)"),
    "a name with a folder": (lambda o: o.entry(name="a/b.kpatch"), "bad-input", INPUT, "'a/b.kpatch' is not allowed"),
    "for processes": (lambda o: o.entry(kind="user"), "bad-input", INPUT, "a kernel has a release"),
    "of 1 TiB": (lambda o: o.entry(size=1 << 40), "over-limit", INPUT, "MiB"),
    "too many files": (lambda o: o.resigned(files=[o.signed["files"][0]] * 20001), "over-limit", INPUT,
                       "more than 20000 files"),
}

# A few KB that would become gigabytes, or that never end. None: which error it is does not matter, libarchive says it.
BOMBS = {
    "list of 10 GiB": (lambda o: o.begin(claim(10 * GIB, LIST)) + zeros(10240), "over-limit", "is larger than 8 MiB"),
    "member of 10 GiB": (lambda o: o.begin(o.list, claim(10 * GIB, "x")) + zeros(10240), "bad-archive", "not in the list"),
    "patch file of 10 GiB": (lambda o: o.begin(o.list, claim(10 * GIB, o.name)) + zeros(10240), "bad-archive",
                             "has 10737418240 bytes, the list says"),
    "10 GiB of nothing": (lambda o: zeros(10240), "over-limit", "it unpacks to more than"),
    "10 GiB behind it": (lambda o: o.bytes + zeros(10240), "over-limit", "it unpacks to more than"),
    "gnu name of 1 GiB": (lambda o: o.begin(claim(GIB, "././@LongLink", kind=tarfile.GNUTYPE_LONGNAME)) + zeros(1024),
                          None, ""),
    "pax header of 1 GiB": (lambda o: o.begin(claim(GIB, "x", kind=tarfile.XHDTYPE)) + zeros(1024), None, ""),
    "20 MiB of pax headers": (lambda o: bz2.compress(
        tar([member("x", b"12 comment=\n" * 80000, kind=tarfile.XHDTYPE)] * 20)), None, ""),
    "sparse list of 10 GiB": (lambda o: archive([member(LIST, **sparse(f"{10 * GIB},0", 10 * GIB))], tarfile.PAX_FORMAT),
                              "bad-archive", "is a sparse file"),
    "100000 members": (lambda o: archive([o.list] + [member(str(i)) for i in range(100000)]), "bad-archive",
                       "'0' is not in the list"),
    "bzip2 without content": (lambda o: b"BZh9" + bytes.fromhex("314159265359") + bytes(1 << 20), None, ""),
}


@pytest.fixture(scope="module")
def original(build_folder, tmp_path_factory):
    return Original(build_folder, tmp_path_factory.mktemp("original"))


@pytest.fixture
def refuse(original, tmp_path):
    """Has an archive refused: checked by hand, and on its way into a repository."""
    def run_all(data, name, code, text):
        path = tmp_path / "bad.tar.bz2"
        path.write_bytes(data)
        results = [run(original.author.build, "kcare-build", "verify", path, "--key", original.author.public,
                       cwd=tmp_path, timeout=60)]
        for result in results:
            assert result.code == (code or result.code) and result.code in (INPUT, REFUSED), result
            assert result.err.startswith(f"{result.command[0]}: {name or ''}"), result
            assert text in result.err and "bad.tar.bz2" in result.err and not result.out, result
            assert result.err.count("\n") == 1 and result.err.replace("\n", "").isprintable(), result
            assert result.seconds < SECONDS, result
        assert [entry.name for entry in tmp_path.iterdir()] == ["bad.tar.bz2"]
    return run_all


@pytest.mark.parametrize("name", MEMBERS)
def test_members(original, refuse, name):
    make, text = MEMBERS[name]
    refuse(make(original), "bad-archive", REFUSED, text)


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats(original, tmp_path, name):
    path = tmp_path / "bad.tar.bz2"
    path.write_bytes(FORMATS[name](original))
    result = run(original.author.build, "kcare-build", "verify", path, "--key", original.author.public)
    assert result.code == INPUT and result.err.startswith("kcare-build: "), result


@pytest.mark.parametrize("name", SIGNED)
def test_who_signed_what(original, refuse, name):
    make, error, code, text = SIGNED[name]
    refuse(make(original), error, code, text)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(original, refuse, name):
    make, error, text = BOMBS[name]
    data = make(original)
    assert len(data) < 2 << 20
    refuse(data, error, None, text)


@pytest.mark.parametrize("size", [4, 20, 100, 1000, -1])
def test_cut_short(original, refuse, size):
    refuse(original.bytes[:size], "truncated", INPUT, "cut short")


def test_cut_short_between_streams(original, refuse):
    """What is left is good bzip2: it is the tar that ends too soon."""
    whole = tar(original.whole)
    for size in (100, 512, 1000, len(whole) - 1536 - 512):
        refuse(bz2.compress(whole[:size]), None, None, "")


def test_what_is_not_a_file(original, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, code, text in [(tmp_path / "fifo", INPUT, "not a file"), (tmp_path, INPUT, "not a file"),
                             (tmp_path / "missing", INPUT, "No such file"), ("/dev/zero", INPUT, "not a file")]:
        result = run(original.author.build, "kcare-build", "verify", path, "--key", original.author.public, timeout=20)
        assert result.code == code and text in result.err, result
