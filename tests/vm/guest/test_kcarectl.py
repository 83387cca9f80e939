# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl and kcare-uname: what they say and remember, with livepatches made by hand in patch files made here."""
import fcntl
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

import hand_made
import lab

STATE, LOADING = lab.CACHE / "kernel/state.json", lab.CACHE / "kernel/loading"
OTHER_BOOT = "00000000-1111-2222-3333-444444444444"
RELEASE = os.uname().release
SYSCTL = pathlib.Path("/proc/sys/kernel/printk_ratelimit_burst")


class Host:
    """kcarectl on a host that trusts the author of the patches made here."""

    def __init__(self, kcare, folder):
        self.kcare, self.folder = kcare, folder
        self.keys = folder / "keys"
        self.make(1)
        kcare("--import-key", self.keys / "author.pub").ok()

    def __call__(self, *args, **options):
        return self.kcare(*args, **options)

    def make(self, level, *more, keys=None):
        path = self.folder / f"{level}.kpatch"
        lab.run("kernel_patch", keys or self.keys, path, level, hand_made.module(f"kcare_livepatch_{level}"),
                hand_made.module("kcare"), *more).ok()
        return path

    def bring(self, *levels):
        """Imports levels, made now."""
        for level in levels:
            self("--import-patch", self.make(level)).ok()

    def status(self):
        return self("--status").code

    def info(self):
        return json.loads(self("--info", "--json").ok().out)


@pytest.fixture
def host(kcare, tmp_path):
    sleepy = hand_made.Sleepy()  # what the livepatches refer to
    yield Host(kcare, tmp_path)
    sleepy.close()


def refused(result, code, name, *words):
    assert result.code == lab.EXIT_NAMES.index(code), str(result)
    assert result.err.startswith(f"kcarectl: {name}: "), str(result)
    for word in words:
        assert word in result.err, str(result)
    return result


def cached(level):
    return next((lab.CACHE / "kernel").glob(f"*/default/{level}.kpatch"))


def as_another_boot():
    """As if the host had gone down since the marker was written."""
    marker = json.loads(LOADING.read_text())
    LOADING.write_text(json.dumps(marker | {"boot_id": OTHER_BOOT}))


def test_nothing_is_known(kcare):
    assert kcare("--status").code == 3
    assert kcare("--info").ok().out.startswith("No patches applied\nkpatch-note: no patch for this kernel (")
    assert kcare("--patch-info").ok().out == "No patches applied\n"
    assert kcare("--uname").ok().out == f"{RELEASE}\n"
    info = json.loads(kcare("--info", "--json").ok().out)
    assert (info["patch-state"], info["patch-type"], info["status"]) == ("none", "unset", "unsupported")
    refused(kcare("--update"), "nothing", "nothing-to-do", "--import-patch", info["kernel-id"])
    refused(kcare("--unload"), "nothing", "nothing-to-do")
    refused(kcare("--smart-update"), "nothing", "nothing-to-do")
    lab.CONFIG.write_text("UPDATE_POLICY=LOCAL\nIGNORE_UNKNOWN_KERNEL=True\n")
    assert kcare("--smart-update").ok().out == ""


def test_in_up_and_out(host):
    host.bring(1)
    assert host.status() == 1
    result = host("--update").ok()
    assert f"Patch level 1 applied. Effective kernel version {RELEASE}+1\nKernel is safe\n" in result.out, str(result)
    assert hand_made.cmdline() == "patched by level 1"
    assert host.status() == 0
    again = host("-u").ok()
    assert "applied" not in again.out and again.out.endswith("Kernel is safe\n")
    time.sleep(1.1)  # so that it is another file
    host.bring(1)
    assert "another build of level 1" in host("--update").ok().err
    host.bring(2)
    assert host.status() == 2
    assert "kpatch-note: patch level 2 (default) is in the cache" in host("-i").ok().out
    assert "Patch level 2 applied" in host("--update", "--freezer", "full").ok().out
    assert hand_made.cmdline() == "patched by level 2"
    # never back to a lower level
    cached(2).unlink()
    assert host.status() == 0
    assert "Kernel is safe" in host("--update").ok().out
    assert hand_made.cmdline() == "patched by level 2"
    assert "protection disabled" in host("--unload", "--freezer", "none").ok().out
    assert not LOADING.exists() and not lab.livepatches()
    assert "applied" not in json.loads(STATE.read_text())
    assert host.status() == 1
    refused(host("--unload"), "nothing", "nothing-to-do")


