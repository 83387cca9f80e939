#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""From mapping a library to being patched by libcare-server: a new process each time.

The clock starts just before dlopen() and stops when a call of the function gives the new answer; the floor is dlopen()
alone, with the server running. Goal: under 10 ms, median and 99th percentile.
"""
import subprocess
import sys

from measure import lab, laboratory, median, percentile

ROUNDS = 300


def run_loop(program, library, rounds):
    """(microseconds of dlopen, microseconds until patched), for each process."""
    out = lab.call([str(program), str(library), "one_value", "1000", str(rounds)], program.parent)
    return [tuple(map(float, line.split())) for line in out.splitlines()]


def compile_loop(folder):
    program = folder / "map_loop"
    source = lab.pathlib.Path(__file__).resolve().parent / "map_loop.c"
    lab.call(["gcc", "-O2", "-Wall", "-D_GNU_SOURCE", "-rdynamic", str(source), "-o", str(program), "-ldl"], folder)
    return program


def is_ready(log):
    return "ready" in log.read_text(encoding="utf-8")


def main():
    with laboratory() as (kcare, _, _, folder):
        build = lab.Build("worker", "pie", folder / "worker")
        make_patch = lab.PatchMaker(kcare, folder / "patches")
        patch = make_patch(build, lab.edit("one.c", "return x + one_base;", "return x + one_base + 1;"), "libone.so.1")
        library, program, log = build.run / "libone.so.1", compile_loop(folder), folder / "log"
        with open(log, "w", encoding="utf-8") as out:
            server = kcare.start_server(lab.folder_of([patch], kcare.root), out)
            try:
                lab.wait_until(lambda: is_ready(log), 30, "the server is ready")
                floor = [opened for opened, _ in run_loop(program, library, -ROUNDS)]
                rows = run_loop(program, library, ROUNDS)
            finally:
                server.terminate()
                try:
                    code = server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()
                    raise
        if code != 0:
            print(log.read_text(encoding="utf-8"), file=sys.stderr)
            return 1
    print(f"{ROUNDS} processes, milliseconds      median     p99     max")
    for name, values in (("dlopen() alone (floor)", floor), ("dlopen() to patched", [done for _, done in rows])):
        print(f"{name:32} {median(values) / 1000:7.2f} {percentile(values, 99) / 1000:7.2f} {max(values) / 1000:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
