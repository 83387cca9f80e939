# SPDX-License-Identifier: GPL-2.0-or-later
"""What packaging/ installs, as systemd and logrotate read it: units, users, folders, log rotation."""

import os
import re
import shutil
import subprocess

import pytest

import lab
from conftest import need_root

PACKAGING = lab.TARGETS.parents[1] / "packaging"
UNITS = sorted(path for path in PACKAGING.iterdir() if path.suffix in (".service", ".timer", ".path"))
# The worst that `systemd-analyze security` may say, times ten. It loads modules, or writes other processes: that has a price.
EXPOSURE = {"kcare.service": 60, "kcare-update.service": 50, "libcare-update.service": 40, "libcare-server.service": 30,
            "kcare-confirm.service": 20, "eportald.service": 20}


def tool(*command, **options):
    assert shutil.which(command[0]), f"{command[0]} is not installed; `make deps` installs what is needed"
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def installed(tmp_path):
    """A root folder with our units and something in the place of our programs."""
    root = tmp_path / "root"
    units = root / "lib/systemd/system"
    (root / "usr/bin").mkdir(parents=True)
    units.mkdir(parents=True)
    (root / "etc/sysconfig/kcare").mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(unit, units)
    for program in ("bin/kcarectl", "bin/libcare-ctl", "bin/eportald"):
        shutil.copy("/bin/true", root / "usr" / program)
    (root / "bin").symlink_to("usr/bin")
    shutil.copy("/bin/true", root / "usr/bin/kill")
    for target in ("sysinit", "shutdown", "local-fs", "network-pre", "network-online", "multi-user", "timers", "paths",
                   "basic", "time-sync", "time-set"):
        (units / f"{target}.target").write_text("[Unit]\nDescription=x\nDefaultDependencies=no\n")
    for slice_ in ("system", "-"):
        (units / f"{slice_}.slice").write_text("[Unit]\nDescription=x\nDefaultDependencies=no\n")
    return root


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_unit(installed, unit):
    said = tool("systemd-analyze", "verify", "--man=no", f"--root={installed}", unit.name)
    assert said.returncode == 0 and unit.name not in said.stderr, said.stderr


def test_verify_would_tell(installed):
    broken = installed / "lib/systemd/system/kcare-update.service"
    broken.write_text(broken.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    said = tool("systemd-analyze", "verify", "--man=no", f"--root={installed}", "kcare-update.service")
    assert "NoNewPrivilege" in said.stderr


@pytest.mark.parametrize("unit", sorted(EXPOSURE))
def test_the_service_may_do_little(unit):
    said = tool("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[unit]}", PACKAGING / unit)
    assert said.returncode == 0, said.stdout.splitlines()[-1]


def test_every_service_has_its_limit():
    assert {path.name for path in UNITS if path.suffix == ".service"} == set(EXPOSURE)


@pytest.mark.parametrize("timer", ["kcare-update.timer", "libcare-update.timer"])
def test_timers_are_every_four_hours(timer):
    text = (PACKAGING / timer).read_text()
    calendar = re.search(r"^OnCalendar=(.*)$", text, re.M)[1]
    said = tool("systemd-analyze", "calendar", "--iterations=7", "--base-time=2026-11-24 00:00:01", calendar,
                env=dict(os.environ, TZ="UTC"))
    hours = [int(hour) for hour in re.findall(r"(?:elapse|Iter. #\d+|Iteration #\d+): \w+ [\d-]+ (\d\d):00:00", said.stdout)]
    assert hours == [4, 8, 12, 16, 20, 0, 4], said.stdout
    assert "RandomizedDelaySec=4h\nFixedRandomDelay=yes" in text


def test_user_and_folders(tmp_path):
    need_root("what belongs to other users")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/group").write_text("root:x:0:\nadm:x:4:\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    said = tool("systemd-sysusers", f"--root={root}", PACKAGING / "kcare.sysusers")
    assert said.returncode == 0, said.stderr
    user = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("_kcare:"))
    assert user.endswith(":/usr/sbin/nologin") or user.endswith(":/sbin/nologin"), user
    said = tool("systemd-sysusers", f"--root={root}", PACKAGING / "eportal.sysusers")
    assert said.returncode == 0, said.stderr
    user = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("eportal:"))
    assert ":/var/lib/eportal:" in user and user.endswith("nologin"), user
    said = tool("systemd-tmpfiles", f"--root={root}", "--create", PACKAGING / "kcare.tmpfiles")
    assert said.returncode == 0, said.stderr
    log = (root / "var/log/kcare").stat()
    assert (log.st_mode & 0o777, log.st_uid, log.st_gid) == (0o750, 0, 4)
    for folder in ("var/cache/kcare", "var/cache/kcare/userspace/current"):
        assert (root / folder).stat().st_mode & 0o777 == 0o755


def test_logs_are_rotated(tmp_path):
    """logrotate itself, with our file, on a folder of logs; twelve old ones are kept."""
    need_root("what belongs to root:adm")
    logs, state, configuration = tmp_path / "log", tmp_path / "state", tmp_path / "kcare"
    logs.mkdir(mode=0o750)
    text = (PACKAGING / "kcare.logrotate").read_text()
    assert "/var/log/kcare/*.log {" in text
    configuration.write_text(text.replace("/var/log/kcare", str(logs)))
    configuration.chmod(0o644)
    for number in range(15):
        (logs / "integrity.log").write_text(f"line {number}\n")
        said = tool("logrotate", "-f", "-s", state, configuration)
        assert said.returncode == 0 and not said.stderr, said.stderr
        new = (logs / "integrity.log").stat()
        assert new.st_size == 0 and new.st_mode & 0o777 == 0o640
    names = {path.name for path in logs.iterdir()}
    assert names == {"integrity.log", "integrity.log.1"} | {f"integrity.log.{n}.gz" for n in range(2, 13)}
    assert (logs / "integrity.log.1").read_text() == "line 14\n"
    said = tool("logrotate", "-f", "-s", state, configuration)
    assert said.returncode == 0 and (logs / "integrity.log.1").read_text() == "line 14\n", "an empty log is not rotated"