def test_what_it_says_of_a_patch(host):
    host.bring(1)
    host("--update").ok()
    lines = host("--info").ok().out.splitlines()
    assert lines[:2] == ["kpatch-state: patch is applied",
                         "kpatch-for: " + pathlib.Path("/proc/version").read_text().strip()]
    info = host.info()
    created = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(info["build-time"]))
    assert lines[2] == f"kpatch-build-time: {created}"
    shown = (lab.PROC / "effective_version").read_text().strip()  # what the module says of itself
    assert lines[3] == f"kpatch-description: 1-:{info['build-time']};{shown}"
    assert len(lines) == 4
    assert info["patch-level"] == 1 and info["patch-type"] == "default" and info["status"] == "latest"
    assert info["patchset"] == "K20261123_01" and abs(info["applied-at"] - time.time()) < 60
    assert info["crashed-levels"] == [] and not info["is-forced"]
    assert host("--uname").ok().out == f"{shown}\n"
    assert host("--patch-info").ok().out == (lab.PROC / "patch_info").read_text() == "kpatch-name: level 1\n"
    assert lab.run("kcare-uname", "-r").ok().out == f"{shown}\n"
    assert lab.run("kcare-uname", "-snr").ok().out == f"Linux guest {shown}\n"
    assert lab.run("kcare-uname", "-a").ok().out.split()[:3] == ["Linux", "guest", shown]


def test_looking_needs_no_privileges(host):
    host.bring(1)
    host("--update").ok()
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    assert host("--status", **nobody).code == 0
    for option in ("--info", "--uname", "--patch-info"):
        assert host(option, **nobody).ok().out == host(option).out
    for words in (["--update"], ["--unload"], ["--import-patch", "/kcare"], ["--import-key", "/x"], ["--confirm"]):
        refused(host(*words, **nobody), "refused", "permission", "sudo")
    assert lab.livepatches() == ["kcare_livepatch_1"]


def test_another_boot_with_a_marker_is_a_crash(host):
    host.bring(1, 2)
    host("--update").ok()
    assert json.loads(LOADING.read_text())["level"] == 2
    host("--unload").ok()
    host("--update").ok()
    as_another_boot()
    host("--info").ok()
    assert [crash["level"] for crash in host.info()["crashed-levels"]] == [2]
    assert "went down after patch level 2" in host("--info").ok().out
    assert LOADING.exists()  # looking changes nothing
    lab.run("kernel_switch", "unload").ok()  # as a reboot does
    result = host("--smart-update").ok()
    assert "Patch level 1 applied" in result.out and "a newer level is left out" in result.err
    assert "went down after patch level 2" in host("--status").out
    # an administrator may try again; when it has proved itself, nothing is left of the story
    result = host("--update").ok()
    assert "Patch level 2 applied" in result.out and "trying it again" in result.err
    assert [crash["level"] for crash in host.info()["crashed-levels"]] == [2]
    host("--confirm").ok()
    assert host.info()["crashed-levels"] == [] and not LOADING.exists()


def test_a_crash_with_the_only_level_keeps_it_out(host):
    host.bring(1)
    host("--update").ok()
    as_another_boot()
    host("--unload").ok()
    refused(host("--smart-update"), "refused", "refused", "--info", "--update")
    assert not lab.livepatches()
    host("--update").ok()


def start_watch():
    watch = subprocess.Popen(["kcarectl", "--confirm-later"])
    stack = pathlib.Path(f"/proc/{watch.pid}/stack")
    lab.wait_until(lambda: "sigtimedwait" in stack.read_text(), what="the watch waiting")
    return watch


def test_the_marker_goes_after_a_while(host):
    host.bring(1)
    host("--update").ok()
    marker = json.loads(LOADING.read_text())
    watch = start_watch()
    LOADING.write_text(json.dumps(marker | {"up_s": marker["up_s"] - 298}))
    assert host("--confirm-later").ok().seconds < 30  # two seconds are missing
    assert not LOADING.exists()
    assert watch.poll() is None  # it waits for five minutes
    watch.kill()
    watch.wait()


def test_a_shutdown_in_good_order_is_no_crash(host):
    host.bring(1)
    host("--update").ok()
    watch = start_watch()
    assert LOADING.exists()
    watch.terminate()
    assert watch.wait(timeout=30) == 0
    assert not LOADING.exists()


