# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives of patchsets made by hand, good ones and such as an enemy would make.

Nothing of kcare's own code packs here: tarfile and bz2 write the bytes, the openssl program signs. A member is a
tarfile.TarInfo and its content; archive() puts members together as they are.
"""

import base64
import bz2
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass

from lab import DONE
from publishing import run

LIST = "PATCHSET.json"


def member(name, content=b"", kind=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tar(members, form=tarfile.USTAR_FORMAT):
    """A tar with its end mark. Sizes in headers are those of the TarInfo, also when they lie."""
    out = io.BytesIO()
    for info, content in members:
        out.write(info.tobuf(form, "utf-8", "surrogateescape"))
        out.write(content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024)


def archive(members, form=tarfile.USTAR_FORMAT):
    return bz2.compress(tar(members, form))


def members_of(path):
    with tarfile.open(path) as opened:
        return [(info, opened.extractfile(info).read()) for info in opened]


def zeros(size):
    """So many MiB of zeros, as bzip2 streams in a row: a few bytes for each MiB."""
    step = 64
    return bz2.compress(bytes(step << 20)) * (size // step)


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_id(public):
    der = base64.b64decode("".join(public.read_text().splitlines()[1:-1]))
    return hashlib.sha256(der).hexdigest()


def sign(private, data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", file.name],
                              check=True, capture_output=True).stdout


def envelope(signed, *privates):
    """The list as its author would sign it; DIR/NAME.pub is beside DIR/NAME.key."""
    text = canonical(signed)
    signatures = [{"keyid": key_id(key.with_suffix(".pub")), "sig": sign(key, text).hex()} for key in privates]
    return canonical({"signatures": signatures, "signed": signed})


def change_signed(list_bytes, change, *privates):
    signed = json.loads(list_bytes)["signed"]
    change(signed)
    return envelope(signed, *privates)


@dataclass
class Author:
    """A key pair, and the programs that use it."""

    build: object
    folder: object
    name: str

    def __post_init__(self):
        self.key, self.public = self.folder / f"{self.name}.key", self.folder / f"{self.name}.pub"
        made = run(self.build, "kcare-build", "keygen", self.folder, "--name", self.name)
        assert made.code == DONE, made

    def patch_files(self, folder, samples, patchset):
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{i}-{s.type}-{s.level}.kpatch" for i, s in enumerate(samples)]
        lines = "".join(s.line(path, patchset) + "\n" for s, path in zip(samples, paths))
        made = run(self.build, "sample_patches", self.key, input=lines)
        assert made.code == DONE, made
        return paths

    def pack(self, *args, **options):
        return run(self.build, "kcare-build", "patchset", "--key", self.key, *args, **options)
