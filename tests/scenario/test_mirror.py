# SPDX-License-Identifier: GPL-2.0-or-later
"""kcare-repo verify and mirror: a repository as hosts see it, and copies of it over HTTP."""

import json
import os
import re
import shutil
import tarfile
import time

import pytest

from lab import DONE, INPUT, NETWORK, REFUSED, USAGE
from publishing import Publisher, kernel_patch, user_patch
from web import Web

K1, K2, K3 = ("1234567890" * 4, "abcdef0123" * 4, "9876543210" * 4)
BUILD = "ab" * 20


@pytest.fixture
def publisher(build_folder, tmp_path):
    """Feeds main and test; two kernels, one library."""
    made = Publisher(build_folder, tmp_path)
    made.repo("feed", "add", "test")
    made.deploy(made.patchset("K20261101_01", [kernel_patch(1, K1), kernel_patch(1, K2)], size=3000))
    made.deploy(made.patchset("U20261101_01", [user_patch(1, BUILD)]))
    made.deploy(made.patchset("K20261102_01", [kernel_patch(2, K1)]), "test")
    return made


@pytest.fixture
def web(publisher, tmp_path):
    with Web(publisher.public, tmp_path / "web") as made:
        yield made


@pytest.fixture
def copy(publisher, tmp_path):
    return tmp_path / "mirror"


def verify(publisher, folder=None, *args):
    return publisher.run("kcare-repo", "verify", folder or publisher.repository, *args)


def mirror(publisher, web, copy, *args):
    return publisher.run("kcare-repo", "mirror", web.url, copy, *args)


def first_mirror(publisher, web, copy):
    done = mirror(publisher, web, copy, "--root", publisher.root_json)
    assert done.code == DONE, done
    web.requests()
    return done


def content(public):
    """{name: content} of what is shown; links by where they lead."""
    found = {}
    for path in public.rglob("*"):
        name = str(path.relative_to(public))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def shown(public):
    """The same, without metadata that was replaced."""
    return {name: value for name, value in content(public).items() if "/metadata/" not in name or "timestamp" in name}


def blob(publisher, index=0):
    return sorted((publisher.public / "blobs").rglob("*.kpatch"))[index]


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# ---------------------------------------------------------------------------------------------------------------- verify


def test_a_good_repository(publisher):
    done = verify(publisher)
    assert done.code == DONE and done.out == "2 feeds, 5 targets, 4 patch files: all good\n", done
    assert done.err == ""


def test_what_is_disabled_belongs_there(publisher):
    publisher.repo("disable", "U20261101_01", "--feed", "main")
    for path in publisher.public.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    done = verify(publisher)
    assert done.code == DONE and "libssl3" in done.err and "blobs/" not in done.err, done


def test_a_spoiled_patch_file(publisher):
    spoil(blob(publisher))
    done = verify(publisher)
    assert done.code == INPUT and re.search(r"corrupt: feed \w+, \w+/.*, level \d: .*does not match its name", done.err), done
    assert "not good" in done.out and "problems: 1" in done.err
    blob(publisher).write_bytes(b"short")
    done = verify(publisher)
    assert done.code == INPUT and "has 5 bytes, and the feed says" in done.err, done
    blob(publisher).unlink()
    done = verify(publisher)
    assert done.code != DONE and "not-found: feed" in done.err, done


def test_each_problem_has_its_line(publisher):
    for index in range(3):
        spoil(blob(publisher, index))
    done = verify(publisher)
    assert done.code == INPUT and done.err.count("does not match its name") == 3 and "problems: 3" in done.err, done


def test_an_author_who_is_not_trusted(publisher, tmp_path):
    publisher.must("kcare-build", "keygen", tmp_path / "stranger")
    done = verify(publisher, None, "--key", tmp_path / "stranger/author.pub")
    assert done.code == REFUSED and f"problems: {done.err.count('unknown-key: ') - 1}\n" in done.err, done


@pytest.mark.parametrize("name", ["timestamp", "snapshot", "targets"])
def test_spoiled_metadata(publisher, name):
    newest = sorted((publisher.public / "feeds/main/metadata").glob(f"*{name}.json"))[-1]
    spoil(newest)
    done = verify(publisher)
    assert done.code in (INPUT, REFUSED) and "feed main: " in done.err and "feed test: " not in done.err, done


