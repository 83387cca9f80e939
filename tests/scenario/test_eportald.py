# SPDX-License-Identifier: GPL-2.0-or-later
"""The portal's daemon as its operator and its hosts see it: start, end, files, backups, and a first host within a minute."""
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import pytest

import lab
import publishing
from lab import DONE
from portal import Portal, make_certificate
from publishing import kernel_patch

KERNEL = publishing.running_kernel_id()


@pytest.fixture
def key(portal):
    return portal.must("key", "-a").out.strip()


# ----------------------------------------------------------------------------------------------------------- start and end

def test_a_portal_from_nothing(build_folder, tmp_path):
    """What the manual says: init, start, key; then a host asks for its patches."""
    begin = time.monotonic()
    with Portal(build_folder, tmp_path / "portal") as portal:
        assert portal.call("GET", "/healthz", user=None).json == {"status": "ok"}
        portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
        host = portal.make_host(tmp_path / "host")
        assert host.kcarectl("--check").code == DONE, "there is a patch for this host"
        assert "K20261101_01" in host.kcarectl("--check").out
    assert time.monotonic() - begin < 60


def test_it_ends_well(portal):
    assert portal.stop() == 0
    assert portal.start().call("GET", "/healthz", user=None).status == 200
    assert portal.stop(signal.SIGINT) == 0


def test_killed_it_goes_on(portal, key):
    assert portal.register(key).status == 200
    portal.stop(signal.SIGKILL)
    portal.start()
    assert portal.must("server", "--count").out.strip() == "1"


def test_only_one_at_a_time(portal):
    done = publishing.run(portal.build, "eportald", "--foreground", "--data", portal.data)
    assert done.code == 7 and "locked: another eportald" in done.err, done


@pytest.mark.parametrize("arguments, code, says", [
    (["--data", "/nowhere"], 6, "kc.eportal init /nowhere"),
    (["--set", "THREADS"], 2, "KEY=VALUE"),
    (["--set", "TREADS=1"], 6, "no key TREADS"),
    (["--listen", "everywhere"], 6, "everywhere"),
    (["--colour"], 2, "--colour"),
    (["surplus"], 2, "surplus"),
])
def test_wrong_arguments(build_folder, tmp_path, arguments, code, says):
    portal = Portal(build_folder, tmp_path / "portal")
    more = [] if "--data" in arguments else ["--data", portal.data]
    done = publishing.run(build_folder, "eportald", "--foreground", *more, *arguments)
    assert done.code == code and says in done.err and len(done.err.splitlines()) <= 2, done


