#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet and its portal, over TLS: what registering, monitoring, the update runs of a day, and a herd cost, with 1,000 and 10,000 servers;
`bench_fleet.py 100000` for more. Goals: 100,000 servers that ask every 4 hours cost 2 % of a core; all of them within a
minute, the 99th percentile of a run under one second.

bench/fleet is the fleet: one process whose agents ask what kcarectl asks; that is compared first. Its CPU is not the
portal's, but it needs the same two cores. Beside the portal stands nginx with the same certificate, which gives the same
answers from files and from its configuration: what is left when nobody keeps anything.
"""
import argparse
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from measure import median
from portal_lab import BUILD, Site, cpu_s, lab, memory_mib
from publishing import Host, kernel_patch

PERIOD_S = 4 * 3600
GOAL_SERVERS, GOAL_SHARE, GOAL_HERD_MS = 100_000, 2, 1000
HERD_S, HERD_FROM = 60, 10_000
ROUNDS, ROUND_RUNS, ROUND_S = 5, 35, 5  # 7 runs a second: 100,000 servers
AT_ONCE = 64

TERMS = '"terms":{"feed":"main","has_kernel":true,"has_libs":true,"has_qemu":true}'
NONCE = f'"nonce":"{"0" * 32}"'
LOCATIONS = """
        location = /admin/api/kcare/register {{ default_type application/json; return 200 '{registered}'; }}
        location = /admin/api/kcare/checkin {{ default_type application/json; return 200 '{checked_in}'; }}
