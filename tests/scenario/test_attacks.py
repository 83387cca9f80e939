# SPDX-License-Identifier: GPL-2.0-or-later
"""The sixteen attacks that a host withstands, each against the real kcarectl, with its own error and its line in the integrity
log. Where an enemy needs keys of the server to get further, he has them: `Thief` signs as the portal would.

After each: what the host knew before stands, and when the attack is over, it goes on. The same attacks, and more of each, on
the client by itself: tests/unit/test_repo_client.c; on downloads: test_fetch*.py; on archives: test_patchset_enemies.py.
"""

import contextlib
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
import time

import pytest

from lab import DONE, NETWORK, REFUSED
from publishing import Host, Publisher, clock, kernel_patch, running_kernel_id
from test_kcarectl_network import DAY, INPUT, NEW, NOTHING_NEW, copy_of, downloaded, expect, log_of, offered, state_of
from web import Web

OTHER = "1234567890" * 4
FIRST, SECOND = "K20261101_01", "K20261102_01"


@pytest.fixture(scope="session")
def template(build_folder, tmp_path_factory):
    """Level 1 for this kernel and another one, an extra level 5, in the feeds main and test."""
    made = Publisher(build_folder, tmp_path_factory.mktemp("attacks"))
    made.deploy(made.patchset(FIRST, [kernel_patch(1), kernel_patch(1, OTHER)]))
    made.deploy(made.patchset("K20261101_02", [kernel_patch(5, type="extra")], type="extra"))
    made.repo("feed", "add", "test", "--from", "main")
    made.patchset(SECOND, [kernel_patch(2), kernel_patch(2, OTHER)])
    return made


@pytest.fixture
def publisher(template, tmp_path):
    made = copy_of(template, tmp_path / "publisher")
    made.second = made.folder / f"{SECOND}.tar.bz2"
    return made


@pytest.fixture
def web(publisher, tmp_path):
    with Web(publisher.public, tmp_path / "web") as server:
        yield server


@pytest.fixture
def host(build_folder, publisher, web, tmp_path):
    made = Host(build_folder, tmp_path / "host", publisher, web.url)
    assert offered(made) == 1
    return made


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Thief:
    """Has the keys of the roles, and writes what the web server shows."""

    def __init__(self, publisher, feed="main", keys=None):
        self.folder = publisher.public / "feeds" / feed
        self.keys = keys or publisher.repository / "private/keys"
        self.feed = feed

    def read(self, name):
        return json.loads((self.folder / "metadata" / name).read_text())

    def sign(self, role, signed, key=None):
        """The document as text. `key`: another one than that of the role."""
        key = key or self.keys / f"{role}.key"
        data = self.folder / "to-sign"
        data.write_text(canonical(signed))
        sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", data], capture_output=True, check=True)
        data.unlink()
        der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
        keyid = hashlib.sha256(der).hexdigest()
        return canonical({"signatures": [{"keyid": keyid, "sig": sig.stdout.hex()}], "signed": signed})

    def write(self, name, text):
        (self.folder / "metadata" / name).write_text(text)

    def current(self):
        timestamp = self.read("timestamp.json")["signed"]
        snapshot = self.read(f"{timestamp['meta']['snapshot.json']['version']}.snapshot.json")["signed"]
        targets = self.read(f"{snapshot['meta']['targets.json']['version']}.targets.json")["signed"]
        return timestamp, snapshot, targets

    def publish(self, timestamp, snapshot=None, targets=None, version=None):
        """Signs each, the lower ones named by the higher ones, with a version that is the next one."""
        version = version or timestamp["version"] + 1
        below = None
        for name, document in (("targets", targets), ("snapshot", snapshot), ("timestamp", timestamp)):
            if document is None:
                continue
            document["version"] = version
            if below:
                document["meta"][below[0]] = {"version": version, "length": len(below[1]),
                                              "hashes": {"sha256": hashlib.sha256(below[1].encode()).hexdigest()}}
            text = self.sign(name, document)
            self.write("timestamp.json" if name == "timestamp" else f"{version}.{name}.json", text)
            below = (f"{name}.json", text)

    def entry(self, **changes):
        """The list of this kernel with another entry, signed up to the timestamp."""
        timestamp, snapshot, targets = self.current()
        path = f"kernel/{running_kernel_id()}"
        old = targets["targets"][path]["hashes"]["sha256"]
        content = json.loads((self.folder / f"targets/kernel/{old}.{running_kernel_id()}").read_text())
        content["entries"] = [e for e in content["entries"] if e["type"] == "default"][-1:]
        content["entries"][0].update(changes)
        text = canonical(content)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (self.folder / f"targets/kernel/{digest}.{running_kernel_id()}").write_text(text)
        targets["targets"][path] = {"hashes": {"sha256": digest}, "length": len(text)}
        self.publish(timestamp, snapshot, targets)


