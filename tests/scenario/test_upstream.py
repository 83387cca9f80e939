# SPDX-License-Identifier: GPL-2.0-or-later
"""A portal that follows another one over HTTP, and a host that follows it. What is taken when is in tests/unit/test_upstream.c."""
import shutil
import time

import pytest

import lab
from downloads import answer, serve  # pylint: disable=unused-import
from lab import DONE, NETWORK, NOTHING, REFUSED
from portal import Portal
from publishing import Host, kernel_patch
from test_fetch_network import proxy  # pylint: disable=unused-import
from web import Web

K1, K2 = "K20261101_01", "K20261102_01"


@pytest.fixture
def up(build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "up") as made:
        made.must("kcare", "deploy", made.archive(K1, [kernel_patch(1)], size=200_000))
        yield made


def follow(up, tmp_path, url=None, **configuration):
    return Portal(up.build, tmp_path / "down", author=up.author, UPSTREAM=url or up.url, UPSTREAM_ROOT=up.root_json,
                  **configuration)


@pytest.fixture
def down(up, tmp_path):
    with follow(up, tmp_path, AUTO_UPDATE_PERIOD=10) as made:
        yield made


def states(portal, feed="main"):
    listed = portal.call("GET", f"/admin/api/patchsets/?feed={feed}&product=kernel").json["result"]
    return {row["patchset"]: (row["status"], row["channel"], row["source"]) for row in listed}


def test_a_portal_follows_a_portal(up, down, tmp_path):
    done = down.must("kcare", "update")
    assert "1 patchset came from the upstream" in done.out, done
    assert down.kc("kcare", "update").code == NOTHING
    assert states(down) == {K1: ("enabled", "default", up.url)}
    # a host that trusts the author and this portal, and has never heard of the other one
    host = Host(down.build, tmp_path / "host", url=down.url)
    (host.etc / "keys").mkdir()
    shutil.copy(down.author / "author.pub", host.etc / "keys")
    shutil.copy(down.root_json, host.etc / "root.json")
    assert K1 in host.kcarectl("--check").out
    assert (up.public / f"patchsets/{K1}.json").read_bytes() == (down.public / f"patchsets/{K1}.json").read_bytes()
    # what is deployed and then blocked there is so here, without anybody doing anything
    down.must("feed", "-c", "--auto", "main")
    up.must("kcare", "deploy", up.archive(K2, [kernel_patch(2)]))
    lab.wait_until(lambda: states(down).get(K2, ("",))[0] == "enabled", 40, "K2 is taken")
    assert K2 in host.kcarectl("--check").out
    up.must("kcare", "block", K2)
    lab.wait_until(lambda: states(down)[K2][0] == "blocked", 40, "K2 is blocked")
    assert K1 in host.kcarectl("--check").out
    assert f"{K2} was blocked in main" in down.said()


def test_copied_and_enabled_by_hand(up, down):
    down.must("download-missing")
    assert states(down) == {K1: ("undeployed", "default", up.url)}
    down.must("kcare", "enable", K1)
    assert states(down)[K1][0] == "enabled"


def test_the_upstream_is_away(up, down):
    down.must("kcare", "update")
    before = states(down)
    up.stop()
    done = down.kc("kcare", "update")
    assert done.code == NETWORK and "network: the upstream: " in done.err, done
    assert states(down) == before
    # no part of it was needed to serve what is here
    assert down.call("GET", "/feeds/main/metadata/timestamp.json", user=None).status == 200


def test_another_root_than_the_one_we_trust(up, build_folder, tmp_path):
    with Portal(build_folder, tmp_path / "other") as other:
        with Portal(build_folder, tmp_path / "down", author=up.author, UPSTREAM=up.url, UPSTREAM_ROOT=other.root_json) as down:
            done = down.kc("kcare", "update")
    assert done.code == REFUSED and "the upstream: feed main: " in done.err, done
    assert not (down.data / "upstream/public/patchsets").exists()


def test_a_static_site_through_a_proxy(up, tmp_path, proxy):  # pylint: disable=redefined-outer-name
    url, log = proxy
    with Web(up.public, tmp_path / "web") as web, follow(up, tmp_path, url=web.url, PROXY=url) as down:
        down.must("kcare", "update")
        assert states(down)[K1][0] == "enabled"
    asked = [line for line in log() if "GET " + web.url in line]
    assert any("/blobs/" in line for line in asked) and any(f"/patchsets/{K1}.json" in line for line in asked)


def test_it_ends_although_a_download_stands_still(up, tmp_path, serve):  # pylint: disable=redefined-outer-name
    """Patch files that trickle in, byte by byte: for hours, if anybody waited."""
    waiting = []

    def trickle(request):
        path = up.public / request.path.lstrip("/")
        if not path.is_file():
            return answer(status="404 Not Found")
        if "/blobs/" not in request.path:
            return answer(path.read_bytes())
        waiting.append(request)
        request.connection.sendall(answer(length=path.stat().st_size))
        for byte in path.read_bytes():
            request.connection.sendall(bytes([byte]))
            time.sleep(0.2)
        return None

    slow = serve(trickle)
    down = follow(up, tmp_path, url=slow.url, AUTO_UPDATE_PERIOD=10)
    with down:
        down.must("feed", "-c", "--auto", "main")
        lab.wait_until(lambda: waiting, 40, "the patch file is asked for")
        # meanwhile it does what it is told
        down.must("kcare", "deploy", up.archive(K2, [kernel_patch(2)]))
        begin = time.monotonic()
        assert down.stop() == 0
        assert time.monotonic() - begin < 10
    assert states(down.start())[K2][0] == "enabled"
    assert down.stop() == 0
    # the next copy goes on where that one ended
    (part,) = (down.data / "upstream/private/download").iterdir()
    assert 0 < part.stat().st_size < 200_000


def test_no_upstream(up):
    done = up.kc("kcare", "update")
    assert "bad-config: there is no upstream: UPSTREAM and UPSTREAM_ROOT" in done.err and done.code != DONE, done
