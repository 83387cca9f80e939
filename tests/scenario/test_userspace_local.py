# SPDX-License-Identifier: GPL-2.0-or-later
"""kcarectl's options for processes, without a patch server: what is in the folder, in processes, and whether it is allowed."""

import json
import os
import shutil

import pytest

import lab
from conftest import need_root
from lab import BUSY, DONE, NOTHING, REFUSED, USAGE
from publishing import Host, run
from test_server_host import Server, soon


class LocalHost(Host):
    """In a PID namespace of its own, with the scenario's author."""

    def __init__(self, kcare, build, root, namespace, **options):
        super().__init__(build, root, **options)
        self.prefix = namespace.prefix
        (self.etc / "keys").mkdir(exist_ok=True)
        shutil.copy(kcare.public, self.etc / "keys")
        self.current = self.cache / "userspace/current"
        self.current.mkdir(parents=True, exist_ok=True)

    def kcarectl(self, *args, **options):
        return run(self.build, "kcarectl", *args, root=self.root, prefix=self.prefix, **options)

    def must(self, *args, code=DONE, **options):
        result = self.kcarectl(*args, **options)
        assert result.code == code, result
        return result

    def put(self, *files):
        for number, file in enumerate(files):
            shutil.copy(file, self.current / f"mine-{number}.kpatch")


def values(target):
    return target.ask("value 10"), target.ask("one 10")


@pytest.fixture
def start(namespace, spawn, worker):
    return lambda: spawn(worker, wrapper=namespace.prefix)


@pytest.fixture
def host(kcare, build_folder, workshop, tmp_path_factory, namespace):
    need_root("patching all processes")
    return LocalHost(kcare, build_folder, tmp_path_factory.mktemp("host") / "root", namespace)


def test_lib_update_applies_what_the_folder_has(host, start, both):
    targets = [start(), start()]
    host.put(*both)
    done = host.must("--lib-update")
    assert done.out == (
        "No PATCH_SERVER is configured: taking patches from /var/cache/kcare/userspace/current\n"
        "The patches have been successfully applied to 2 newly discovered processes. The overall amount of applied patches "
        "is 4.\n"
        "Object `libone.so.1` is patched for 2 processes.\n"
        "Object `program` is patched for 2 processes.\n"
        "Userspace patches are applied.\n") and done.err == "", done
    assert [values(target) for target in targets] == [(32, 1011)] * 2
    again = host.must("--lib-update")
    assert "applied to 0 newly discovered processes. The overall amount of applied patches is 4." in again.out, again
    assert "CVE-2026-10001" in (host.cache / "libcare_cvelist").read_text()


def test_nothing_to_patch_with(host, start):
    start()
    nothing = host.must("--userspace-update", code=NOTHING)
    assert nothing.err == "kcarectl: nothing-to-do: there are no patches for what runs here\n", nothing
    shutil.rmtree(host.cache)
    assert host.must("--lib-update", code=NOTHING).err == nothing.err
    assert host.must("--userspace-update", "--auto").err == ""


def test_lib_info_and_lib_patch_info(host, start, both):
    target = start()
    assert host.must("--lib-info").out == "" and json.loads(host.must("--lib-patch-info").out) == {"results": []}
    host.put(*both)
    host.must("--lib-update")
    line = json.loads(host.must("--lib-info").out)
    assert line["comm"] == "program" and line["libone.so.1"]["patchlvl"] == 1
    assert line["libone.so.1"]["cve"] == ["CVE-2026-11001"] and line["program"]["cve"] == ["CVE-2026-10001"]
    results = {entry["object"]: entry for entry in json.loads(host.must("--lib-patch-info").out)["results"]}
    assert set(results) == {"program", "libone.so.1"}
    program = results["program"]
    assert program["processes"] == [{"pid": line["pid"], "comm": "program"}]
    assert (program["patchlvl"], program["type"], program["patchset"]) == (1, "default", "U20261123_01")
    assert program["buildid"] == line["program"]["buildid"]
    assert program["patches"] == [{
        "cve": "CVE-2026-10001", "name": "scenario fix", "description": "scenario fix", "cvss": "7.5",
        "cve-url": "https://security-tracker.debian.org/tracker/CVE-2026-10001", "patch-url": None}]
    assert values(target) == (32, 1011)


def test_lib_patch_info_names_a_patch_once(host, start, value_patch):
    for _ in range(3):
        start()
    host.put(value_patch())
    host.must("--lib-update")
    results = json.loads(host.must("--lib-patch-info").out)["results"]
    assert len(results) == 1 and len({process["pid"] for process in results[0]["processes"]}) == 3


def test_lib_unload(host, start, both):
    targets = [start(), start()]
    assert host.must("--lib-unload", code=NOTHING).err == "kcarectl: nothing-to-do: no process has a patch\n"
    host.put(*both)
    host.must("--lib-update")
    done = host.must("--lib-unload")
    assert done.out == "The patches have been taken out of 2 processes.\nUserspace patches are unloaded.\n", done
    assert [values(target) for target in targets] == [(31, 1010)] * 2
    assert (host.cache / "libcare_cvelist").read_text() == ""
    host.must("--lib-update")
    assert values(targets[0]) == (32, 1011)


