# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests that run inside a guest, as root. Each test leaves the kernel without a patch.

Markers: guests("6.1", "6.12"): in which guests of guests.toml a test runs (default: only "6.1"); boot(2): in which boot
(default: 1); limit(300): seconds (default: 300).
"""
import os
import pathlib
import signal

import pytest

import lab

DEFAULT_LIMIT_S = 300


def pytest_configure(config):
    config.addinivalue_line("markers", "guests(*names): runs in these guests only")
    config.addinivalue_line("markers", "boot(n): runs in this boot of the guest only")
    config.addinivalue_line("markers", "limit(seconds): may take this long")


def pytest_collection_modifyitems(config, items):
    chosen = [item for item in items if belongs_here(item)]
    left_out = [item for item in items if not belongs_here(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = chosen


def belongs_here(item):
    guests, boot = item.get_closest_marker("guests"), item.get_closest_marker("boot")
    return (os.environ["KCARE_VM_GUEST"] in (guests.args if guests else ("6.1",))
            and int(os.environ["KCARE_VM_BOOT"]) == (boot.args[0] if boot else 1))


@pytest.fixture(autouse=True)
def limit(request):
    marker = request.node.get_closest_marker("limit")
    seconds = marker.args[0] if marker else DEFAULT_LIMIT_S

    def too_long(*_):
        raise TimeoutError(f"not done within {seconds} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def patch():
    """patch("auxv") is the path of that patch file; fails with the builder's words when it could not be built."""
    return lab.patch_path


@pytest.fixture
def kcare():
    """The agent on a host that trusts the author and has an empty cache; unloads what the test leaves loaded."""
    agent = lab.Agent()
    agent.reset()
    yield agent
    agent.unload_all()


@pytest.fixture
def kernel_log():
    """kernel_log() gives the lines that the kernel has logged since the test began."""
    log = lab.KernelLog()
    return log.new_lines
