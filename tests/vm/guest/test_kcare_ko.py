# SPDX-License-Identifier: GPL-2.0-or-later
"""kcare.ko and the template of livepatch modules, without the agent: modules made by hand, loaded by insmod."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import lab
from hand_made import Sleepy, cmdline, module, wait_for_transition

pytestmark = pytest.mark.guests("6.1", "6.12")
SYSCTLS = pathlib.Path("/proc/sys/kernel")
FILES = ["cvelist", "effective_version", "patch_info", "level"]
CVES = {level: str(level) * 250000 * level + "\n" for level in (1, 2)}
ROUNDS = 200 if os.environ["KCARE_VM_LONG"] == "1" else 60
# Reads all files over and over until SIGTERM; fails when one is neither whole nor gone. It sleeps most of the time: 6.12
# changes each call of cond_resched() at the ends of a transition, and under emulation each costs 0.1 s on a busy CPU.
READER = """
import pathlib, signal, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
sizes, reads = set(), 0
while not stop:
    for name in ("cvelist", "effective_version", "patch_info", "level"):
        try:
            text = pathlib.Path("/proc/kcare", name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as problem:
            assert problem.errno == 5, problem
            continue
        reads += 1
        if name == "cvelist":
            assert len(text) in (0, 250001, 500001) and text == text[:1] * (len(text) - 1) + text[-1:], len(text)
            sizes.add(len(text))
    time.sleep(0.05)
print(reads, len(sizes))
"""


def load(name):
    return lab.run("insmod", module(name))


def remove(name):
    lab.run("rmmod", name).ok()


def settle():
    """Waits until one patch at most is in, and all tasks run it."""
    lab.wait_until(lambda: len(lab.livepatches()) < 2 and not lab.in_transition(), 200, "the end of the transition")


def enable(name, value):
    (lab.LIVEPATCH / name / "enabled").write_text(value)


def disable(name):
    enable(name, "0")
    lab.wait_until(lambda: name not in lab.livepatches(), 100, f"the end of {name}")
    remove(name)


def level():
    return (lab.PROC / "level").read_text()


def switches():
    return sorted(path.name for path in SYSCTLS.glob("kcare_*"))


def loadavg():
    return dict(word.split("=") for word in pathlib.Path("/proc/loadavg").read_text().split())


def remove_patches(sleepy):
    sleepy.wake()
    settle()
    for name in lab.livepatches():
        disable(name)
    for path in pathlib.Path("/sys/module").glob("*_livepatch*"):
        remove(path.name)


@pytest.fixture
def sleepy():
    tasks = Sleepy()
    yield tasks
    remove_patches(tasks)
    remove("sleepy")


@pytest.fixture
def kcare_ko(sleepy):
    load("kcare").ok()
    yield
    remove_patches(sleepy)
    remove("kcare")
    assert not lab.PROC.exists()


def test_without_a_patch_it_says_so(kcare_ko):
    assert {path.name: oct(path.stat().st_mode) for path in lab.PROC.iterdir()} == dict.fromkeys(FILES, "0o100444")
    texts = {name: (lab.PROC / name).read_text() for name in FILES}
    assert texts == {"cvelist": "", "patch_info": "", "level": "0\n", "effective_version": os.uname().release + "\n"}
    assert not switches()


def test_everybody_can_read_and_nobody_write(kcare_ko):
    lab.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", lab.PROC / "level").ok()
    with pytest.raises(OSError):
        (lab.PROC / "level").write_text("5")


def test_files_are_whole_and_an_open_one_stays_what_it_was(kcare_ko):
    before = os.open(lab.PROC / "cvelist", os.O_RDONLY)
    load("kcare_livepatch_1").ok()
    settle()
    assert (lab.PROC / "cvelist").read_text() == CVES[1]
    assert (lab.PROC / "effective_version").read_text() == "test-1\n"
    first = os.open(lab.PROC / "cvelist", os.O_RDONLY)
    assert [len(os.read(first, 4096)), len(os.read(first, 200000))] == [4096, 200000]  # no short read but the last
    load("kcare_livepatch_2").ok()
    settle()
    remove("kcare_livepatch_1")
    assert (lab.PROC / "cvelist").read_text() == CVES[2]
    assert os.pread(first, 1 << 20, 0).decode() == CVES[1]
    assert os.read(before, 100) == b""
    disable("kcare_livepatch_2")
    assert (lab.PROC / "cvelist").read_text() == "" and level() == "0\n"
    os.close(first)
    os.close(before)


def test_switches_turn_off_and_on_and_keep_their_value_over_levels(kcare_ko):
    load("kcare_livepatch_1").ok()
    settle()
    assert switches() == ["kcare_first"] and loadavg()["first"] == "1"
    (SYSCTLS / "kcare_first").write_text("1")
    assert loadavg()["first"] == "0"
    for bad in ("2", "-1", "x"):
        with pytest.raises(OSError):
            (SYSCTLS / "kcare_first").write_text(bad)
    load("kcare_livepatch_2").ok()
    settle()
    assert switches() == ["kcare_first", "kcare_second"]
    assert (loadavg()["first"], loadavg()["second"]) == ("0", "1")
    disable("kcare_livepatch_2")
    assert not switches()
    remove("kcare_livepatch_1")
    load("kcare_livepatch_1").ok()
    settle()
    assert loadavg()["first"] == "0"
    (SYSCTLS / "kcare_first").write_text("0")
    assert loadavg()["first"] == "1"


def test_variables_are_handed_over_from_level_to_level(kcare_ko):
    load("kcare_livepatch_1").ok()
    settle()
    assert int(loadavg()["reads"]) == 1001
    load("kcare_livepatch_2").ok()
    settle()
    assert (loadavg()["level"], loadavg()["reads"]) == ("2", "1003")
    remove("kcare_livepatch_1")


def test_it_cannot_go_while_a_patch_is_loaded(kcare_ko):
    load("kcare_livepatch_1").ok()
    settle()
    assert lab.run("rmmod", "kcare").code != 0
    enable("kcare_livepatch_1", "0")
    lab.wait_until(lambda: not lab.livepatches(), 100)
    assert lab.run("rmmod", "kcare").code != 0
    remove("kcare_livepatch_1")


def test_callbacks_run_in_their_order_for_image_and_module(kcare_ko, sleepy, kernel_log):
    load("kcare_livepatch_1").ok()
    settle()
    disable("kcare_livepatch_1")
    notes = [line.partition("kcare test: ")[2] for line in kernel_log() if "kcare test: " in line]
    kinds = ["pre_patch", "post_patch", "pre_unpatch", "post_unpatch"]
    assert notes == [f"{name} {kind} 1" for kind in kinds for name in ("vmlinux", "sleepy")]


def test_a_callback_that_refuses_leaves_everything_as_it_was(kcare_ko, kernel_log):
    load("kcare_livepatch_1").ok()
    settle()
    assert load("refused_livepatch").code != 0
    assert lab.livepatches() == ["kcare_livepatch_1"]
    assert (level(), cmdline(), switches()) == ("1\n", "patched by level 1", ["kcare_first"])
    notes = [line.partition("kcare test: ")[2] for line in kernel_log() if "kcare test: " in line]
    assert notes[-2:] == ["vmlinux pre_patch 4", "vmlinux post_unpatch 4"]


def test_a_transition_taken_back_leaves_the_level_before(kcare_ko, sleepy):
    load("kcare_livepatch_1").ok()
    settle()
    sleepy.start(1, "kcare_deaf")
    load("kcare_livepatch_2").ok()
    wait_for_transition("kcare_livepatch_2")
    assert (level(), switches()) == ("1\n", ["kcare_first"])  # not before all tasks run it
    enable("kcare_livepatch_2", "0")
    lab.wait_until(lambda: lab.livepatches() == ["kcare_livepatch_1"], 100)
    assert (level(), switches()) == ("1\n", ["kcare_first"])
    assert (lab.PROC / "cvelist").read_text() == CVES[1]
    remove("kcare_livepatch_2")


def test_a_removal_shows_nothing_and_taken_back_shows_it_again(kcare_ko, sleepy):
    load("kcare_livepatch_1").ok()
    settle()
    sleepy.start(1, "kcare_deaf")
    enable("kcare_livepatch_1", "0")
    wait_for_transition("kcare_livepatch_1")
    assert ((lab.PROC / "cvelist").read_text(), level(), switches()) == ("", "0\n", [])
    enable("kcare_livepatch_1", "1")
    settle()
    assert ((lab.PROC / "cvelist").read_text(), level(), switches()) == (CVES[1], "1\n", ["kcare_first"])


def test_a_pinned_patch_stays_in_memory(kcare_ko):
    load("kcare_livepatch_3").ok()
    settle()
    enable("kcare_livepatch_3", "0")
    lab.wait_until(lambda: not lab.livepatches(), 100)
    assert level() == "0\n" and "patched" not in cmdline()
    assert lab.run("rmmod", "kcare_livepatch_3").code != 0
    pathlib.Path("/sys/module/kcare_livepatch_3/parameters/unpin").write_text("1")
    remove("kcare_livepatch_3")


@pytest.fixture
def readers():
    started = [subprocess.Popen([sys.executable, "-c", READER], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    yield started
    for reader in started:
        reader.kill()
        reader.wait()


@pytest.mark.limit(600)
def test_loaded_and_unloaded_while_others_read(sleepy, readers):
    held = []
    for i in range(ROUNDS):
        load("kcare").ok()
        if i % 5 == 0:
            held.append(os.open(lab.PROC / FILES[i // 5 % 4], os.O_RDONLY))
        remove("kcare")
    load("kcare").ok()
    for _ in range(4):
        load("kcare_livepatch_1").ok()
        settle()
        time.sleep(0.3)
        load("kcare_livepatch_2").ok()
        settle()
        time.sleep(0.3)
        remove("kcare_livepatch_1")
        disable("kcare_livepatch_2")
    remove("kcare")
    for fd in held:
        with pytest.raises(OSError):
            os.read(fd, 1)
        os.close(fd)
    for reader in readers:
        reader.send_signal(signal.SIGTERM)
        reads, sizes = map(int, reader.communicate(timeout=60)[0].split())
        assert reader.returncode == 0 and reads > 200 and sizes == 3, f"{reads} reads, {sizes} kinds of content"