def test_a_refused_load_leaves_no_marker(host):
    host.bring(1)
    cached(1).write_bytes(host.make(1, keys=host.folder / "others").read_bytes())
    refused(host("--update"), "refused", "unknown-key")
    assert not LOADING.exists() and not lab.livepatches()
    cached(1).write_bytes(b"nonsense")
    refused(host("--update"), "input", "not-a-patch", "1.kpatch")
    host.bring(1)  # brings the right file back
    cached(1).rename(cached(1).with_name("7.kpatch"))
    refused(host("--update"), "input", "corrupt", "import")


def test_sysctls_are_set_after_each_load(host):
    before = SYSCTL.read_text()
    conf = lab.CONFIG.parent / "sysctl.conf"
    conf.write_text("# of ours\n\nkernel.printk_ratelimit_burst = 7\nkernel.no_such_thing = 1\n")
    try:
        host.bring(1, 2)
        result = host("--update").ok()
        assert SYSCTL.read_text() == "7\n"
        assert f"{conf}:4: this kernel has no sysctl kernel.no_such_thing" in result.err
        SYSCTL.write_text(before)
        host("--unload").ok()
        lab.CONFIG.write_text("LOAD_KCARE_SYSCTL=0\n")
        host("--update").ok()
        assert SYSCTL.read_text() == before
    finally:
        SYSCTL.write_text(before)


def test_the_configuration(host):
    host.bring(1)
    lab.CONFIG.write_text("# x\nAUTO_UPDATE=maybe\n")
    refused(host("--update"), "input", "bad-config", f"{lab.CONFIG}:2: AUTO_UPDATE: 'maybe' is not")
    lab.CONFIG.write_text("PATCH_METHOD=nofreeze\r\nNO_SUCH_KEY=1\r\n")
    result = host("--update").ok()
    assert f"{lab.CONFIG}:2: there is no key 'NO_SUCH_KEY'" in result.err
    assert "No PATCH_SERVER is configured" in result.out
    lab.CONFIG.write_text("nonsense\n")
    assert "bad-config" in host("--status").err
    assert ":1: expected KEY=VALUE" in host("--unload").ok().err  # taking out works all the same
    assert not lab.livepatches()


def test_a_damaged_state(host):
    host.bring(1)
    host("--update").ok()
    STATE.write_text("{")
    for option in ("--info", "--update", "--smart-update"):
        refused(host(option), "input", "corrupt", f"{STATE} is damaged", "remove it")
    assert "is damaged" in host("--unload").ok().err
    assert not lab.livepatches()
    STATE.unlink()
    host("--update").ok()


def test_one_at_a_time(host):
    host.bring(1)
    with open("/run/kcare.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(2, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        assert host("--update").ok().seconds >= 1.9


def test_imports(host):
    host.bring(1, 2)
    folder = host.folder
    (folder / "notes.txt").write_text("no patch")
    result = host("--import-patch", folder).ok()
    assert result.out.count("it was in the cache already") == 2, str(result)
    host.make(2, keys=folder / "others")
    cached(1).unlink()
    refused(host("--import-patch", folder), "refused", "unknown-key", "2.kpatch")
    assert host.info()["available-level"] == 2  # nothing of that folder came in
    refused(host("--import-patch", folder / "none"), "input", "bad-input", "none")
    refused(host("--import-key", folder / "notes.txt"), "input", "bad-key", "not a PEM file")
    refused(host("--import-key", host.keys / "author.pub"), "nothing", "nothing-to-do", "trusted already")
    result = host("--import-key", folder / "others/author.pub").ok()
    assert "fingerprint" in result.out and "rm " in result.out


@pytest.mark.parametrize("words", [[], ["x"], ["--info", "--unload"], ["--status", "--json"], ["--info", "--force"],
                                   ["--import-key"], ["--freezer", "some", "--update"], ["--no-such-option"],
                                   ["--import-patch", ""]])
def test_bad_options(kcare, words):
    refused(kcare(*words), "usage", "usage")


def test_good_options(kcare):
    assert kcare("--version").ok().out.strip()
    assert "--import-patch PATH" in kcare("--help").ok().out
    assert kcare("--info", "--status").code == 2


def test_kcare_uname_fails_as_uname_does():
    for words, error in ((["-x"], "invalid option -- 'x'"), (["x"], "extra operand 'x'"),
                         (["--kernel"], "option '--kernel' is ambiguous; possibilities: '--kernel-name' "
                                        "'--kernel-release' '--kernel-version'")):
        result = lab.run("kcare-uname", *words)
        assert (result.code, result.out) == (1, ""), str(result)
        assert result.err == f"kcare-uname: {error}\nTry 'kcare-uname --help' for more information.\n"
