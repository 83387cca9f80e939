# SPDX-License-Identifier: GPL-2.0-or-later
"""Real fixes over many subsystems and special sections: each is loaded, is in force, and is unloaded."""
import os
import pathlib
import tomllib

import pytest

import lab

with open(pathlib.Path(__file__).parent / "fixes.toml", "rb") as file:
    FIXES = tomllib.load(file)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.guests(*what.get("guests", ["6.1"])))
                                  for name, what in FIXES.items()])
def test_a_real_fix_is_loaded_is_in_force_and_is_unloaded(kcare, patch, name):
    module = FIXES[name].get("module")
    if module:
        lab.run("modprobe", module).ok()
    kcare.load(patch(name))
    livepatch, = lab.LIVEPATCH.iterdir()
    patched = livepatch / (module.replace("-", "_") if module else "vmlinux")
    assert (patched / "patched").read_text() == "1\n", f"{patched.name} is not patched"
    functions = [path.name.split(",")[0] for path in patched.iterdir() if path.is_dir()]
    assert functions, "no function is replaced"
    exercise()
    kcare.unload()
    assert lab.livepatches() == []
    exercise()


def exercise():
    """Processes, pipes, files, a pseudo terminal, sockets, timers: what most of the patched code serves."""
    lab.run("sh", "-c", "for i in 1 2 3; do ls -l /usr/lib | wc -l; cat /proc/self/stat; done; ping -c 1 127.0.0.1").ok()
    master, slave = os.openpty()
    os.write(master, b"line\n")
    assert os.read(slave, 100) == b"line\n"
    os.close(master)
    os.close(slave)