""".format(registered=f'{{"server_id":"A{"0" * 15}","secret":"{"0" * 64}",{NONCE},{TERMS}}}', checked_in=f"{{{NONCE},{TERMS}}}")


class Fleet:
    """bench/fleet/fleet, asked line by line."""

    def __init__(self, port, key, certificate=None):
        argv = [BUILD / "bench/fleet/fleet", f"127.0.0.1:{port}", key, *([certificate] if certificate else [])]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, job):
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        result = json.loads(line) if line else sys.exit(f"bench: the fleet ended at: {job}")
        if result["failed"] or result["late"]:
            print(f"  {job}: {result['failed']} of {result['runs']} runs failed, {result['late']} did not end: {result['why']}")
        return result

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


class Measured:
    """A job, and what it cost server and fleet."""

    def __init__(self, fleet, pid, job):
        before = cpu_s(pid), cpu_s(fleet.process.pid)
        self.result = fleet.run(job)
        self.runs = self.result["runs"]
        self.server_ms = (cpu_s(pid) - before[0]) * 1000 / self.runs
        self.fleet_ms = (cpu_s(fleet.process.pid) - before[1]) * 1000 / self.runs
        self.per_s = self.runs / self.result["seconds"]

    def times(self):
        names = [(name, self.result[name]) for name in ("run", "connect", "get", "checkin") if self.result[name]["n"]]
        return "; ".join(f"{name} {t['p50'] / 1000:.0f}/{t['p99'] / 1000:.0f}/{t['max'] / 1000:.0f}" for name, t in names)


# ------------------------------------------------------------------------------------------------- what kcarectl really asks

class Relay:
    """Passes connections on to a port, and keeps what was said on each, in both directions."""

    def __init__(self, port):
        self.to, self.said = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, server = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.to))
            asked, answered = bytearray(), bytearray()
            self.said.append((asked, answered))
            for one, other, kept in ((client, server, asked), (server, client, answered)):
                threading.Thread(target=self.pump, args=(one, other, kept), daemon=True).start()

    @staticmethod
    def pump(one, other, kept):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                kept += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def requests(self):
        """(number of the connection, what was asked) since the last call; bytes there, bytes back."""
        said, self.said = self.said, []
        lines = [(number, " ".join(line.split()[:2])) for number, (asked, _) in enumerate(said, 1)
                 for line in asked.decode().splitlines() if line.endswith("HTTP/1.1")]
        return lines, sum(len(asked) for asked, _ in said), sum(len(answered) for _, answered in said)


def compare_requests(folder):
    """One `kcarectl --auto-update` of a host that is up to date, and one run of the simulator: without TLS, to be read."""
    with Site(folder, False).portal() as portal:
        portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1, target="a" * 40)]))
        key = portal.must("key", "-a").out.strip()
        relay = Relay(portal.port)
        host = Host(BUILD, folder / "host", url=f"http://127.0.0.1:{relay.port}")
        (host.root / "etc/machine-id").write_text("0123456789abcdef" * 2 + "\n")
        host.kcarectl("--import-key", portal.root_json)
        if host.kcarectl("--register", key).code:
            sys.exit("bench: kcarectl --register does not work")
        host.kcarectl("--auto-update")
        relay.requests()
        host.kcarectl("--auto-update")
        real = relay.requests()
        fleet = Fleet(relay.port, key)
        fleet.run("register 1 at-once 1")
        relay.requests()
        fleet.run("update 1 at-once 1")
        simulated = relay.requests()
        fleet.close()
    if real[0] != simulated[0]:
        sys.exit(f"bench: kcarectl asks {real[0]}, bench/fleet {simulated[0]}")
    print("an update run of a host that is up to date, kcarectl and bench/fleet alike:")
    for number, line in real[0]:
        print(f"  connection {number}: {line}")
    print(f"  kcarectl sends {real[1]} bytes and gets {real[2]}; bench/fleet {simulated[1]} and {simulated[2]}; without TLS")


# --------------------------------------------------------------------------------------------------------------- measuring

def grow(portal, fleet, n_now, n):
    measured = Measured(fleet, portal.process.pid, f"register {n - n_now} at-once {AT_ONCE}")
    files = {name: (portal.data / name).stat().st_size / 2**20 for name in ("portal.db", "portal.db-wal")}
    print(f"{n:,} servers")
    print(f"  register and check in   {measured.per_s:6.0f} a second; {measured.server_ms:.2f} ms CPU of the portal, {measured.fleet_ms:.2f} of the fleet")
    print(f"  portal: {memory_mib(portal.process.pid):.0f} MiB; database {files['portal.db']:.1f} MiB, its log {files['portal.db-wal']:.1f}")


def steady(portal, nginx, fleet, floor, n):
    """7 runs a second, of the portal and of nginx by turns."""
    rounds = [], []
    for _ in range(ROUNDS):
        for one, pid, measured in ((fleet, portal.process.pid, rounds[0]), (floor, nginx.process.pid, rounds[1])):
            measured.append(Measured(one, pid, f"update {ROUND_RUNS} within {ROUND_S}"))
    ms, floor_ms = (median([m.server_ms for m in measured]) for measured in rounds)
    print(f"  a run, {ROUND_RUNS / ROUND_S:.0f} a second     {ms:6.2f} ms CPU of the portal ({min(m.server_ms for m in rounds[0]):.2f} to "
          f"{max(m.server_ms for m in rounds[0]):.2f}), of nginx {floor_ms:.2f}: {ms / floor_ms:.1f} x")
    for servers in sorted({n, GOAL_SERVERS}):
        print(f"  {servers:,} servers, every 4 hours: {ms * servers / PERIOD_S / 10:.2f} % of a core"
              + (f" (goal {GOAL_SHARE} %)" if servers == GOAL_SERVERS else ""))


def show_herd(measured, pid, runs, seconds):
    print(f"  {runs:,} within {seconds} s: p50/p99/max in ms: {measured.times()} (goal: run, p99 {GOAL_HERD_MS})")
    print(f"    {measured.server_ms:.2f} ms CPU of the portal, {measured.fleet_ms:.2f} of the fleet; done after {measured.result['seconds']:.0f} s; "
          f"portal at most {memory_mib(pid, 'VmHWM'):.0f} MiB")


def herd(portal, fleet, n):
    """All within a minute; if that is too much for this machine, as many as it can."""
    pid = portal.process.pid
    most = Measured(fleet, pid, f"update {min(n, 5000)} at-once {AT_ONCE}")
    print(f"  as fast as {AT_ONCE} at a time  {most.per_s:6.0f} runs a second; {most.server_ms:.2f} ms CPU of the portal, {most.fleet_ms:.2f} of the fleet; "
          f"p50/p99/max in ms: {most.times()}")
    if n < HERD_FROM:
        return
    runs = n
    if n > most.per_s * HERD_S:
        runs = int(most.per_s * 0.8) * HERD_S
        print(f"  {n:,} within {HERD_S} s are more than portal and fleet can do on this machine together")
    show_herd(Measured(fleet, pid, f"update {runs} within {HERD_S}"), pid, runs, HERD_S)


def monitoring(portal, key):
    """What is asked again and again, by programs that look at all servers."""
    for path in ("/metrics", f"/nagios/{key}"):
        costs = []
        for _ in range(ROUNDS + 1):  # the first one checks a password
            before = cpu_s(portal.process.pid)
            portal.call("GET", path)
            costs.append((cpu_s(portal.process.pid) - before) * 1000)
        print(f"  {path.replace(key, 'KEY'):22}  {median(costs[1:]):6.1f} ms CPU of the portal")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", type=int, default=[1000, 10000], help="how many, in rising order")
    parser.add_argument("--plain", action="store_true", help="without TLS, as behind a web server")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "compared").mkdir()
        compare_requests(folder / "compared")
        site = Site(folder, not args.plain)
        certificate = None if args.plain else site.tls / "cert.pem"
        with site.portal() as portal, site.nginx(portal.public, LOCATIONS) as nginx:
            portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1, target="a" * 40)]))
            key = portal.must("key", "-a").out.strip()
            fleet = Fleet(portal.port, key, certificate)
            floor = Fleet(nginx.port, "key", certificate)
            floor.run("register 100 at-once 1")
            before, begin = cpu_s(portal.process.pid), time.monotonic()
            time.sleep(3)
            idle = (cpu_s(portal.process.pid) - before) * 100 / (time.monotonic() - begin)
            print(f"a portal that nobody asks: {idle:.2f} % of a core, {memory_mib(portal.process.pid):.0f} MiB")
            n_now = 0
            for n in args.servers:
                grow(portal, fleet, n_now, n)
                n_now = n
                monitoring(portal, key)
                steady(portal, nginx, fleet, floor, n)
                herd(portal, fleet, n)
            fleet.close()
            floor.close()


if __name__ == "__main__":
    main()