def test_busy_processes_are_named(host, start, make_patch, worker):
    patch = make_patch(worker, lab.edit("hold.c", "{\n\tif (stay)\n\t\tblock();\n\treturn x + 1;",
                                        "{\n\tif (stay)\n\t\tblock();\n\treturn x + 2;"))
    target, free = start(), start()
    target.ask("enter plain")
    lab.wait_until(lambda: target.ask("inside") == 1, what="the thread blocks")
    host.put(patch)
    busy = host.must("--lib-update", code=BUSY)
    assert "The patches have been successfully applied to 1 newly" in busy.out, busy
    assert "Userspace patches are applied." not in busy.out, busy
    assert "kcarectl: busy: pid " in busy.err and "kcarectl: busy: patched 1 process; busy: 1" in busy.err, busy
    target.ask("leave")
    target.ask("join")
    assert "applied to 1 newly" in host.must("--lib-update").out
    assert free.ask("wrong") == 0


def test_disable_and_enable(host, start, both):
    target = start()
    host.put(*both)
    done = host.must("--disable-libcare")
    assert done.out == ("Patching of processes is disabled. Those that are patched stay so; 'kcarectl --lib-unload' takes "
                        "the patches out\n"), done
    assert "LIBCARE_DISABLED=YES" in (host.etc / "kcare.conf").read_text()
    for option in ("--lib-update", "--userspace-update"):
        refused = host.must(option, code=REFUSED)
        assert refused.err.startswith("kcarectl: refused: patching of processes is disabled on this host") and \
            "--enable-libcare" in refused.err, refused
    quiet = host.must("--userspace-update", "--auto")
    assert (quiet.out, quiet.err) == ("", "") and values(target) == (31, 1010)
    assert "LIBCARE_DISABLED is on" in host.must("--userspace-update", "--auto", "-v").err
    done = host.must("--enable-libcare")
    assert done.out == "Patching of processes is enabled; 'kcarectl --lib-update' patches them now\n", done
    host.must("--lib-update")
    assert values(target) == (32, 1011)
    host.must("--disable-libcare")
    assert values(target) == (32, 1011), "what is patched stays so"
    host.must("--lib-info")
    host.must("--lib-unload")
    assert values(target) == (31, 1010)


def test_disable_takes_the_service_out(host):
    """systemctl itself, on the units of an image."""
    units = host.root / "lib/systemd/system"
    units.mkdir(parents=True)
    (host.root / "run/systemd/system").mkdir(parents=True)
    shutil.copy(lab.TARGETS.parents[1] / "packaging/libcare-server.service", units)
    wanted = host.root / "etc/systemd/system/multi-user.target.wants/libcare-server.service"
    wanted.parent.mkdir(parents=True)
    wanted.symlink_to("/lib/systemd/system/libcare-server.service")
    done = host.must("--disable-libcare")
    assert "libcare-server is stopped; 'systemctl enable --now libcare-server' starts it again\n" in done.out, done
    assert not wanted.is_symlink()


def test_a_server_that_runs_is_named(kcare, host, start, both):
    target = start()
    host.put(*both)
    kcare_host = type("AsHost", (), {"root": host.root, "bin": kcare.bin,
                                     "environment": dict(kcare.environment, KCARE_ROOT=str(host.root))})
    server = Server(kcare_host, host.current, prefix=host.prefix)
    try:
        soon(target, "value 10", 32)
        assert "libcare-server (process " in host.must("--lib-unload").err
        assert "libcare-server (process " in host.must("--disable-libcare").err
    finally:
        server.stop()
    assert host.must("--disable-libcare").err == "", "a lock file that was left behind is nobody"


def test_auto_update_off(host, start, both):
    target = start()
    host.put(*both)
    host.configure(AUTO_UPDATE="NO")
    done = host.must("--userspace-update", "--auto", "-v")
    assert "AUTO_UPDATE is off in kcare.conf: nothing is done" in done.err and values(target) == (31, 1010)
    host.must("--userspace-update")
    assert values(target) == (32, 1011), "who asks for it gets it"


def test_patches_of_nobody_are_not_applied(host, start, both):
    target = start()
    host.put(*both)
    for key in (host.etc / "keys").iterdir():
        key.unlink()
    refused = host.must("--lib-update", code=REFUSED)
    assert "unknown-key" in refused.err and values(target) == (31, 1010), refused


@pytest.mark.parametrize("arguments,text", [
    (("--userspace-update", "kernel"), "userspace patches: 'kernel'"),
    (("--userspace-update=",), "userspace patches: "),
    (("--userspace-update", "libs", "qemu"), "'qemu' is not an option"),
    (("--lib-update", "--lib-info"), "do not go together"),
    (("--lib-update", "--update"), "do not go together"),
    (("--lib-update", "--auto"), "--auto goes with --userspace-update"),
    (("--lib-unload", "--force"), "--force goes with"),
    (("--lib-info", "--json"), "--json goes with"),
    (("--lib-info", "--test"), "--prefix and --test go with"),
])
def test_usage(host, arguments, text):
    wrong = host.must(*arguments, code=USAGE)
    assert wrong.err.startswith("kcarectl: usage: ") and text in wrong.err, wrong


@pytest.mark.parametrize("arguments", [("--userspace-update", "libs"), ("--userspace-update=qemu",),
                                       ("--userspace-update", "libs,qemu"), ("--userspace-update", "--auto"),
                                       ("-q", "--userspace-update", "libs", "--auto")])
def test_ways_to_write_it(host, start, both, arguments):
    target = start()
    host.put(*both)
    host.must(*arguments)
    assert values(target) == (32, 1011)


def test_only_root_may(host, kcare):
    environment = {name: value for name, value in os.environ.items() if name != "KCARE_ROOT"}
    done = lab.subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", host.build / "src/cmd/kcarectl", "--lib-update"], env=environment,
        capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED and "only root may do this" in done.stderr, done