def test_init_wants_a_folder_of_its_own(build_folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    done = publishing.run(build_folder, "kc.eportal", "init", tmp_path / "full", "--keys", tmp_path / "keys", "--no-passphrase")
    assert done.code == 5 and "not empty" in done.err, done
    assert not (tmp_path / "keys").exists()


def test_what_is_its_own_is_shown_to_nobody(portal, key):
    portal.register(key)
    for name in ("portal.db", "socket", "lock", "reports", "upload"):
        assert (portal.data / name).stat().st_mode & 0o077 == 0, name
    for path in ("/../portal.db", "/%2e%2e/portal.db", "/..%2fportal.db", "/portal.db", "/repository/private/lock"):
        assert portal.call("GET", path, user=None).status in (400, 404), path


# -------------------------------------------------------------------------------------------------------------- who may ask

def test_who_may_ask(portal):
    assert portal.call("GET", "/metrics", user=None).status == 401
    assert portal.call("GET", "/metrics", password="wrong").status == 401
    assert portal.call("GET", "/metrics", user="nobody").status == 401
    assert "eportal_info" in portal.call("GET", "/metrics").text
    assert portal.call("POST", "/admin/api/backup", {"path": "/tmp/x"}).status == 403
    portal.must("user", "-a", "-r", "readonly", "--password-file", portal.folder / "password", "looks")
    assert portal.call("GET", "/admin/api/keys/", user="looks").status == 200
    assert portal.call("POST", "/admin/api/keys/", {}, user="looks").status == 403
    # a new password counts at once, although the old one is remembered
    (portal.folder / "other").write_text("another long password\n")
    portal.must("user", "-c", "--password-file", portal.folder / "other", "looks")
    assert portal.call("GET", "/admin/api/keys/", user="looks").status == 401


def test_guessing_is_limited(portal):
    statuses = [portal.call("GET", "/metrics", password=f"guess {n}").status for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    # the right one, too; through the socket the operator still gets in
    assert portal.call("GET", "/metrics").status == 429
    portal.must("user")


# -------------------------------------------------------------------------------------------------------- backup and restore

def state(portal):
    return (portal.must("server", "--count").out, portal.must("key").out, portal.must("kcare", "list").out.split()[:20])


def test_backup_and_restore_while_it_runs(portal, key, tmp_path):
    portal.must("kcare", "deploy", portal.archive("K20261101_01", [kernel_patch(1)]))
    first = portal.register(key, "one", "m1").json
    before = state(portal)
    portal.must("backup", tmp_path / "backup")
    assert portal.kc("backup", tmp_path / "backup").code == 5
    host = portal.make_host(tmp_path / "host")
    portal.must("kcare", "deploy", portal.archive("K20261102_01", [kernel_patch(2)]))
    portal.register(key, "two", "m2")
    assert "level 2" in host.kcarectl("--check").out
    portal.must("restore", "--full", tmp_path / "backup")
    assert state(portal) == before
    # hosts go on: what they see is newer than what they have seen
    result = host.kcarectl("--check")
    assert result.code == DONE and "level 1" in result.out, result
    # and their secrets are good, whatever their nonce was
    answer = portal.call("POST", "/admin/api/kcare/licence",
                         {"server_id": first["server_id"], "secret": first["secret"]}, user=None)
    assert answer.status == 200 and answer.json["n_servers"] == 1, answer
    assert portal.stop() == 0
    verified = publishing.run(portal.build, "kcare-repo", "verify", portal.data / "repository")
    assert verified.code == DONE, verified


def test_what_is_no_backup_changes_nothing(portal, key, tmp_path):
    portal.register(key)
    before = state(portal)
    (tmp_path / "garbage").write_bytes(b"x" * 5000)
    (tmp_path / "empty").mkdir()
    for what, path, says in [("--db", tmp_path / "garbage", "corrupt"), ("--full", tmp_path / "empty", "not-found"),
                             ("--full", tmp_path / "nothing", "not-found"), ("--data", tmp_path / "garbage", "bad-input")]:
        result = portal.kc("restore", what, path)
        assert result.code != 0 and says in result.err, result
    assert state(portal) == before


def test_backup_of_the_database(portal, key, tmp_path):
    portal.register(key, "one", "m1")
    portal.must("backup-db", tmp_path / "copy.db")
    portal.register(key, "two", "m2")
    portal.must("restore", "--db", tmp_path / "copy.db")
    assert portal.must("server", "--count").out.strip() == "1"


# ------------------------------------------------------------------------------------------------ what it does without being asked

FAST = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
enum { SPEED = 72000 }; /* twenty hours in a second */
static struct timespec start;
__attribute__((constructor)) static void begin(void) { syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &start); }
static long long gone_ns(void)
{
	struct timespec now;
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start.tv_sec) * 1000000000LL + now.tv_nsec - start.tv_nsec;
}
static struct timespec after(long long ns)
{
	ns += start.tv_nsec;
	return (struct timespec){ start.tv_sec + ns / 1000000000, ns % 1000000000 };
}
int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_MONOTONIC)
		return syscall(SYS_clock_gettime, clock, now);
	*now = after(gone_ns() * SPEED);
	return 0;
}
time_t time(time_t *t)
{
	struct timespec now;
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
	now.tv_sec += gone_ns() / 1000000000.0 * SPEED;
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
		dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
	struct timespec real = after(((until->tv_sec - start.tv_sec) * 1000000000LL + until->tv_nsec - start.tv_nsec) / SPEED);
	return wait(cond, mutex, &real);
}
"""


def timestamp(portal):
    return json.loads((portal.public / "feeds/main/metadata/timestamp.json").read_text())["signed"]


def test_days_in_which_nobody_asks(portal, tmp_path):
    """Timestamps stay good, and what hosts can no longer come to is gone a day later."""
    first, second = "K20261101_01", "K20261102_01"
    portal.must("kcare", "deploy", portal.archive(first, [kernel_patch(1)]))
    (kept,) = portal.public.glob("blobs/*/*")
    portal.must("kcare", "deploy", portal.archive(second, [kernel_patch(2)]))
    (gone,) = set(portal.public.glob("blobs/*/*")) - {kept}
    portal.must("unroll", second, "--delete")
    before = timestamp(portal)
    assert portal.stop() == 0 and gone.exists(), "a host may be at work with it"
    (tmp_path / "fast.c").write_text(FAST)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "fast.so", tmp_path / "fast.c"], check=True)
    portal.prefix = ["env", f"LD_PRELOAD={tmp_path}/fast.so", "ASAN_OPTIONS=verify_asan_link_order=0"]
    portal.start()
    lab.wait_until(lambda: not gone.exists(), 60, "the patch file of the second is removed")
    four_days = 4 * 86400
    lab.wait_until(lambda: timestamp(portal)["version"] > before["version"] + four_days, 60, "there are new timestamps")
    assert timestamp(portal)["expires"] > before["expires"] and kept.exists()
    assert portal.stop() == 0 and "could not be refreshed" not in portal.said()


# ------------------------------------------------------------------------------------------------------------------ the log

def test_the_log_cannot_be_forged(portal, key):
    portal.call("GET", "/%0aeportald:%20info:%20all%20is%20well", user=None)
    portal.register(key, "evil\\u000ahost")
    assert not any(line.startswith("eportald: info: all is well") for line in portal.said().splitlines())


def test_the_log_as_json(build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "portal", LOG_FORMAT="json") as portal:
        portal.call("GET", "/healthz", user=None)
    lines = [json.loads(line) for line in portal.said().splitlines()]
    assert any("GET /healthz 200" in line["message"] for line in lines)


# ---------------------------------------------------------------------------------------------------------------------- TLS

def subject(portal):
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{portal.port}"], input="", capture_output=True, text=True,
                           check=False, timeout=30).stdout
    return next((line for line in shown.splitlines() if line.startswith("subject=")), "")


def test_tls_and_a_new_certificate(build_folder, tmp_path):
    make_certificate(tmp_path / "tls", "first.example")
    with Portal(build_folder, tmp_path / "portal", TLS_CERTIFICATE=tmp_path / "tls/cert.pem",
                TLS_KEY=tmp_path / "tls/key.pem") as portal:
        assert "first.example" in subject(portal)
        make_certificate(tmp_path / "tls", "second.example")
        portal.process.send_signal(signal.SIGHUP)
        lab.wait_until(lambda: "second.example" in subject(portal), 10, "the new certificate is shown")
        # one that is no good leaves it as it is
        (tmp_path / "tls/cert.pem").write_text("nothing\n")
        portal.process.send_signal(signal.SIGHUP)
        lab.wait_until(lambda: "stays as it was" in portal.said(), 10, "the portal says so")
        assert "second.example" in subject(portal)


def sleeps(portal):
    """Each thread, in each of some looks."""
    for _ in range(10):
        time.sleep(0.02)
        for stat in pathlib.Path(f"/proc/{portal.process.pid}/task").glob("*/stat"):
            if stat.read_text().rpartition(") ")[2][0] != "S":
                return False
    return True


def test_a_handshake_that_stands_still_costs_nothing(build_folder, tmp_path):
    make_certificate(tmp_path / "tls", "localhost")
    with Portal(build_folder, tmp_path / "portal", TLS_CERTIFICATE=tmp_path / "tls/cert.pem",
                TLS_KEY=tmp_path / "tls/key.pem") as portal:
        client, wire = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(client, wire, server_hostname="localhost").do_handshake()
        hello = wire.read()
        with (socket.create_connection(("127.0.0.1", portal.port)) as begun,
              socket.create_connection(("127.0.0.1", portal.port)) as answered):
            begun.sendall(hello[:20])
            answered.sendall(hello)
            assert answered.recv(1), "the portal's half of it"
            lab.wait_until(lambda: sleeps(portal), 20, "nobody is busy")
