# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl on the network, where only a real kernel can tell: what --update does to it after a change of feed, type or date."""
import os
import pathlib
import socket

import pytest

from outside import Outside, Problem

pytestmark = pytest.mark.guests("network")


def test_this_guest_reaches_its_host_and_nothing_else():
    assert sorted(os.listdir("/sys/class/net")) == ["eth0", "lo"]
    with pytest.raises(Problem, match="does not know 'no_such_thing'"):
        Outside().no_such_thing()
    routes = pathlib.Path("/proc/net/route").read_text().splitlines()[1:]
    assert [line.split()[:2] for line in routes] == [["eth0", "0002000A"]], routes
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), 10)
