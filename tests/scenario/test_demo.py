# SPDX-License-Identifier: GPL-2.0-or-later
"""What `make demo` rests on; the story itself is for people to look at."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from conftest import need_root

SECONDS = 100_000 + os.getpid()  # of a sleep that nobody else has
DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo"
sys.path.append(str(DEMO))

import console  # noqa: E402 (the path comes first)
import stage  # noqa: E402

STORY = """import subprocess, sys, time
sys.path.insert(0, {demo!r})
import world
def story(folder):
    (folder / "file").write_text("")
    with open("/dev/shm/kcare-demo-{seconds}", "w"):
        pass
    subprocess.Popen(["sleep", "{seconds}"])
    print(folder, flush=True)
    time.sleep(1000)
sys.exit(world.run(story))
"""


def test_its_parts_fit_together():
    done = subprocess.run([DEMO / "run", "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "--keep" in done.stdout, done
    done = subprocess.run([DEMO / "run", "--build", "/nowhere"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stderr == "demo: there is nothing in /nowhere: 'make' builds it\n", done


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_world_ends_with_all_that_is_in_it(how, tmp_path):
    need_root("namespaces")
    (tmp_path / "story").write_text(STORY.format(demo=str(DEMO), seconds=SECONDS))
    with subprocess.Popen([sys.executable, tmp_path / "story"], stdout=subprocess.PIPE, text=True) as world:
        try:
            folder = pathlib.Path(world.stdout.readline().strip())
            assert (folder / "file").exists()
            sleeper, = sleepers()
            assert os.readlink(f"/proc/{sleeper}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
            world.send_signal(how)
            assert world.wait(60) == 128 + signal.SIGINT
        finally:  # nobody waits for a world that goes on
            for pid in (world.pid, *sleepers()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    assert not sleepers() and not folder.exists() and not os.path.exists(f"/dev/shm/kcare-demo-{SECONDS}")


def sleepers():
    return subprocess.run(["pgrep", "-f", f"^sleep {SECONDS}$"], capture_output=True, text=True, check=False).stdout.split()


def test_the_console(tmp_path):
    """As demo/guest has it, without a serial port between."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "serial"))
    listener.listen()
    typed = console.Console(tmp_path / "serial")
    line, _ = listener.accept()
    script = re.sub(r"^stty.*\n", "", (DEMO / "guest").read_text(), flags=re.M).replace(" </dev/ttyS1", "")
    with subprocess.Popen(["bash", "-c", script], stdin=line, stdout=line, stderr=line) as shell:
        line.close()
        assert typed.read_until(console.READY) == ""
        assert typed.run("echo one; cd /; false") == (1, "one\n")
        assert typed.run("pwd; cat") == (0, "/\n")
        shell.kill()
        with pytest.raises((EOFError, ConnectionError)):
            typed.run("pwd")
    typed.close()
    listener.close()


def test_outputs_are_trimmed_and_failures_are_not(capsys, tmp_path):
    shell = stage.Shell("host#", tmp_path)
    assert shell.show("seq 100", lines=2) == "".join(f"{i}\n" for i in range(1, 101))
    assert capsys.readouterr().out == "host# seq 100\n1\n2\n… 98 more lines\n"
    with pytest.raises(stage.Failure, match="'seq 100; exit 7' ended with code 7"):
        shell.show("seq 100; exit 7", lines=2)
    assert capsys.readouterr().out.endswith("\n100\n")
