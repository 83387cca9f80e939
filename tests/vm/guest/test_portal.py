# SPDX-License-Identifier: GPL-2.0-or-later
"""The chain once more, with a portal in the place of the bare tool: keys say which feed a host follows, and the portal knows
what each host runs. It has TLS of its own, with an ECDSA certificate that this guest trusts as a site's hosts do. In the
second boot systemd is here: the agent's units are what runs.
"""
import json
import os
import pathlib

import pytest

import chain
import lab
import probes
from outside import Outside

pytestmark = [pytest.mark.guests("portal"), pytest.mark.limit(900)]

TRUSTED = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
TRACING = pathlib.Path("/sys/kernel/tracing")
LOOKS = {"user": "looks", "password": "a password of some length"}
NETWORK, REFUSED = lab.EXIT_NAMES.index("network"), lab.EXIT_NAMES.index("refused")
EFFECTIVE = {0: os.uname().release, 1: "6.1-chain-1", 2: "6.1-chain-2"}  # as in tests/vm/patches.toml


class Portal:
    """What its operator does and sees."""

    def __init__(self, outside):
        self.outside = outside

    def must(self, *args):
        return self.outside.portal(*args).ok().out

    def key(self, *args):
        return self.must("key", "-a", *args).strip()

    def register(self, key, machine):
        """Somebody else's try: (status, answer)."""
        body = {"key": key, "hostname": machine, "machine_id": machine}
        return self.outside.portal_api("POST", "/admin/api/kcare/register", body=body, user=None)

    def listed(self):
        """Both the command and the API show it."""
        status, answer = self.outside.portal_api("GET", "/admin/api/servers", **LOOKS)
        assert status == 200 and json.loads(self.must("server", "list", "--json")) == answer["result"], answer
        assert int(self.must("server", "--count")) == len(answer["result"])
        return answer["result"]

    def guest(self):
        return next(server for server in self.listed() if server["hostname"] == "guest")

    def host(self):
        return next(server for server in self.listed() if server["hostname"] != "guest")

    def events(self):
        """Of the guest's check-ins that are in the history."""
        return self.outside.portal_events(systemid()["server_id"])

    def events_of_runs(self):
        """Without those that come at any time between."""
        return [event for event in self.events() if event != "later"]

    def assert_guest(self, level, status, offered=None, error=""):
        """Listed as it is; with the error that it has said, if there was one."""
        server = self.guest()
        assert server["id"] == systemid()["server_id"], server
        assert server["last_error"] in " ".join(error.split()) and bool(server["last_error"]) == bool(error), server
        seen = (server["patch_level"], server["status"], server["offered_level"])
        assert seen == (level, status, level if offered is None else offered), server
        assert server["release"] == os.uname().release and server["patchset"] == chain.KERNEL.get(level, ""), server
        assert server["euname"] == lab.run("kcarectl", "--uname").ok().out.strip() == EFFECTIVE[level], server
        assert server["id"] in self.must("server", "--updated" if status == "uptodate" else "--outdated")


class ByPortal(chain.Both):
    """The guest has a key for the feed test, with place for one server, and the host one for main."""

    def __init__(self, outside, kcare):
        server = outside.begin_portal()
        trust(outside.portal_certificate())
        super().__init__(outside, kcare, server)
        self.portal = Portal(outside)
        self.portal.must("user", "-a", "-r", "readonly", "-p", LOOKS["password"], LOOKS["user"])
        self.staging = self.portal.key("--feed", "test", "--server-limit", 1)
        self.production = self.portal.key("--server-limit", 1)

    def do(self, product, command, what, feed):
        self.portal.must(product, command, what, "--feed", feed)


def trust(certificate):
    TRUSTED.parent.mkdir(parents=True, exist_ok=True)
    TRUSTED.write_text(certificate)


def systemid():
    return dict(line.split("=", 1) for line in (lab.CONFIG.parent / "systemid").read_text().splitlines())


@pytest.fixture
def kprobe():
    """kprobe(function) puts a probe on it; kprobe(None) takes it away."""
    enable = TRACING / "events/kprobes/kcare_test/enable"

    def put(function):
        if function:
            (TRACING / "kprobe_events").write_text(f"p:kcare_test {function}\n")
            enable.write_text("1")
        elif enable.exists():
            enable.write_text("0")
            (TRACING / "kprobe_events").write_text("")

    yield put
    put(None)


def test_a_container_is_listed_and_never_loads_a_kernel_patch(patch, kcare):
    patch("chain-1")
    both = ByPortal(Outside(), kcare)
    both.do("kcare", "deploy", both.outside.kernel_patchset(chain.KERNEL[1], "chain-1"), "test")

    def in_a_container(*args):
        return lab.run("unshare", "--pid", "--fork", "--mount-proc", "kcarectl", *args)

    in_a_container("--register", both.staging).ok()
    for option in ("--update", "--auto-update", "--smart-update"):
        result = in_a_container(option)
        assert result.code == REFUSED and "container: " in result.err, str(result)
        assert not lab.livepatches() and not list(lab.CACHE.rglob("*.kpatch"))
    server = both.portal.guest()
    assert server["virt"] == "container" and server["patch_level"] == 0 and server["last_error"] == "", server
    # without the container: it was nothing else that kept it out
    assert "Patch level 1 applied" in kcare("--update").ok().out


