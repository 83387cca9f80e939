# SPDX-License-Identifier: GPL-2.0-or-later
"""What older tools, scanners and people fetch from a repository, through nginx."""

import html.parser
import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from publishing import Publisher, kernel_patch, user_patch
from web import Web

K1, K2 = "1111111111" * 4, "abcdef0123" * 4
B1, B2 = "ab" * 20, "cd" * 20


def get(web, path):
    """(status, text)."""
    try:
        with urllib.request.urlopen(f"{web.url}/{path}", timeout=20) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""


class Page(html.parser.HTMLParser):
    """Tags that are closed, links, and text."""

    VOID = {"meta", "br", "link", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        assert tag not in {"script", "img", "link", "iframe"}, f"<{tag}>: pages need nothing but themselves"
        self.links += [value for name, value in attributes if name in {"href", "src"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def publisher(build_folder, tmp_path):
    return Publisher(build_folder, tmp_path)


@pytest.fixture
def web(publisher, tmp_path):
    with Web(publisher.public, tmp_path / "web") as made:
        yield made


def level(publisher, number, targets=(K1,), feed="main", *args, **options):
    name = f"K202611{number:02}_01"
    patches = [kernel_patch(number, target, release="6.1.0-47-amd64", effective=f"6.1.0-{50 + number}-amd64",
                            cves=[f"CVE-2026-10{k:02}" for k in range(1, number + 1)]) for target in targets]
    publisher.deploy(publisher.patchset(name, patches, released=f"2026-11-{number:02}", **options), feed, *args)
    return name


def test_a_kernel_is_there_while_it_has_a_patch(publisher, web):
    assert get(web, f"{K1}/version")[0] == 404
    first = level(publisher, 1)
    for prefix in ("", "main/", "12h/", "24h/", "48h/"):
        assert get(web, f"{prefix}{K1}/version") == (200, "1\n"), prefix
        assert get(web, f"{prefix}{K1}/latest.v1") == (200, "1\n"), prefix
        assert get(web, f"{prefix}{K2}/version")[0] == 404, prefix
    second = level(publisher, 2, [K1, K2])
    assert get(web, f"{K1}/version") == (200, "2\n") and get(web, f"24h/{K2}/latest.v1") == (200, "2\n")
    publisher.repo("block", second, "--feed", "main")
    assert get(web, f"{K1}/version") == (200, "1\n") and get(web, f"{K1}/2/kpatch.info")[0] == 404
    assert get(web, f"{K2}/version")[0] == 404
    publisher.repo("enable", second, "--feed", "main")
    assert get(web, f"{K1}/version") == (200, "2\n") and get(web, f"{K1}/2/kpatch.info")[0] == 200
    publisher.repo("disable", second, "--feed", "main")
    assert get(web, f"{K1}/version") == (200, "1\n") and get(web, f"{K2}/version")[0] == 404
    publisher.repo("undeploy", first, "--feed", "main")
    publisher.repo("undeploy", second, "--feed", "main")
    for name in ("version", "latest.v1", "1/kpatch.info", "releases.json"):
        assert get(web, f"{K1}/{name}")[0] == 404 and get(web, f"main/{K1}/{name}")[0] == 404
    assert not (publisher.public / K1).is_symlink()


def test_feeds_have_their_own(publisher, web):
    publisher.repo("feed", "add", "test")
    level(publisher, 1)
    second = level(publisher, 2, feed="test")
    assert get(web, f"{K1}/version") == (200, "1\n") and get(web, f"test/{K1}/version") == (200, "2\n")
    assert json.loads(get(web, "feeds.json")[1]) == {"feeds": ["main", "test"]}
    publisher.repo("undeploy", second, "--feed", "test")
    publisher.repo("feed", "remove", "test")
    assert get(web, f"test/{K1}/version")[0] == 404 and not (publisher.public / "test").exists()
    assert json.loads(get(web, "feeds.json")[1]) == {"feeds": ["main"]}


def test_kpatch_info(publisher, web):
    level(publisher, 2)
    status, text = get(web, f"{K1}/2/kpatch.info")
    head, *fixes = text.split("\n\n")
    assert status == 200 and fixes
    assert re.fullmatch(r"OS: Debian\nkernel: 6.1.0-47-amd64\ntime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\nuname: 6.1.0-52-amd64", head)
    names = ["kpatch-name", "kpatch-description", "kpatch-kernel", "kpatch-cve", "kpatch-cvss", "kpatch-cve-url",
             "kpatch-patch-url"]
    for fix in fixes:
        assert [line.split(": ")[0] for line in fix.splitlines()] == names
    assert "kpatch-kernel: 6.1.0-52-amd64\nkpatch-cve: CVE-2026-1001 CVE-2026-1002\n" in fixes[0]


def test_the_default_type_comes_first(publisher, web):
    extra = publisher.patchset("K20261103_01", [kernel_patch(3, K1, type="extra", release="6.1.0-47-amd64")], type="extra")
    publisher.deploy(extra)
    assert get(web, f"{K1}/version") == (200, "3\n")
    level(publisher, 1)
    assert get(web, f"{K1}/version") == (200, "1\n")
    assert get(web, f"{K1}/3/kpatch.info")[0] == 200


def test_build_ids_of_libraries(publisher, web):
    publisher.repo("feed", "add", "test")
    patches = [user_patch(1, B1), user_patch(1, B2, package="libc6=2.36-9", soname="libc.so.6")]
    publisher.deploy(publisher.patchset("U20261101_01", patches))
    publisher.deploy(publisher.patchset("U20261102_01", [user_patch(2, B1), user_patch(2, "ef" * 20)]), "test")
    known = json.loads(get(web, "libcare-patches.json")[1])
    assert set(known) == {B1, B2} and known[B1]["level"] == 1 and known[B2]["target"] == "user/debian12/libc6"
    publisher.repo("enable", "U20261102_01", "--feed", "main")
    assert json.loads(get(web, "libcare-patches.json")[1])[B1]["level"] == 2
    publisher.repo("undeploy", "U20261101_01", "--feed", "main")
    assert set(json.loads(get(web, "libcare-patches.json")[1])) == {B1, "ef" * 20}
    publisher.repo("block", "U20261102_01", "--feed", "main")
    assert json.loads(get(web, "libcare-patches.json")[1]) == {}


def test_the_certificate_of_modules(publisher, web, tmp_path):
    assert get(web, "kernelcare_pub.der")[0] == 404
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=modules",
                    "-outform", "DER", "-out", tmp_path / "key.der"], check=True, capture_output=True)
    publisher.repo("trust", "--module-certificate", tmp_path / "key.der")
    assert get(web, "kernelcare_pub.der")[0] == 200
    assert (publisher.public / "kernelcare_pub.der").read_bytes() == (tmp_path / "key.der").read_bytes()


def test_pages_lead_from_the_top_to_each_release(publisher, web):
    level(publisher, 1, [K1, K2])
    level(publisher, 2)
    publisher.deploy(publisher.patchset("U20261101_01", [user_patch(1, B1)], distro="ubuntu24"))
    top = Page(get(web, "index.html")[1])
    assert {"index/debian12.html", "index/ubuntu24.html"} <= set(top.links)
    debian = Page(get(web, "index/debian12.html")[1])
    assert {f"kernel/{K1}.html", f"kernel/{K2}.html"} <= set(debian.links)
    assert "libssl3" in Page(get(web, "index/ubuntu24.html")[1]).text
    page = Page(get(web, f"index/kernel/{K1}.html")[1])
    text = "".join(page.text)
    assert text.index("Level 2, K20261102_01") < text.index("Level 1, K20261101_01")
    assert "Release Date: 2026-11-02 00:00:00" in text and "Effective version: 6.1.0-52-amd64" in text
    assert "CVE-2026-1001" in text and "CVSS" in text and "../debian12.html" in page.links
    for link in top.links + ["index/" + link for link in debian.links] + [f"index/kernel/{link}" for link in page.links]:
        if "//" not in link:
            assert get(web, link)[0] == 200, link
    publisher.repo("undeploy", "K20261101_01", "--feed", "main")
    assert f"kernel/{K2}.html" not in Page(get(web, "index/debian12.html")[1]).links
    assert get(web, f"index/kernel/{K2}.html")[0] == 404
    publisher.repo("undeploy", "K20261102_01", "--feed", "main")
    assert get(web, "index/debian12.html")[0] == 404


def test_what_is_lost_is_made_again(publisher, web):
    level(publisher, 1, [K1, K2])
    before = {path: path.read_bytes() for path in publisher.public.rglob("*") if path.is_file() and "feeds" not in path.parts}
    for path in before:
        if "blobs" not in path.parts and path.name != "feeds.json":
            path.unlink()
    publisher.repo("refresh", "--all")
    assert before == {path: path.read_bytes() for path in before if path.is_file()}


def test_what_stays_the_same_is_not_written_again(publisher):
    level(publisher, 1, [K1, K2])
    files = [publisher.public / f"main/{K2}/{name}" for name in ("version", "latest.v1", "1/kpatch.info", "releases.json")]
    before = [path.stat().st_mtime_ns for path in files]
    level(publisher, 2)
    publisher.repo("refresh", "--all")
    assert before == [path.stat().st_mtime_ns for path in files]


@pytest.mark.parametrize("name", ["blobs", "feeds", "index", "oval", K1, "a.json", "x.html", "y.der"])
def test_feeds_do_not_get_in_the_way(publisher, name):
    done = publisher.run("kcare-repo", "feed", publisher.repository, "add", name)
    assert done.code != 0 and not (publisher.public / "feeds" / name).exists(), done