def known(host):
    """What it knows, but for when it asked: good metadata may lead to a bad patch file."""
    state = state_of(host)
    state["checked"].pop("at")
    return state


@contextlib.contextmanager
def attack(host, publisher, with_keys=False):
    """What a host knows is the same behind it; then the folder is as it was before, and the host goes on. What was signed with
    the keys it had to believe, as far as it was no contradiction: the portal signs something newer then."""
    saved, before = publisher.folder / "saved", known(host)
    shutil.copytree(publisher.public, saved, symlinks=True)
    yield
    if not with_keys:
        assert known(host) == before
    shutil.rmtree(publisher.public)
    saved.rename(publisher.public)
    if with_keys:
        time.sleep(2)  # versions are seconds
        publisher.repo("refresh", "--all")
    assert offered(host) == 1
    assert not downloaded(host)


def refused(host, name, *texts, command="--check", code=REFUSED, logged=True, **options):
    """It fails with the error `name`, and the last line of the log says so; what is no violation is not there."""
    n = len(log_of(host).splitlines())
    expect(host.kcarectl(command, **options), code, f"kcarectl: {name}: ", *texts)
    lines = log_of(host).splitlines()[n:]
    assert [line.split()[1] for line in lines] == [name] * logged, lines
    assert not downloaded(host)


def test_01_forged_or_unsigned_metadata(host, publisher):
    thief = Thief(publisher)
    timestamp = thief.read("timestamp.json")
    with attack(host, publisher):
        thief.write("timestamp.json", canonical(timestamp).replace('"version":', '"version":1'))
        refused(host, "bad-signature")
        thief.write("timestamp.json", canonical({**timestamp, "signatures": []}))
        refused(host, "unsigned")
        thief.write("timestamp.json", thief.sign("timestamp", timestamp["signed"], thief.keys / "snapshot.key"))
        refused(host, "unknown-key")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "root"])
def test_02_rollback(host, publisher, role):
    thief = Thief(publisher)
    old = thief.current()
    time.sleep(1)  # versions are seconds
    publisher.repo("refresh", "--all")
    assert offered(host) == 1
    new = thief.current()
    with attack(host, publisher, with_keys=True):
        if role == "timestamp":
            thief.publish(old[0], version=old[0]["version"])
        elif role == "snapshot":
            new[0]["meta"] = old[0]["meta"]
            thief.publish(new[0])
        elif role == "targets":
            new[1]["meta"] = old[1]["meta"]
            thief.publish(new[0], new[1])
        else:
            shutil.copy(thief.folder / "metadata/1.root.json", thief.folder / "metadata/2.root.json")
        refused(host, "rollback", "root 1 is trusted already" if role == "root" else "this host has accepted version")


def test_03_freeze(host, publisher):
    """The newest that there is, and too old; nobody's clock is wrong."""
    thief = Thief(publisher)
    timestamp = thief.current()[0]
    with attack(host, publisher, with_keys=True):
        timestamp["expires"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 5))
        thief.publish(timestamp)
        refused(host, "expired", "or somebody holds newer files back")


def test_04_mix_and_match(host, publisher):
    """Files that were good once, under the names of those of now."""
    thief, old = Thief(publisher), Thief(publisher).current()
    text = (thief.folder / f"metadata/{old[1]['meta']['targets.json']['version']}.targets.json").read_text()
    time.sleep(1)
    publisher.deploy(publisher.second)
    new = thief.current()
    saved = thief.folder / f"metadata/{new[1]['meta']['targets.json']['version']}.targets.json"
    good = saved.read_text()
    saved.write_text(text)
    refused(host, "mixed", "not the file that the signed metadata names")
    saved.unlink()
    refused(host, "mixed", "the server does not have it")
    saved.write_text(good)
    assert offered(host) == 2


@pytest.mark.parametrize("what", ["target", "type", "level"])
def test_05_a_patch_for_something_else(host, publisher, what):
    """A thief who has all online keys, and patch files that their author signed: he cannot say what they are for."""
    blobs = {p.stem: p for p in (publisher.public / "blobs").rglob("*.kpatch")}
    thief = Thief(publisher)
    _, _, targets = thief.current()

    def digest(kernel, type="default"):
        name = targets["targets"][f"kernel/{kernel}"]["hashes"]["sha256"]
        entries = json.loads((thief.folder / f"targets/kernel/{name}.{kernel}").read_text())["entries"]
        return next(e["sha256"] for e in entries if e["type"] == type)

    with attack(host, publisher, with_keys=True):
        if what == "level":
            thief.entry(level=7)
        else:
            other = digest(OTHER) if what == "target" else digest(running_kernel_id(), "extra")
            changes = {"level": 5, "patchset": "K20261101_02"} if what == "type" else {}
            thief.entry(sha256=other, size=blobs[other].stat().st_size, **changes)
        refused(host, "wrong-target", what, command="--update")