def test_the_chain(patch, kprobe):
    patch("chain-1"), patch("chain-2")
    kcare = lab.Agent()  # what is loaded in the end stays, for the next boot
    kcare.reset()
    both = ByPortal(Outside(), kcare)
    portal = both.portal
    assert both.levels() == (None, None) and portal.listed() == []

    # both register, and are listed at once
    assert kcare("--register", both.staging).ok().out == "Server Registered\n"
    both.outside.host("--register", both.production).ok()
    guest, host = portal.guest(), portal.host()
    assert (guest["feed"], guest["key"], host["feed"], host["key"]) == ("test", both.staging, "main", both.production)
    assert guest["distro"] == "debian" and guest["virt"] in ("kvm", "qemu"), guest
    assert portal.register(both.staging, "another")[1]["error"] == "key-limit-reached"

    # the feed test gets level 1; that it cannot be loaded at first is known
    both.publish(1, "test")
    portal.assert_guest(0, "outdated", offered=1)
    kprobe("raw_sendmsg")
    guest, host = both.timers()
    assert guest.code == REFUSED and "kprobe" in guest.err, str(guest)
    assert host.code in (0, 3), str(host)
    assert both.levels() == (None, None)
    portal.assert_guest(0, "outdated", offered=1, error=guest.err)
    assert portal.events_of_runs()[-2:] == ["before", "failed"]
    kprobe(None)
    assert "Patch level 1 applied" in both.timers()[0].ok().out
    assert both.levels() == (1, None)
    portal.assert_guest(1, "uptodate")
    assert portal.events_of_runs()[-2:] == ["before", "after"]

    # promoted to main: the host has it, too
    both.change("enable-up-to", 1, "main")
    for result in both.timers():
        result.ok()
    assert both.levels() == (1, 1) and both.cves() == [chain.FIRST_HOLE]
    libcare = portal.host()["libcare"]
    assert libcare["enabled"] and libcare["patched"] == libcare["processes"] == 1, libcare

    # level 2, in the same order
    both.publish(2, "test")
    both.timers()
    assert both.levels() == (2, 1)
    portal.assert_guest(2, "uptodate")
    both.change("enable-up-to", 2, "main")
    both.timers()
    assert both.levels() == (2, 2) and both.cves() == sorted([chain.FIRST_HOLE, chain.SECOND_HOLE])

    # the portal is gone: all keeps running, and who asks is told
    both.outside.kill_server()
    for result in (*both.timers(), kcare("--update"), kcare("--license-info")):
        assert result.code == NETWORK and "network: " in result.err and len(result.err.splitlines()) == 1, str(result)
    assert both.levels() == (2, 2) and kcare("--info").code == 0
    # and it is back
    both.outside.start_server()
    for result in both.timers():
        result.ok()
    portal.assert_guest(2, "uptodate")
    assert portal.host()["last_error"] == ""

    # level 2 is blocked: both go back by themselves
    for feed in ("test", "main"):
        both.change("block", 2, feed)
    portal.assert_guest(2, "outdated", offered=1)
    guest, host = both.timers()
    assert "Patch level 1 applied" in guest.ok().out and "blocked" in guest.out + guest.err, str(guest)
    assert "blocked" in host.ok().out + host.err, str(host)
    assert both.levels() == (1, 1) and both.cves() == [chain.FIRST_HOLE]
    portal.assert_guest(1, "uptodate")
    assert portal.events_of_runs()[-2:] == ["before", "after"]

    # a minute after its first patch the guest has said that it is alive; nobody waits for that process
    lab.wait_until(lambda: "later" in portal.events(), 180, "the guest checks in later")
    assert len(portal.listed()) == 2
    kcare("--confirm").ok()  # the end of this boot is no crash


def systemctl(*args):
    return lab.run("systemctl", *args)


@pytest.mark.boot(2)
def test_with_systemd_it_is_the_same_server(patch):
    kcare, outside = lab.Agent(), Outside()
    portal = Portal(outside)
    trust(outside.portal_certificate())
    before = portal.guest()
    assert lab.livepatches() == [] and probes.raw_ihl(), "this is not another boot"

    # the boot loads what was chosen; a minute later the timer tells
    systemctl("start", "kcare.service").ok()
    assert not probes.raw_ihl()
    systemctl("start", "kcare-update.service").ok()
    portal.assert_guest(1, "uptodate")
    assert portal.guest()["checkin"] > before["checkin"]

    # a patch comes within the limits of the unit, too; what checks in later is a unit of its own, and is not ended with it
    kcare.unload()
    systemctl("start", "kcare-update.service").ok()
    assert not probes.raw_ihl(), systemctl("status", "kcare-update.service").out
    portal.assert_guest(1, "uptodate")
    units = [line.split()[0] for line in systemctl("list-units", "--plain", "--no-legend", "run-*.service").ok().out.splitlines()]
    commands = [systemctl("show", "-p", "ExecStart,ActiveState", unit).ok().out for unit in units]
    assert len(units) == 2 and all("kcare-agent --check-in-later ;" in text and "=active" in text for text in commands), commands

    # both unregister: their places are free
    assert kcare("--unregister").ok().out == "Server Unregistered\n"
    outside.host("--unregister").ok()
    assert portal.listed() == [] and not (lab.CONFIG.parent / "systemid").exists()
    keys = json.loads(portal.must("key", "--json"))
    assert [key["servers"] for key in keys] == [0, 0], keys
    assert portal.register(before["key"], "another")[0] == 200
    assert not probes.raw_ihl(), "who leaves keeps what he has"
    kcare.unload()
