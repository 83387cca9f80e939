# SPDX-License-Identifier: GPL-2.0-or-later
"""libcare-cron and kcare-cron: automatic updates on and off, as the real cron and the real systemctl see it."""

import re
import shutil
import subprocess
import sys

import pytest

import lab
from conftest import need_root
from lab import DONE, FAILED, INPUT, USAGE
from publishing import run

MACHINE_IDS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")

# In a mount namespace: cron reads our folder, and tells its log to us. {folder}: /etc/cron.d; {program}: cron
CRON = """
import socket, subprocess, sys, time
folder, empty, program = sys.argv[1:]
run = lambda *words: subprocess.run(words, check=True)
run("mount", "-t", "tmpfs", "none", "/dev")
run("mknod", "-m", "666", "/dev/null", "c", "1", "3")
run("mount", "-t", "tmpfs", "none", "/run")
run("mount", "-t", "tmpfs", "none", "/var/spool/cron/crontabs")
run("mount", "--bind", empty, "/etc/crontab")
run("mount", "--bind", folder, "/etc/cron.d")
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
log.settimeout(20)
cron = subprocess.Popen([program, "-f"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
text = ""
while "zz-wrong) ERROR (Syntax" not in text:
    text += log.recv(4096).decode() + "\\n"
cron.kill()
cron.wait()
print(text)
"""


class Host:
    def __init__(self, build, root, machine_id=MACHINE_IDS[0]):
        self.build, self.root = build, root
        self.cron = root / "etc/cron.d"
        self.cron.mkdir(parents=True)
        if machine_id:
            (root / "etc/machine-id").write_text(machine_id + "\n")

    def run(self, name, *args, env=None):
        if name == "kcare-cron":  # as it is installed: a link
            link = self.root / "kcare-cron"
            if not link.is_symlink():
                link.symlink_to(self.build / "src/cmd/libcare-cron")
            return lab.Result([name], *self.call([link, *args], env))
        return run(self.build, name, *args, root=self.root, env=env)

    def call(self, command, env):
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin:/usr/sbin", "KCARE_ROOT": str(self.root), **(env or {})},
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout, done.stderr, 0

    def text(self, name="libcare-cron"):
        return (self.cron / name).read_text(encoding="ascii")

    def job(self, name="libcare-cron"):
        return self.text(name).splitlines()[-1]


@pytest.fixture
def host(build_folder, tmp_path):
    return Host(build_folder, tmp_path / "root")


def test_init_writes_a_file_for_cron_and_disable_removes_it(host):
    made = host.run("libcare-cron", "init")
    assert made.code == DONE, made
    minute, hour = map(int, re.match(r"(\d+) ([0-3])-23/4 \* \* \* root ", host.job()).groups())
    assert made.out == f"Updates of processes: every 4 hours from {hour:02}:{minute:02} on, by /etc/cron.d/libcare-cron\n"
    assert "kcarectl --quiet --userspace-update --auto >/dev/null" in host.job() and 0 <= minute < 60
    assert (host.cron / "libcare-cron").stat().st_mode & 0o777 == 0o644
    gone = host.run("libcare-cron", "disable")
    assert gone.code == DONE and gone.out == "No automatic updates of processes\n", gone
    assert list(host.cron.iterdir()) == []
    assert host.run("libcare-cron", "disable").code == DONE, "it was so already"


def test_kcare_cron_is_the_same_for_the_kernel(host):
    assert host.run("libcare-cron", "init").code == DONE
    made = host.run("kcare-cron", "init")
    assert made.code == DONE and made.out.startswith("Updates of the kernel: every 4 hours from "), made
    assert "kcarectl --quiet --auto-update >/dev/null" in host.job("kcare-cron")
    assert host.job("kcare-cron").split()[:2] != host.job().split()[:2], "both at the same minute"
    gone = host.run("kcare-cron", "disable")
    assert gone.code == DONE and gone.out == "No automatic updates of the kernel\n", gone
    assert [path.name for path in host.cron.iterdir()] == ["libcare-cron"]


def test_the_minute_belongs_to_the_host(build_folder, tmp_path):
    jobs = []
    for number, machine_id in enumerate([*MACHINE_IDS, *MACHINE_IDS]):
        host = Host(build_folder, tmp_path / str(number), machine_id)
        assert host.run("libcare-cron", "init").code == DONE
        jobs.append(host.job())
    assert jobs[:2] == jobs[2:] and jobs[0] != jobs[1]


def test_without_a_machine_id_any_minute_will_do(build_folder, tmp_path):
    jobs = set()
    for number, machine_id in enumerate([None, "uninitialized", "", None, None, None]):
        host = Host(build_folder, tmp_path / str(number), machine_id)
        assert host.run("libcare-cron", "init").code == DONE
        assert re.match(r"[1-5]?\d [0-3]-23/4 ", host.job()), host.job()
        jobs.add(host.job())
    assert len(jobs) > 1


