# SPDX-License-Identifier: GPL-2.0-or-later
"""From a fix to hosts that update themselves, whole, with the bare tool: chain.py says who takes part. test_portal.py is the
same with a portal.
"""
import json

import pytest

import chain
import lab
import probes
from outside import Outside

pytestmark = pytest.mark.guests("chain")


class ByRepository(chain.Both):
    """With kcare-repo and nginx, and no more."""

    def __init__(self, outside, kcare):
        super().__init__(outside, kcare, outside.begin(), PREFIX="test")

    def do(self, product, command, what, feed):
        self.outside.repo(command, what, "--feed", feed).ok()

    def follow(self, feed):
        lab.CONFIG.write_text(lab.CONFIG.read_text().replace("PREFIX=test", f"PREFIX={feed}"))
        self.outside.configure_host(PREFIX=feed)


def test_the_chain(patch, kcare):
    patch("chain-1"), patch("chain-2")
    both = ByRepository(Outside(), kcare)
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
    assert both.cves() == sorted([chain.FIRST_HOLE, chain.SECOND_HOLE])

    # level 2 is blocked: both go back by themselves, to a hole that is known rather than to a patch that is bad
    both.change("block", 2, "main")
    guest, host = both.timers()
    assert "Patch level 1 applied" in guest.ok().out and "blocked" in guest.out + guest.err, str(guest)
    assert "blocked" in host.ok().out + host.err, str(host)
    assert both.levels() == (1, 1) and both.check() == 1
    assert both.cves() == [chain.FIRST_HOLE]

    # the web server dies: all keeps running, and both say what they could not do
    both.outside.kill_server()
    for result in both.timers():
        assert result.code == lab.EXIT_NAMES.index("network"), str(result)
        assert "network: " in result.err, str(result)
    assert both.check() == lab.EXIT_NAMES.index("network")
    assert both.levels() == (1, 1)
    assert json.loads(kcare("--info", "--json").ok().out)["patchset"] == chain.KERNEL[1]


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
