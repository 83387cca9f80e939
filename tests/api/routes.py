# SPDX-License-Identifier: GPL-2.0-or-later
"""eportald's own table of routes, as it was compiled."""
import functools
import re
import subprocess


@functools.cache
def table(build):
    """(method, path with {}) -> (role, bytes that a body may have). A '/' at the end of a path counts for nothing."""
    lines = subprocess.run([build / "tests/tools/portal_routes"], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split(" ") for line in lines]
    found = {(method, path.replace("*", "{}").rstrip("/")): (role, int(most)) for method, path, role, most in rows}
    assert len(found) == len(rows), "a route is there twice"
    return found


def route_of(operation):
    return operation.method, re.sub(r"\{\w+\}", "{}", operation.path).rstrip("/")


def body_max(build, operation):
    return table(build)[route_of(operation)][1]
