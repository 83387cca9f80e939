# SPDX-License-Identifier: GPL-2.0-or-later
"""kcare-repo sign-root: every role is rotated by one command, or by three and a machine without a network."""

import json
import re
import shutil

import pytest

from lab import DONE, INPUT, REFUSED, USAGE
from publishing import Publisher, kernel_patch

KERNEL = "1234567890" * 4
ONLINE = ["targets", "snapshot", "timestamp"]


@pytest.fixture
def publisher(build_folder, tmp_path):
    made = Publisher(build_folder, tmp_path)
    made.deploy(made.patchset("K20261101_01", [kernel_patch(1, KERNEL, release="6.1.0-47-amd64")]))
    return made


def sign_root(publisher, *args, **options):
    return publisher.run("kcare-repo", "sign-root", *args, **options)


def current_root(publisher, feed="main"):
    roots = (publisher.public / "feeds" / feed / "metadata").glob("*.root.json")
    return json.loads(max(roots, key=lambda path: int(path.name.split(".")[0])).read_text())["signed"]


def key_of(root, role):
    return root["roles"][role]["keyids"]


def must_verify(publisher):
    result = publisher.run("kcare-repo", "verify", publisher.repository)
    assert result.code == DONE and "all good" in result.out, result


@pytest.mark.parametrize("role", [*ONLINE, "online"])
def test_an_online_key_is_rotated_by_one_command(publisher, role):
    publisher.repo("feed", "add", "test")
    before = current_root(publisher)
    done = sign_root(publisher, publisher.repository, "--rotate", role, "--key", publisher.offline / "root.key")
    assert done.code == DONE and done.out.startswith("root 1 -> root 2") and done.out.endswith("published\n"), done
    after = current_root(publisher)
    assert after["version"] == 2 and after == current_root(publisher, "test")
    changed = ONLINE if role == "online" else [role]
    for name in ["root", *ONLINE]:
        assert (key_of(before, name) != key_of(after, name)) == (name in changed), name
    for name in changed:
        old = publisher.repository / "private/keys/revoked" / f"{name}-{key_of(before, name)[0][:12]}.key"
        assert old.exists() and old.stat().st_mode & 0o77 == 0
        assert re.search(rf"^  {name} +- {key_of(before, name)[0]}$", done.out, re.M), done
        assert re.search(rf"^  {name} +\+ {key_of(after, name)[0]}$", done.out, re.M), done
    must_verify(publisher)


def test_the_root_key_is_rotated_by_one_command(publisher):
    old = publisher.offline / "root.key"
    passphrase = publisher.folder / "passphrase"
    passphrase.write_text("correct horse\n")
    done = sign_root(publisher, publisher.repository, "--rotate", "root", "--key", old, "--passphrase-file", passphrase)
    new = publisher.offline / "root-2.key"
    assert done.code == DONE and f"the root key is {new} from now on; {old} signs nothing any more" in done.out, done
    assert "ENCRYPTED" in new.read_text()
    must_verify(publisher)
    again = sign_root(publisher, publisher.repository, "--renew", "--key", old)
    assert again.code == REFUSED and "unknown-key" in again.err and "neither of root 2 nor of root 3" in again.err, again
    renewed = sign_root(publisher, publisher.repository, "--renew", "--key", new,
                        env={"KCARE_KEY_PASSPHRASE_FILE": str(passphrase)})
    assert renewed.code == DONE and current_root(publisher)["version"] == 3, renewed
    must_verify(publisher)


def test_a_new_root_key_has_a_passphrase_or_is_said_to_have_none(publisher):
    done = sign_root(publisher, publisher.repository, "--rotate", "root", "--key", publisher.offline / "root.key",
                     prefix=["setsid", "-w"])
    assert done.code == INPUT and "--passphrase-file FILE or --no-passphrase would do without asking" in done.err, done
    assert not list(publisher.offline.glob("root-2.*"))


def test_all_keys_at_once(publisher):
    before = current_root(publisher)
    done = sign_root(publisher, publisher.repository, "--rotate", "all", "--key", publisher.offline / "root.key",
                     "--no-passphrase")
    assert done.code == DONE, done
    assert all(key_of(before, role) != key_of(current_root(publisher), role) for role in ["root", *ONLINE])
    must_verify(publisher)


def test_two_machines(publisher, tmp_path):
    request, offline = tmp_path / "request.json", tmp_path / "offline-machine"
    offline.mkdir()
    shutil.move(publisher.offline / "root.key", offline / "root.key")
    before = current_root(publisher)
    exported = sign_root(publisher, publisher.repository, "--rotate", "online", "--export", request)
    assert exported.code == DONE and "nothing is changed yet" in exported.out, exported
    assert "is the root key" not in exported.err and current_root(publisher) == before
    early = sign_root(publisher, publisher.repository, "--import", request)
    assert early.code == REFUSED and "unsigned: root 2 has 0 of the 1 signatures" in early.err, early
    shutil.copy(request, offline / "request.json")
    shown = sign_root(publisher, "request.json", cwd=offline)
    assert shown.code == DONE and "+" in shown.out and "not yet: root 2 has 0 of the 1" in shown.out, shown
    assert (offline / "request.json").read_bytes() == request.read_bytes()
    signed = sign_root(publisher, "request.json", "--key", "root.key", cwd=offline)
    assert signed.code == DONE and "all signatures are there" in signed.out, signed
    imported = sign_root(publisher, publisher.repository, "--import", offline / "request.json")
    assert imported.code == DONE and imported.out.endswith("published\n"), imported
    assert all(key_of(before, role) != key_of(current_root(publisher), role) for role in ONLINE)
    must_verify(publisher)
    twice = sign_root(publisher, publisher.repository, "--import", offline / "request.json")
    assert twice.code == REFUSED and "the repository has root 2 now" in twice.err, twice


