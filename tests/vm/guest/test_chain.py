# SPDX-License-Identifier: GPL-2.0-or-later
"""From a fix to hosts that update themselves, whole: two levels of a library fix and of a kernel fix, all of them real.

The guest follows with its kernel, a host outside with a process that uses libcrypto. Each does only what its timer or its
boot does; all else is the publisher's. What counts is which holes are open.
"""
import json

import pytest

import lab
import probes
from outside import Outside

pytestmark = pytest.mark.guests("chain")

KERNEL = {1: "K20261123_01", 2: "K20261124_01"}  # as in tests/vm/patches.toml
LIBRARY = {1: "U20261123_01", 2: "U20261124_01"}
FIRST_HOLE, SECOND_HOLE = "CVE-2026-45445", "CVE-2026-42766"
OPEN = {FIRST_HOLE: 1, SECOND_HOLE: 11}  # equal ciphertexts; SIGSEGV
LEVELS = {(True, True): None, (False, True): 1, (False, False): 2}


class Both:
    """The guest and the host outside."""

    def __init__(self, outside, kcare):
        self.outside, self.kcare = outside, kcare
        server = outside.begin()
        (lab.CONFIG.parent / "root.json").write_text(server["root"])
        lab.CONFIG.write_text(f"PATCH_SERVER={server['server']}\nPREFIX=test\n")
        self.questions = outside.start_host(PREFIX="test")

    def follow(self, feed):
        lab.CONFIG.write_text(lab.CONFIG.read_text().replace("PREFIX=test", f"PREFIX={feed}"))
        self.outside.configure_host(PREFIX=feed)

    def publish(self, level, feed):
        """Makes the patchsets of a level, and deploys them."""
        cves = [FIRST_HOLE, SECOND_HOLE][:level]
        for archive in (self.outside.kernel_patchset(KERNEL[level], f"chain-{level}"),
                        self.outside.user_patchset(LIBRARY[level], *cves, level=level)):
            self.outside.repo("deploy", archive, "--feed", feed).ok()

    def change(self, command, level, feed):
        """enable, disable or block."""
        for patchset in (KERNEL[level], LIBRARY[level]):
            self.outside.repo(command, patchset, "--feed", feed).ok()

    def timers(self):
        """What the timers of both run: (guest's, host's)."""
        return (self.kcare(*lab.unit_command("kcare-update.service")),
                self.outside.host(*lab.unit_command("libcare-update.service")))

    def check(self):
        return self.kcare("--check").code

    def levels(self):
        """(guest, host), told by their holes."""
        answers = {cve: self.outside.ask_host(question) for cve, question in self.questions.items()}
        assert all(answer in (0, OPEN[cve]) for cve, answer in answers.items()), answers
        return (LEVELS[probes.raw_ihl(), probes.prctl_auxv()],
                LEVELS[answers[FIRST_HOLE] != 0, answers[SECOND_HOLE] != 0])

    def cves(self):
        """What scanners of the host read."""
        return self.outside.host_cvelist()


def test_the_chain(patch, kcare):
    patch("chain-1"), patch("chain-2")
    both = Both(Outside(), kcare)
    assert both.levels() == (None, None)

    # the feed test gets level 1; both follow it
    both.outside.repo("feed", "add", "test").ok()
    both.publish(1, "test")
    assert both.check() == 0
    guest, host = both.timers()
    assert "Patch level 1 applied" in guest.ok().out, str(guest)
    host.ok()
    assert both.levels() == (1, 1)
    assert kcare("--status").code == 0 and both.check() == 1

    # both follow main, which has nothing yet; then level 1 is promoted
    both.follow("main")
    assert both.timers()[0].code in (0, 3)
    assert both.levels() == (1, 1), "a change of feed has lowered something by itself"
    both.change("enable", 1, "main")
    for result in both.timers():
        assert result.code == 0, str(result)
    assert both.levels() == (1, 1) and kcare("--status").code == 0

    # level 2
    both.publish(2, "main")
    assert both.check() == 0
    guest, host = both.timers()
    assert "Patch level 2 applied" in guest.ok().out, str(guest)
    host.ok()
    assert both.levels() == (2, 2) and kcare("--status").code == 0
    assert both.cves() == sorted([FIRST_HOLE, SECOND_HOLE])

    # level 2 is blocked: both go back by themselves, to a hole that is known rather than to a patch that is bad
    both.change("block", 2, "main")
    guest, host = both.timers()
    assert "Patch level 1 applied" in guest.ok().out and "blocked" in guest.out + guest.err, str(guest)
    assert "blocked" in host.ok().out + host.err, str(host)
    assert both.levels() == (1, 1) and both.check() == 1
    assert both.cves() == [FIRST_HOLE]

    # the web server dies: all keeps running, and both say what they could not do
    both.outside.kill_server()
    for result in both.timers():
        assert result.code == lab.EXIT_NAMES.index("network"), str(result)
        assert "network: " in result.err, str(result)
    assert both.check() == lab.EXIT_NAMES.index("network")
    assert both.levels() == (1, 1)
    assert json.loads(kcare("--info", "--json").ok().out)["patchset"] == KERNEL[1]


@pytest.mark.boot(2)
def test_after_a_reboot_without_a_network_level_1_is_loaded_again():
    kcare = lab.Agent()
    lab.run("ip", "link", "set", "eth0", "down").ok()
    assert lab.livepatches() == [] and probes.raw_ihl(), "this is not another boot"
    result = kcare(*lab.unit_command("kcare.service")).ok()
    assert "Patch level 1 applied" in result.out and "taking what was chosen before" in result.err, str(result)
    assert not probes.raw_ihl() and probes.prctl_auxv(), "level 2, which is in the cache, was blocked"
    result = kcare(*lab.unit_command("kcare-update.service"))
    assert result.code == lab.EXIT_NAMES.index("network") and not probes.raw_ihl(), str(result)
    kcare.unload()
    assert probes.raw_ihl()