def test_metadata_of_another_feed(publisher):
    feeds = publisher.public / "feeds"
    shutil.rmtree(feeds / "test")
    shutil.copytree(feeds / "main", feeds / "test")
    done = verify(publisher)
    assert done.code == REFUSED and "wrong-feed: feed test: " in done.err, done


def test_a_root_that_is_not_ours(publisher, build_folder, tmp_path):
    (tmp_path / "other").mkdir()
    other = Publisher(build_folder, tmp_path / "other")
    done = verify(publisher, None, "--root", other.root_json)
    assert done.code == REFUSED and ("unknown-key" in done.err or "root-chain" in done.err), done
    assert verify(publisher, None, "--root", publisher.root_json).code == DONE


def test_strays_are_warned_about(publisher):
    for name in ("feeds/main/targets/kernel/stray", "blobs/00/stray.kpatch", "feeds/main/metadata/stray.json"):
        path = publisher.public / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    done = verify(publisher)
    assert done.code == DONE and "metadata/stray.json: nothing refers to it" in done.err, done
    assert "1 files that nothing refers to" in done.out
    for path in publisher.public.rglob("stray*"):
        os.utime(path, (time.time() - 3 * 86400,) * 2)
    done = verify(publisher)
    assert done.code == DONE and "3 files that nothing refers to" in done.out, done


def test_no_repository(publisher, tmp_path):
    done = verify(publisher, tmp_path / "nowhere")
    assert done.code == INPUT and "is no repository" in done.err, done
    assert publisher.run("kcare-repo", "verify").code == USAGE


# ---------------------------------------------------------------------------------------------------------------- mirror


def test_a_mirror_shows_the_same(publisher, web, copy):
    done = first_mirror(publisher, web, copy)
    assert re.match(r"2 feeds, 5 targets; new: 5 lists, 4 patch files \(\d+ bytes\)\n", done.out), done
    assert shown(publisher.public) == shown(copy / "public")
    assert verify(publisher, copy, "--key", publisher.author / "author.pub").out.endswith("all good\n")
    unsigned = verify(publisher, copy)
    assert unsigned.code == DONE and "the authors' signatures are not checked" in unsigned.err, unsigned


def test_only_what_is_missing(publisher, web, copy):
    first_mirror(publisher, web, copy)
    before = content(copy / "public")
    again = mirror(publisher, web, copy)
    assert again.code == DONE and "new: 0 lists, 0 patch files (0 bytes)" in again.out, again
    assert not [line for line in web.requests() if "/blobs/" in line or "/targets/" in line]
    assert content(copy / "public") == before
    publisher.deploy(publisher.patchset("K20261103_01", [kernel_patch(3, K3)]))
    web.requests()
    more = mirror(publisher, web, copy)
    assert more.code == DONE and "new: 1 lists, 1 patch files" in more.out, more
    assert len([line for line in web.requests() if "/blobs/" in line]) == 1
    assert shown(publisher.public) == shown(copy / "public")


def test_what_is_gone_upstream_is_gone(publisher, web, copy):
    first_mirror(publisher, web, copy)
    publisher.repo("undeploy", "K20261101_01", "--feed", "main")
    publisher.repo("block", "U20261101_01", "--feed", "main")
    assert mirror(publisher, web, copy).code == DONE
    public = copy / "public"
    assert not (public / K2).exists() and not (public / "main" / K2).exists()
    assert json.loads((public / "libcare-patches.json").read_text()) == {}
    assert K2 not in (public / "index/kernels.json").read_text()


def test_a_mirror_of_a_mirror(publisher, web, copy, tmp_path):
    first_mirror(publisher, web, copy)
    with Web(copy / "public", tmp_path / "web2") as second:
        done = mirror(publisher, second, tmp_path / "second", "--root", publisher.root_json)
    assert done.code == DONE and shown(tmp_path / "second/public") == shown(publisher.public), done


def test_rotated_keys_and_a_later_root(publisher, web, copy, tmp_path):
    first_mirror(publisher, web, copy)
    sign = ("--key", publisher.offline / "root.key", "--no-passphrase")
    publisher.repo("sign-root", "--rotate", "online", *sign)
    assert mirror(publisher, web, copy).code == DONE
    publisher.repo("sign-root", "--rotate", "root", *sign)
    assert mirror(publisher, web, copy).code == DONE
    assert shown(publisher.public) == shown(copy / "public")
    # whoever begins with the newest root shows the older ones, too: hosts may know only those
    late = publisher.public / "feeds/main/metadata/3.root.json"
    assert mirror(publisher, web, tmp_path / "late", "--root", late).code == DONE
    roots = {path.name for path in (tmp_path / "late/public/feeds/main/metadata").glob("*.root.json")}
    assert roots == {"1.root.json", "2.root.json", "3.root.json"}
    assert verify(publisher, tmp_path / "late", "--root", publisher.root_json).code == DONE