def test_mailto(host):
    assert host.run("libcare-cron", "init").code == DONE and "MAILTO" not in host.text()
    assert host.run("libcare-cron", "init", env={"KCARE_MAILTO": "a.b@example.org,ops"}).code == DONE
    assert 'MAILTO="a.b@example.org,ops"\n' in host.text()
    assert host.run("libcare-cron", "init", env={"KCARE_MAILTO": ""}).code == DONE and 'MAILTO=""\n' in host.text()
    before = host.text()
    for bad in ('a"\n* * * * * root touch /x', "a b", "-odi", "x" * 300):
        refused = host.run("libcare-cron", "init", env={"KCARE_MAILTO": bad})
        assert refused.code == INPUT and "bad-input: KCARE_MAILTO" in refused.err, refused
        assert host.text() == before, "what was there stays"


def test_usage(host):
    for arguments in ((), ("start",), ("init", "now"), ("disable", "--now")):
        wrong = host.run("libcare-cron", *arguments)
        assert wrong.code == USAGE and "libcare-cron: usage: " in wrong.err, wrong
    assert "init" in host.run("libcare-cron", "--help").out


def test_neither_systemd_nor_cron(host):
    host.cron.rmdir()
    failed = host.run("libcare-cron", "init")
    assert failed.code == FAILED and "there is neither systemd nor" in failed.err and "install cron" in failed.err, failed
    assert not host.cron.exists()


def test_cron_itself_takes_both_files(host, tmp_path):
    """Debian's cron complains of a file that is wrong, and of none of ours."""
    need_root("a mount namespace")
    assert shutil.which("cron"), "cron is not installed; `make deps` installs what is needed"
    assert host.run("libcare-cron", "init", env={"KCARE_MAILTO": "ops@example.org"}).code == DONE
    assert host.run("kcare-cron", "init").code == DONE
    (host.cron / "zz-wrong").write_text("61 0-23/4 * * * root true\n")
    (host.cron / "zz-wrong").chmod(0o644)
    (tmp_path / "empty").touch()
    said = subprocess.run(["unshare", "-m", sys.executable, "-c", CRON, host.cron, tmp_path / "empty", shutil.which("cron")],
                          capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 0, said.stderr
    assert "zz-wrong" in said.stdout and "kcare-cron" not in said.stdout and "libcare-cron" not in said.stdout, said.stdout


@pytest.fixture
def systemd_host(host):
    """A root folder in which systemd runs, as far as one can see from outside."""
    units = host.root / "lib/systemd/system"
    units.mkdir(parents=True)
    (host.root / "run/systemd/system").mkdir(parents=True)
    for unit in (lab.TARGETS.parents[1] / "packaging").glob("*.[stp]*"):
        if unit.suffix in (".service", ".timer", ".path"):
            shutil.copy(unit, units)
    assert shutil.which("systemctl"), "systemctl is not installed; `make deps` installs what is needed (systemd)"
    return host


def enabled(host):
    wants = host.root / "etc/systemd/system/timers.target.wants"
    return sorted(path.name for path in wants.iterdir()) if wants.exists() else []


def test_with_systemd_the_timers_are_enabled(systemd_host):
    host = systemd_host
    made = host.run("libcare-cron", "init")
    assert made.code == DONE and made.out == "Updates of processes: every 4 hours, by libcare-update.timer\n", made
    assert enabled(host) == ["libcare-update.timer"] and list(host.cron.iterdir()) == []
    made = host.run("kcare-cron", "init")
    assert made.code == DONE and made.out == "Updates of the kernel: every 4 hours, by kcare-update.timer\n", made
    assert enabled(host) == ["kcare-update-boot.timer", "kcare-update.timer", "libcare-update.timer"]
    assert host.run("libcare-cron", "disable").code == DONE
    assert enabled(host) == ["kcare-update-boot.timer", "kcare-update.timer"]
    assert host.run("kcare-cron", "disable").code == DONE and enabled(host) == []


def test_a_host_that_gets_systemd_does_not_update_twice(systemd_host):
    host = systemd_host
    (host.cron / "libcare-cron").write_text("17 2-23/4 * * * root true\n")
    made = host.run("libcare-cron", "init")
    assert made.code == DONE and "/etc/cron.d/libcare-cron is removed" in made.out, made
    assert list(host.cron.iterdir()) == [] and enabled(host) == ["libcare-update.timer"]


def test_what_systemctl_says_is_passed_on(systemd_host):
    (systemd_host.root / "lib/systemd/system/libcare-update.timer").unlink()
    failed = systemd_host.run("libcare-cron", "init")
    assert failed.code == FAILED and "systemctl enable libcare-update.timer: " in failed.err, failed
    assert "does not exist" in failed.err and "\n" not in failed.err.strip(), failed
