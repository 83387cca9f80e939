#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The portal's files beside nginx's: metadata and blobs, over connections that stay and with one for each request, with TLS
and without. Goal: 0.7 times nginx. One thread each, the same files, the same client (wrk), by turns.

Requests per second suffer from whatever else the machine does, and from wrk, which needs as much as they do; requests per
second of the server's own CPU are the better ratio.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from measure import median
from portal_lab import Site, cpu_s
from publishing import kernel_patch

ROUNDS, SECONDS, CONNECTIONS = 3, 2, 16
GOAL = 0.7
SIZES = [10_000, 300_000, 2_500_000]  # bytes of code in patch files; they are twice as large


def publish(portal):
    """The paths of what is measured."""
    for number, size in enumerate(SIZES, 1):
        portal.must("kcare", "deploy", portal.archive(f"K2026110{number}_01", [kernel_patch(number, target=f"{number}" * 40)],
                                                      size=size))
    blobs = sorted((path for path in (portal.public / "blobs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    return [portal.public / "feeds/main/metadata/timestamp.json", *blobs]


def load(server, has_tls, path, closes):
    """Bytes of content per second, of a second that passed and of one that the server computed."""
    port, pid = server
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "60s", *(["-H", "Connection: close"] if closes else []),
            f"{'https' if has_tls else 'http'}://127.0.0.1:{port}{path}"]
    before = cpu_s(pid)
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    cpu = cpu_s(pid) - before
    # a large file may not be through by the end: bytes, not requests
    found = re.search(r"requests in ([\d.]+)s, ([\d.]+)([KMG])B read", said)
    if "Non-2xx" in said or "Socket errors" in said or not found:
        sys.exit(f"bench: {said}")
    n_bytes = float(found[2]) * 1024 ** (" KMG".index(found[3]))
    return n_bytes / float(found[1]), n_bytes / cpu


def measure(portal, nginx, has_tls, path, public, closes):
    ports = (portal.port, portal.process.pid), (nginx.port, nginx.process.pid)
    rounds = [[load(port, has_tls, f"/{path.relative_to(public)}", closes) for port in ports] for _ in range(ROUNDS)]
    passed = [median([one[server][0] for one in rounds]) / path.stat().st_size for server in (0, 1)]
    ratios = [median([one[0][kind] / one[1][kind] for one in rounds]) for kind in (0, 1)]
    print(f"  {path.stat().st_size:9,} bytes{', new connections' if closes else '':17} {passed[0]:9.1f} a second, nginx {passed[1]:9.1f}: "
          f"{ratios[0]:.2f} x; for each second of CPU {ratios[1]:.2f} x (goal {GOAL})")


def main():
    for has_tls in (False, True):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
            folder = pathlib.Path(name)
            folder.chmod(0o755)
            site = Site(folder, has_tls)
            with site.portal(THREADS=1) as portal, site.nginx(portal.public) as nginx:
                print("with TLS" if has_tls else "without TLS")
                files = publish(portal)
                for path in files:
                    measure(portal, nginx, has_tls, path, portal.public, False)
                for path in files[:2]:
                    measure(portal, nginx, has_tls, path, portal.public, True)


if __name__ == "__main__":
    main()