def test_a_first_run_needs_a_root(publisher, web, copy, build_folder, tmp_path):
    done = mirror(publisher, web, copy)
    assert done.code == REFUSED and "name it with --root" in done.err, done
    (tmp_path / "other").mkdir()
    other = Publisher(build_folder, tmp_path / "other")
    strange = mirror(publisher, web, copy, "--root", other.root_json)
    assert strange.code == REFUSED and "feed main" in strange.err, strange
    assert not (copy / "public/feeds").exists()


def test_an_upstream_that_goes_wrong_changes_nothing(publisher, web, copy):
    first_mirror(publisher, web, copy)
    before = content(copy / "public")
    saved = publisher.folder / "saved"
    shutil.copytree(publisher.public, saved, symlinks=True)
    publisher.deploy(publisher.patchset("K20261103_01", [kernel_patch(3, K1)], size=5000))
    new, = set((publisher.public / "blobs").rglob("*.kpatch")) - {publisher.public / path.relative_to(saved)
                                                                 for path in saved.rglob("*.kpatch")}
    good = new.read_bytes()
    spoil(new)
    spoiled = mirror(publisher, web, copy)
    assert spoiled.code == INPUT and "corrupt: feed main" in spoiled.err, spoiled
    new.unlink()
    missing = mirror(publisher, web, copy)
    assert missing.code != DONE and "feed main" in missing.err, missing
    assert content(copy / "public") == before
    new.write_bytes(good)
    assert mirror(publisher, web, copy).code == DONE
    assert shown(publisher.public) == shown(copy / "public")
    before = content(copy / "public")
    # yesterday's copy, by an attacker
    shutil.rmtree(publisher.public)
    shutil.copytree(saved, publisher.public, symlinks=True)
    rollback = mirror(publisher, web, copy)
    assert rollback.code == REFUSED and "rollback: feed main" in rollback.err, rollback
    (publisher.public / "feeds.json").write_text('{"feeds":["../../etc"]}')
    names = mirror(publisher, web, copy)
    assert names.code == INPUT and "names what cannot be a feed" in names.err, names
    assert content(copy / "public") == before


def test_a_feed_that_is_withheld_is_kept(publisher, web, copy):
    first_mirror(publisher, web, copy)
    publisher.repo("undeploy", "K20261102_01", "--feed", "test")
    publisher.repo("feed", "remove", "test")
    done = mirror(publisher, web, copy)
    assert done.code == DONE and "the upstream has no feed 'test' any more; the mirror keeps what it has" in done.err, done
    assert (copy / "public/feeds/test/metadata/timestamp.json").exists()


def test_a_download_is_resumed(publisher, web, copy):
    publisher.deploy(publisher.patchset("K20261103_01", [kernel_patch(3, K3)], size=400000))
    big = max((publisher.public / "blobs").rglob("*.kpatch"), key=lambda path: path.stat().st_size)
    part = copy / "private/download" / big.stem
    part.parent.mkdir(parents=True)
    part.write_bytes(big.read_bytes()[:300000])
    first = mirror(publisher, web, copy, "--root", publisher.root_json)
    assert first.code == DONE, first
    sent = [line for line in web.requests() if big.stem in line]
    assert len(sent) == 1 and " 206 " in sent[0] and int(sent[0].split()[-1]) == big.stat().st_size - 300000, sent
    assert not part.exists() and shown(publisher.public) == shown(copy / "public")


def test_a_web_server_that_is_gone(publisher, web, copy):
    first_mirror(publisher, web, copy)
    before = content(copy / "public")
    web.stop()
    done = mirror(publisher, web, copy)
    assert done.code == NETWORK, done
    assert content(copy / "public") == before


def test_not_into_a_repository_and_not_from_nowhere(publisher, web, copy, tmp_path):
    done = publisher.run("kcare-repo", "mirror", web.url, publisher.repository, "--root", publisher.root_json)
    assert done.code == REFUSED and "is a repository; a mirror needs a folder of its own" in done.err, done
    assert publisher.run("kcare-repo", "mirror", "ftp://example.org", copy).code == USAGE
    assert publisher.run("kcare-repo", "mirror", web.url).code == USAGE
    (tmp_path / "empty").mkdir()
    with Web(tmp_path / "empty", tmp_path / "web2") as empty:
        done = mirror(publisher, empty, copy, "--root", publisher.root_json)
    assert done.code != DONE and "no repository of kcare is there" in done.err, done


