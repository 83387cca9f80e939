# SPDX-License-Identifier: GPL-2.0-or-later
"""An independent client of The Update Framework, tuf-js, follows our repositories: it takes what hosts take, and refuses what they
refuse. Its modules are pinned in tests/npm/tuf; they are fetched once, into KCARE_CACHE/npm, and work offline from there."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from conftest import need_program
from publishing import Publisher, kernel_patch, user_patch
from web import Web

NPM = pathlib.Path(__file__).resolve().parents[1] / "npm/tuf"
BUILD = "ab" * 20


def kernel(number):
    return hashlib.sha1(str(number).encode()).hexdigest()


@pytest.fixture(scope="session")
def modules(cache):
    """node_modules as the lock file has them."""
    need_program("node", "nodejs")
    lock = (NPM / "package-lock.json").read_bytes()
    folder = cache / "npm" / f"tuf-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        need_program("npm", "npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NPM / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", cache / "npm/cache"], cwd=folder,
                       check=True, stdin=subprocess.DEVNULL)
        (folder / "complete").touch()
    return folder / "node_modules"


class TufHost:
    """What tuf-js trusts and remembers of a feed."""

    def __init__(self, modules, folder, publisher, web, feed="main"):
        self.modules, self.state, self.web, self.feed = modules, folder, web, feed
        folder.mkdir()
        shutil.copy(publisher.root_json, folder / "root.json")

    def follow(self, *targets):
        """(exit code, what follow.js printed)."""
        environment = dict(os.environ, KCARE_NODE_MODULES=str(self.modules), NO_PROXY="127.0.0.1")
        done = subprocess.run(["node", NPM / "follow.js", self.state, self.web.url, self.feed, *targets], env=environment,
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def levels(self, *targets):
        code, found = self.follow(*targets)
        assert code == 0, found
        return {target: what["levels"] for target, what in found["targets"].items()}

    def refused(self, text, *targets):
        code, found = self.follow(*targets)
        assert code == 1 and text in f"{found['error']}: {found['message']}", found


@pytest.fixture
def publisher(build_folder, tmp_path):
    made = Publisher(build_folder, tmp_path)
    made.deploy(made.patchset("K20261101_01", [kernel_patch(1, kernel(1)), kernel_patch(1, kernel(2))]))
    made.deploy(made.patchset("U20261101_01", [user_patch(1, BUILD)]))
    return made


@pytest.fixture
def web(publisher, tmp_path):
    with Web(publisher.public, tmp_path / "web") as made:
        yield made


@pytest.fixture
def host(modules, publisher, web, tmp_path):
    return TufHost(modules, tmp_path / "tuf", publisher, web)


def metadata(publisher, suffix):
    """The newest file of that name in feed main."""
    return max((publisher.public / "feeds/main/metadata").glob(f"*{suffix}"), key=lambda path: int(path.name.split(".")[0]))


def test_it_follows_a_feed_to_its_patches(publisher, host):
    assert host.levels(f"kernel/{kernel(1)}", "user/debian12/libssl3") == {f"kernel/{kernel(1)}": [1], "user/debian12/libssl3": [1]}
    publisher.deploy(publisher.patchset("K20261102_01", [kernel_patch(2, kernel(1))]))
    assert host.levels(f"kernel/{kernel(1)}", f"kernel/{kernel(2)}") == {f"kernel/{kernel(1)}": [1, 2], f"kernel/{kernel(2)}": [1]}
    host.refused("no target kernel/unknown", "kernel/unknown")


def test_it_follows_other_feeds(modules, publisher, web, tmp_path):
    publisher.repo("feed", "add", "test")
    publisher.deploy(publisher.patchset("K20261102_01", [kernel_patch(2, kernel(1))]), "test")
    assert TufHost(modules, tmp_path / "t", publisher, web, "test").levels(f"kernel/{kernel(1)}") == {f"kernel/{kernel(1)}": [2]}


def test_it_follows_hashed_bins(publisher, host):
    many = [kernel_patch(3, kernel(number)) for number in range(300)]
    publisher.deploy(publisher.patchset("K20261103_01", many))
    targets = json.loads(metadata(publisher, ".targets.json").read_text())["signed"]
    assert targets["delegations"]["succinct_roles"]["bit_length"] == 5 and not targets["targets"]
    wanted = [f"kernel/{kernel(number)}" for number in (0, 1, 17, 150, 299)] + ["user/debian12/libssl3"]
    levels = host.levels(*wanted)
    assert levels == {name: [1, 3] if name == wanted[1] else [1] if name.startswith("user") else [3] for name in wanted}
    host.refused("no target kernel/unknown", "kernel/unknown")
    for role in ("targets", "root"):
        publisher.repo("sign-root", "--rotate", role, "--key", publisher.offline / "root.key", "--no-passphrase")
    publisher.deploy(publisher.patchset("K20261104_01", [kernel_patch(4, kernel(17))]))
    assert host.levels(wanted[2]) == {wanted[2]: [3, 4]}


def test_it_follows_rotated_keys(publisher, host):
    assert host.levels(f"kernel/{kernel(1)}") == {f"kernel/{kernel(1)}": [1]}
    key = publisher.offline / "root.key"
    for version, role in enumerate(("targets", "snapshot", "timestamp", "online", "root"), 2):
        publisher.repo("sign-root", "--rotate", role, "--key", key, "--no-passphrase")
        code, found = host.follow(f"kernel/{kernel(1)}")
        assert code == 0 and found["root"] == version, (role, found)
    publisher.repo("sign-root", "--renew", "--key", publisher.offline / "root-6.key")
    publisher.deploy(publisher.patchset("K20261102_01", [kernel_patch(2, kernel(1))]))
    assert host.levels(f"kernel/{kernel(1)}") == {f"kernel/{kernel(1)}": [1, 2]}


def test_a_host_that_was_off_follows_all_roots_at_once(modules, publisher, web, tmp_path):
    key = publisher.offline / "root.key"
    for role in ("online", "root"):
        publisher.repo("sign-root", "--rotate", role, "--key", key, "--no-passphrase")
    late = TufHost(modules, tmp_path / "late", publisher, web)
    code, found = late.follow(f"kernel/{kernel(1)}")
    assert code == 0 and found["root"] == 3, found


def spoil(path):
    data = bytearray(path.read_bytes())
    at = data.index(b'"version":') + len(b'"version":')
    data[at] = ord("1") if data[at] != ord("1") else ord("2")
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["timestamp.json", ".snapshot.json", ".targets.json"])
def test_it_refuses_tampered_metadata(publisher, host, name):
    path = publisher.public / "feeds/main/metadata/timestamp.json" if name == "timestamp.json" else metadata(publisher, name)
    spoil(path)
    code, found = host.follow(f"kernel/{kernel(1)}")
    assert code == 1 and any(word in found["message"] for word in ("signed by 0/1 keys", "hash", "length")), found


def test_it_refuses_tampered_lists_and_patches(publisher, host):
    lists = publisher.public / "feeds/main/targets/kernel"
    changed = next(lists.glob(f"*.{kernel(1)}"))
    changed.write_bytes(changed.read_bytes().replace(b'"level":1', b'"level":9'))
    host.refused("hash", f"kernel/{kernel(1)}")
    for path in (publisher.public / "blobs").rglob("*.kpatch"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    host.refused("blob ", f"kernel/{kernel(2)}")


def test_it_refuses_yesterday(publisher, host, tmp_path):
    shutil.copytree(publisher.public / "feeds", tmp_path / "yesterday")
    publisher.deploy(publisher.patchset("K20261102_01", [kernel_patch(2, kernel(1))]))
    assert host.levels(f"kernel/{kernel(1)}") == {f"kernel/{kernel(1)}": [1, 2]}
    shutil.rmtree(publisher.public / "feeds")
    shutil.copytree(tmp_path / "yesterday", publisher.public / "feeds")
    code, found = host.follow(f"kernel/{kernel(1)}")
    assert code == 1 and "version" in found["message"], found
