# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with Secure Boot: OVMF whose PK, KEK and db are our own, and a kernel and modules signed by the key in db.

The variables are written into OVMF's store directly, as the firmware itself would write them.
"""
import pathlib
import shutil
import struct
import tempfile
import uuid

from cache import Failure, Lock, call, digest

CODE = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd")
EMPTY_STORE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# The store (edk2: MdeModulePkg/Include/Guid/VariableFormat.h): a volume header, a store header, then the variables.
STORE_FORMAT = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
STORE_HEADER_SIZE, VOLUME_HEADER_LENGTH = 28, 48
VARIABLE = struct.Struct("<HBxIQ16sIII16s")
VARIABLE_START, VARIABLE_ADDED = 0x55aa, 0x3f
NON_VOLATILE, BOOT, RUNTIME, AUTHENTICATED = 1, 2, 4, 0x20
WRITTEN = struct.pack("<HBBBBBxIhBx", 2026, 1, 1, 0, 0, 0, 0, 0, 0)
GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SWITCH = uuid.UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
OWNER = uuid.UUID("6b636172-6500-4000-8000-000000000001")
KEYS = ["PK", "KEK", "db", "stranger"]


def make_key(folder, name):
    """NAME.key, NAME.crt, both in NAME.pem, NAME.der."""
    private, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN=kcare tests {name}",
          "-keyout", private, "-out", certificate])
    call(["openssl", "x509", "-in", certificate, "-outform", "DER", "-out", folder / f"{name}.der"])
    pem = folder / f"{name}.pem"
    pem.write_text(private.read_text() + certificate.read_text())
    pem.chmod(0o600)


def signature_list(certificate):
    data = OWNER.bytes_le + certificate
    return X509.bytes_le + struct.pack("<III", 28 + len(data), 0, len(data)) + data


def variable(name, vendor, attributes, data):
    label = name.encode("utf-16-le") + b"\0\0"
    header = VARIABLE.pack(VARIABLE_START, VARIABLE_ADDED, attributes, 0, WRITTEN if attributes & AUTHENTICATED else bytes(16),
                           0, len(label), len(data), vendor.bytes_le)
    entry = header + label + data
    return entry + b"\xff" * (-len(entry) % 4)


def store_with(empty, variables):
    """The file of OVMF's variables with these in it."""
    start = struct.unpack_from("<H", empty, VOLUME_HEADER_LENGTH)[0]
    if empty[start:start + 16] != STORE_FORMAT.bytes_le:
        raise Failure(f"{EMPTY_STORE} has no store for authenticated variables")
    data = b"".join(variables)
    begin = start + STORE_HEADER_SIZE
    if set(empty[begin:begin + len(data)]) != {0xff}:
        raise Failure(f"{EMPTY_STORE} is not empty")
    return empty[:begin] + data + empty[begin + len(data):]


class Firmware:
    def __init__(self, cache):
        for path in (CODE, EMPTY_STORE):
            if not path.exists():
                raise Failure(f"{path} is missing; `make deps` installs what is needed (ovmf)")
        self.cache, self.folder = cache, cache / "secure-boot"
        with Lock(cache / "secure-boot.lock"):
            if not self.folder.exists():
                with tempfile.TemporaryDirectory(prefix=".secure-boot-", dir=cache) as work:
                    part = pathlib.Path(work) / "part"
                    part.mkdir()
                    for name in KEYS:
                        make_key(part, name)
                    part.rename(self.folder)
        self.module_key, self.certificate = self.folder / "db.pem", self.folder / "db.der"
        self.stranger_key = self.folder / "stranger.pem"

    def variables(self):
        flags = NON_VOLATILE | BOOT | RUNTIME | AUTHENTICATED
        owners = {"PK": GLOBAL, "KEK": GLOBAL, "db": IMAGE_SECURITY}
        lists = {name: signature_list((self.folder / f"{name}.der").read_bytes()) for name in owners}
        return [variable("SecureBootEnable", SWITCH, NON_VOLATILE | BOOT, b"\1"),
                *(variable(name, vendor, flags, lists[name]) for name, vendor in owners.items())]

    def arguments(self, folder):
        """More arguments for QEMU. The guest's variables are in `folder`."""
        store = folder / "variables.fd"
        store.write_bytes(store_with(EMPTY_STORE.read_bytes(), self.variables()))
        return ["-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={CODE}",
                "-drive", f"if=pflash,unit=1,format=raw,file={store}"]

    def sign_kernel(self, image):
        """A copy of a vmlinuz that this firmware boots."""
        if not shutil.which("sbsign"):
            raise Failure("sbsign is not installed; `make deps` installs what is needed (sbsigntool)")
        signed = self.folder / f"vmlinuz-{digest(image.read_bytes())}"
        with Lock(self.cache / "secure-boot.lock"):
            if not signed.exists():
                part = signed.with_suffix(".part")
                call(["sbsign", "--key", self.folder / "db.key", "--cert", self.folder / "db.crt", "--output", part, image])
                part.rename(signed)
        return signed

    def sign_modules(self, tool, files, folder):
        """{place: path} of modules in files, as signed/NAME.ko by the key in db, and as stranger/NAME.ko by another."""
        made = {}
        for place, path in files.items():
            for kind, key in (("signed", self.module_key), ("stranger", self.stranger_key)):
                name = pathlib.Path(place).name
                out = folder / f"{kind}-{name}"
                call([tool, key, path, out])
                made[str(pathlib.Path(place).parent / kind / name)] = str(out)
        return made