def test_the_certificate_is_not_replaced(publisher, web, copy):
    (publisher.public / "kernelcare_pub.der").write_bytes(b"first")
    first_mirror(publisher, web, copy)
    (publisher.public / "kernelcare_pub.der").write_bytes(b"second")
    done = mirror(publisher, web, copy)
    assert done.code == DONE and "another kernelcare_pub.der, which nobody signed" in done.err, done
    assert (copy / "public/kernelcare_pub.der").read_bytes() == b"first"


# ------------------------------------------------------------------------------------------------- the authors' lists


def lists(public):
    return sorted(path.name for path in (public / "patchsets").iterdir())


def signed_list(archive):
    with tarfile.open(archive) as opened:
        return opened.extractfile("PATCHSET.json").read()


def test_what_feeds_show_has_its_authors_list(publisher):
    assert lists(publisher.public) == ["K20261101_01.json", "K20261102_01.json", "U20261101_01.json"]
    shown_list = (publisher.public / "patchsets/K20261102_01.json").read_bytes()
    assert shown_list == signed_list(publisher.folder / "K20261102_01.tar.bz2")
    publisher.deploy(publisher.patchset("K20261104_01", [kernel_patch(4, K3)]), "test", "--disabled")
    publisher.repo("disable", "U20261101_01", "--feed", "main")
    publisher.repo("undeploy", "K20261102_01", "--feed", "test")
    assert lists(publisher.public) == ["K20261101_01.json"]
    publisher.repo("enable", "K20261104_01", "--feed", "test")
    publisher.repo("block", "K20261101_01", "--feed", "main")
    assert lists(publisher.public) == ["K20261101_01.json", "K20261104_01.json"]


def test_a_mirror_drops_lists_that_no_feed_shows(publisher, web, copy):
    first_mirror(publisher, web, copy)
    publisher.repo("undeploy", "K20261102_01", "--feed", "test")
    assert mirror(publisher, web, copy).code == DONE
    assert lists(copy / "public") == lists(publisher.public) == ["K20261101_01.json", "U20261101_01.json"]


def test_a_list_that_does_not_fit_is_not_taken(publisher, web, copy):
    other = publisher.patchset("K20261199_01", [kernel_patch(9, K3)])
    (publisher.public / "patchsets/K20261102_01.json").write_bytes(signed_list(other))
    (publisher.public / "patchsets/U20261101_01.json").write_text("{}")
    done = verify(publisher)
    assert done.code == INPUT and "K20261102_01.json is the list of K20261199_01" in done.err, done
    done = first_mirror(publisher, web, copy)
    assert "patchsets/K20261102_01.json is not taken: the list of K20261102_01 is that of K20261199_01" in done.err, done
    assert "patchsets/U20261101_01.json is not taken" in done.err and lists(copy / "public") == ["K20261101_01.json"]
    # without them it is a mirror all the same, and when they are right again, they come
    assert verify(publisher, copy, "--key", publisher.author / "author.pub").out.endswith("all good\n")
    for name in ("K20261102_01", "U20261101_01"):
        (publisher.public / f"patchsets/{name}.json").write_bytes(signed_list(publisher.folder / f"{name}.tar.bz2"))
    assert mirror(publisher, web, copy).code == DONE
    assert shown(copy / "public") == shown(publisher.public)


def test_a_repository_of_before_has_no_lists(publisher, web, copy):
    shutil.rmtree(publisher.public / "patchsets")
    assert verify(publisher).out.endswith("all good\n")
    first_mirror(publisher, web, copy)
    assert verify(publisher, copy, "--key", publisher.author / "author.pub").out.endswith("all good\n")
    publisher.repo("refresh", "--all")
    assert mirror(publisher, web, copy).code == DONE and len(lists(copy / "public")) == 3


def test_a_list_that_was_changed(publisher):
    path = publisher.public / "patchsets/K20261101_01.json"
    path.write_text(path.read_text().replace('"released":', '"released":1', 1))
    done = verify(publisher)
    assert done.code == REFUSED and "bad-signature" in done.err and done.err.count("K20261101_01.json") == 1, done
