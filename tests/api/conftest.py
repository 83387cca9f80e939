# SPDX-License-Identifier: GPL-2.0-or-later
"""One portal for all tests of the API; a second one that follows it starts when somebody needs an upstream."""
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))

from asking import Api, start  # noqa: E402  pylint: disable=wrong-import-position
from contract import Contract  # noqa: E402  pylint: disable=wrong-import-position
from downloads import Server, answer  # noqa: E402  pylint: disable=wrong-import-position

CONTRACT = Contract()


@pytest.fixture(scope="session")
def build_folder():
    folder = os.environ.get("KCARE_BUILD_DIR")
    if not folder:
        pytest.exit("KCARE_BUILD_DIR is not set: it names the meson build folder to test", 2)
    return pathlib.Path(folder).resolve()


@pytest.fixture(scope="session")
def portal_api(build_folder, tmp_path_factory):
    portal = start(build_folder, tmp_path_factory.mktemp("api"))
    try:
        yield Api(portal, CONTRACT)
    finally:
        code = portal.stop()
    assert code == 0, portal.said()


@pytest.fixture
def api(portal_api):
    """Each test is another client."""
    portal_api.address = portal_api.new_address()
    return portal_api


class Upstream:
    """Another portal's files, as the test wants them: `broken` is an answer instead, `folder` what is shown."""

    def __init__(self, portal):
        self.folder, self.broken = portal.public, None
        self.server = Server(self.handle)

    def handle(self, request):
        path = self.folder / request.path.lstrip("/")
        if self.broken:
            return self.broken
        return answer(path.read_bytes()) if path.is_file() else answer(status="404 Not Found")


@pytest.fixture(scope="session")
def following(portal_api, build_folder, tmp_path_factory):
    """The API of a portal that follows the first one; its `upstream` is what stands between them."""
    portal_api.deployed(1)
    upstream = Upstream(portal_api.portal)
    portal = start(build_folder, tmp_path_factory.mktemp("following"), author=portal_api.portal.author,
                   UPSTREAM=upstream.server.url, UPSTREAM_ROOT=portal_api.portal.root_json, CONNECTIONS=10)
    made = Api(portal, CONTRACT)
    made.upstream, made.old = upstream, portal.folder / "old"
    try:
        yield made
    finally:
        code = portal.stop()
        upstream.server.close()
    assert code == 0, portal.said()


@pytest.fixture(scope="session")
def old_upstream(portal_api, following):
    """What the upstream showed before its last change: to show it again is a rollback."""
    shutil.copytree(portal_api.portal.public, following.old, symlinks=True)
    for action in ("disable", "enable"):
        portal_api.must("managePatchset", {"patchset": portal_api.deployed(1), "feed": "main", "action": action})
    following.must("updatePatchsets")
    return following.old