def test_the_root_key_on_two_machines(publisher, tmp_path):
    request = tmp_path / "request.json"
    publisher.must("kcare-build", "keygen", publisher.offline, "--name", "new-root")
    old, = key_of(current_root(publisher), "root")
    refused = sign_root(publisher, publisher.repository, "--rotate", "root", "--export", request)
    assert refused.code == USAGE and "--add-root-key NEW.pub --remove-root-key" in refused.err, refused
    exported = sign_root(publisher, publisher.repository, "--add-root-key", publisher.offline / "new-root.pub",
                         "--remove-root-key", old, "--export", request)
    assert exported.code == DONE, exported
    half = sign_root(publisher, request, "--key", publisher.offline / "root.key")
    assert half.code == DONE and "not yet: root 2 has 0 of the 1 signatures that it needs from root keys of root 2" in half.out, half
    signed = sign_root(publisher, request, "--key", publisher.offline / "new-root.key")
    assert signed.code == DONE and "all signatures are there" in signed.out, signed
    imported = sign_root(publisher, publisher.repository, "--import", request)
    assert imported.code == DONE and key_of(current_root(publisher), "root") != [old], imported
    must_verify(publisher)


def test_two_of_three_root_keys(publisher):
    for name in ("second", "third"):
        publisher.must("kcare-build", "keygen", publisher.offline, "--name", name)
    keys = {name: publisher.offline / f"{name}.key" for name in ("root", "second", "third")}
    done = sign_root(publisher, publisher.repository, "--add-root-key", publisher.offline / "second.pub", "--add-root-key",
                     publisher.offline / "third.pub", "--threshold", "2", "--key", keys["root"], "--key", keys["second"])
    assert done.code == DONE and "signatures needed: 1 -> 2" in done.out, done
    alone = sign_root(publisher, publisher.repository, "--rotate", "timestamp", "--key", keys["third"])
    assert alone.code == REFUSED and "root 3 has 1 of the 2 signatures" in alone.err, alone
    assert current_root(publisher)["version"] == 2
    assert not (publisher.repository / "private/keys/next").exists()
    both = sign_root(publisher, publisher.repository, "--rotate", "timestamp", "--key", keys["third"], "--key", keys["root"])
    assert both.code == DONE and current_root(publisher)["version"] == 3, both
    must_verify(publisher)


def test_lost_online_keys_are_replaced(publisher):
    for role in ONLINE:
        (publisher.repository / f"private/keys/{role}.key").unlink()
    lost = publisher.run("kcare-repo", "refresh", publisher.repository)
    assert lost.code == INPUT and "bad-key" in lost.err and "--rotate targets" in lost.err, lost
    done = sign_root(publisher, publisher.repository, "--rotate", "online", "--key", publisher.offline / "root.key")
    assert done.code == DONE, done
    must_verify(publisher)


def test_a_refused_rotation_leaves_nothing_behind(publisher, tmp_path):
    publisher.must("kcare-build", "keygen", tmp_path / "stranger")
    before = sorted(path.relative_to(publisher.folder) for path in publisher.folder.rglob("*"))
    done = sign_root(publisher, publisher.repository, "--rotate", "all", "--key", tmp_path / "stranger/author.key",
                     "--no-passphrase")
    assert done.code == USAGE and "is not the id of a root key of root 1" in done.err, done
    assert before == sorted(path.relative_to(publisher.folder) for path in publisher.folder.rglob("*"))
    must_verify(publisher)


def test_an_altered_request_is_refused_where_it_is_signed(publisher, tmp_path):
    request = tmp_path / "request.json"
    assert sign_root(publisher, publisher.repository, "--rotate", "online", "--export", request).code == DONE
    whole = request.read_text()
    # a current root that its own keys did not sign
    request.write_text(re.sub(r'"expires":"20\d\d', '"expires":"2099', whole, count=1))
    altered = sign_root(publisher, request, "--key", publisher.offline / "root.key")
    assert altered.code == REFUSED and "bad-signature" in altered.err, altered
    request.write_text("{}")
    other = sign_root(publisher, request)
    assert other.code == INPUT and "not a root that waits for signatures" in other.err, other


@pytest.mark.parametrize("arguments, text", [
    ([], "one of --key KEY"),
    (["--key", "K"], "say what shall change"),
    (["--key", "K", "--export", "F", "--renew"], "one of --key KEY"),
    (["--import", "F", "--renew"], "was decided when F was exported"),
    (["--rotate", "author", "--key", "K"], 'there is no role "author"'),
    (["--threshold", "0", "--key", "K"], "the threshold is a number from 1 on"),
    (["--threshold", "2", "--key", "ROOT"], "2 signatures would be needed, but there would be only 1 root keys"),
    (["--remove-root-key", "f00", "--key", "ROOT"], "f00 is not the id of a root key"),
    (["--rotate", "root", "--key", "ROOT", "--no-passphrase", "--passphrase-file", "F"], "exclude each other"),
    (["--frobnicate"], "there is no option"),
])
def test_wrong_arguments(publisher, arguments, text):
    arguments = [str(publisher.offline / "root.key") if word == "ROOT" else word for word in arguments]
    done = sign_root(publisher, publisher.repository, *arguments)
    assert done.code == USAGE and "usage: " in done.err and text in done.err, done
    assert current_root(publisher)["version"] == 1


def test_not_a_repository(publisher, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    done = sign_root(publisher, empty, "--renew", "--key", publisher.offline / "root.key")
    assert done.code == INPUT and "is not a repository" in done.err, done
    missing = sign_root(publisher, tmp_path / "missing", "--renew", "--key", "K")
    assert missing.code == INPUT and "No such file" in missing.err, missing