def test_06_metadata_of_another_feed(host, publisher):
    with attack(host, publisher):
        shutil.rmtree(publisher.public / "feeds/main")
        shutil.copytree(publisher.public / "feeds/test", publisher.public / "feeds/main")
        refused(host, "wrong-feed", "metadata of the feed 'test', not of 'main'")


def test_07_endless_data(host, publisher):
    thief = Thief(publisher)
    with attack(host, publisher):
        thief.write("timestamp.json", " " * 1_000_000)
        refused(host, "over-limit", code=INPUT)
    with attack(host, publisher):
        thief.write("timestamp.json", "[" * 10_000)
        refused(host, "corrupt", code=INPUT)
    with attack(host, publisher, with_keys=True):
        thief.entry(size=1 << 40)
        refused(host, "over-limit", code=INPUT, command="--update")
    with attack(host, publisher):
        for path in (publisher.public / "blobs").rglob("*.kpatch"):
            path.write_bytes(path.read_bytes() * 100)
        refused(host, "over-limit", code=INPUT, command="--update")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "kernel/../../../x", "/etc/passwd", "kernel//x", "kernel/.."])
def test_08_path_traversal(host, publisher, name):
    """Of one who has the keys. Links on the host: test_kcarectl_network.py."""
    thief = Thief(publisher)
    with attack(host, publisher, with_keys=True):
        timestamp, snapshot, targets = thief.current()
        targets["targets"][name] = next(iter(targets["targets"].values()))
        thief.publish(timestamp, snapshot, targets)
        refused(host, "corrupt", code=INPUT)
    assert not (host.root.parent / "x").exists()


def test_09_fast_forward_and_recovery(host, publisher):
    thief = Thief(publisher)
    with attack(host, publisher):
        timestamp, snapshot, targets = thief.current()
        thief.publish(timestamp, version=(1 << 53) - 1)
        refused(host, "fast-forward", "make this host blind")
    # a day is what a host believes; then it takes nothing from the portal until time has caught up …
    timestamp, snapshot, targets = thief.current()
    saved = {path: path.read_bytes() for path in thief.folder.rglob("*") if path.is_file()}
    thief.publish(timestamp, snapshot, targets, version=int(time.time()) + DAY - 600)
    assert offered(host) == 1
    for path, content in saved.items():
        path.write_bytes(content)
    publisher.repo("refresh", "--all")
    refused(host, "rollback")
    # … or the keys that he has are none any more
    publisher.repo("sign-root", "--rotate", "online", "--key", publisher.offline / "root.key")
    publisher.deploy(publisher.second)
    assert offered(host) == 2


def test_10_a_removed_key_still_signs(host, publisher, tmp_path):
    shutil.copytree(publisher.repository / "private/keys", tmp_path / "stolen")
    publisher.repo("sign-root", "--rotate", "online", "--key", publisher.offline / "root.key")
    assert offered(host) == 1
    thief = Thief(publisher, keys=tmp_path / "stolen")
    with attack(host, publisher):
        thief.publish(thief.current()[0])
        refused(host, "revoked-key", "was replaced as a key of the role 'timestamp'")


def test_11_root_rotation_while_a_host_was_off(host, publisher):
    key = publisher.offline / "root.key"
    for version in (2, 3, 4):
        publisher.repo("sign-root", "--rotate", "all", "--key", key, "--no-passphrase")
        key = publisher.offline / f"root-{version}.key"
    metadata = publisher.public / "feeds/main/metadata"
    second = (metadata / "2.root.json").read_text()
    shutil.copy(metadata / "3.root.json", metadata / "2.root.json")
    refused(host, "root-chain")
    (metadata / "2.root.json").write_text(second)
    publisher.deploy(publisher.second)
    assert offered(host) == 2


def test_12_a_clock_that_is_far_off(host, publisher, tmp_path):
    wrong = clock(tmp_path)
    with attack(host, publisher):
        refused(host, "clock", "But the clock of the server says", env=wrong(400 * DAY))
        refused(host, "clock", "set the clock", env=wrong(-400 * DAY))


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A server, or a proxy, that does `self.server.what` to the timestamp."""

    def do_GET(self):
        if not self.path.endswith("timestamp.json"):
            self.send_error(404)
            return
        what, body = self.server.what, self.server.body
        if what.startswith("to "):
            self.send_response(302)
            self.send_header("Location", what[3:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if what == "alters":
            self.wfile.write(body.replace(b'"_type":"timestamp"', b'"_type":"timestump"'))
        elif what == "truncates":
            self.wfile.write(body[:100])
            self.close_connection = True
        elif what == "stalls":
            self.wfile.write(body[:100])
            self.wfile.flush()
            self.server.released.wait(60)
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere(publisher):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        server.daemon_threads, server.released = True, threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.body = (publisher.public / "feeds/main/metadata/timestamp.json").read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.mark.parametrize("to", ["http://localhost:{port}/feeds/main/metadata/timestamp.json", "https://127.0.0.1:{port}/x",
                                "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_13_redirect_to_another_scheme_or_host(host, web, elsewhere, to):
    elsewhere.what = "to " + to.format(port=web.port)
    host.configure(PATCH_SERVER=elsewhere.url)
    refused(host, "redirect")
    assert not [line for line in web.requests() if "timestamp" in line][1:], "it went there"


def test_14_local_attackers_cannot_make_a_host_forget(host, publisher):
    """Folders, locks and files of others, and links: test_kcarectl_network.py. What is in the cache is checked again each time
    it is used; the trusted root and the highest versions cannot be exchanged for older ones that were good."""
    state = next((host.cache / "repo").glob("*/main"))
    thief = Thief(publisher)
    with attack(host, publisher):
        good = (state / "timestamp.json").read_text()
        (state / "timestamp.json").write_text(good.replace('"version":', '"version":1'))
        expect(host.kcarectl("--check"), INPUT, "corrupt: ", "timestamp.json is damaged", f"remove the folder {state}")
        (state / "timestamp.json").write_text(thief.sign("timestamp", json.loads(good)["signed"], thief.keys / "snapshot.key"))
        expect(host.kcarectl("--check"), INPUT, "corrupt: ")
        (state / "timestamp.json").write_text(good)


@pytest.mark.parametrize("last", ["block", "enable"])
def test_15_a_replayed_block_or_unblock(host, publisher, last):
    feed = publisher.public / "feeds/main"
    states = ("block", "enable") if last == "enable" else ("block", "enable", "block")
    for state in states:
        saved = publisher.folder / "before-the-last"
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(feed, saved)
        time.sleep(1)
        publisher.repo(state, FIRST, "--feed", "main")
        now = offered(host)
    assert now == (1 if last == "enable" else None)
    shutil.rmtree(feed)
    shutil.copytree(saved, feed)
    refused(host, "rollback", "an old copy of the repository, or somebody who shows old files")


@pytest.mark.parametrize("what,name,code", [("alters", "bad-signature", REFUSED), ("truncates", "truncated", INPUT),
                                            ("stalls", "stalled", NETWORK)])
def test_16_a_proxy(host, publisher, elsewhere, what, name, code):
    with attack(host, publisher):
        elsewhere.what = what
        # one try, with short limits
        host.configure(HTTP_PROXY=elsewhere.url, UPDATE_POLICY="REMOTE")
        refused(host, name, code=code, command="--smart-update", logged=name == "bad-signature")
        host.configure(HTTP_PROXY=None, UPDATE_POLICY=None)


def test_a_portal_restored_from_yesterdays_copy(build_folder, tmp_path):
    """What hosts have seen since is not known to it any more; they go on with what it says now."""
    publisher, today = Publisher(build_folder, tmp_path), {"env": clock(tmp_path)(DAY)}
    publisher.deploy(publisher.patchset(FIRST, [kernel_patch(1)]))
    second, third = (publisher.patchset(name, [kernel_patch(level)]) for name, level in ((SECOND, 2), ("K20261103_01", 3)))
    shutil.copytree(publisher.repository, tmp_path / "backup", symlinks=True)
    publisher.repo("deploy", second, "--feed", "main", **today)
    with Web(publisher.public, tmp_path / "web") as web:
        host = Host(build_folder, tmp_path / "host", publisher, web.url)
        expect(host.kcarectl("--check", **today), NEW, "Patch level 2")
        shutil.rmtree(publisher.repository)
        (tmp_path / "backup").rename(publisher.repository)
        refused(host, "rollback", "an old copy of the repository", **today)
        time.sleep(2)  # versions are seconds
        publisher.repo("refresh", **today)
        expect(host.kcarectl("--check", **today), NEW, "Patch level 1")
        publisher.repo("deploy", third, "--feed", "main", **today)
        expect(host.kcarectl("--check", **today), NEW, "Patch level 3")
        assert publisher.run("kcare-repo", "verify", publisher.repository, **today).code == DONE
