# SPDX-License-Identifier: GPL-2.0-or-later
"""CMS messages that openssl makes, and what an enemy makes of them: see CVE-2026-42766 in tests/targets/hole_crypto.c."""

import subprocess


def password_messages(folder):
    """(good, bad): a message for a password recipient, and the same without its key derivation algorithm."""
    encrypt = ["openssl", "cms", "-encrypt", "-outform", "DER", "-aes-128-cbc", "-pwri_password", "secret"]
    message = subprocess.run(encrypt, input=b"attack at dawn", capture_output=True, check=True).stdout
    good, bad = folder / "good.der", folder / "bad.der"
    good.write_bytes(message)
    # ContentInfo.content.EnvelopedData.recipientInfos.pwri.keyDerivationAlgorithm
    bad.write_bytes(without(message, [0, 1, 0, 1, 0, 1]))
    return good, bad


def der(data):
    """The (tag, content) pairs of a DER string."""
    found, at = [], 0
    while at < len(data):
        size, head = data[at + 1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[at + 2:at + head], "big")
        found.append((data[at], data[at + head:at + head + size]))
        at += head + size
    return found


def without(data, path):
    """The DER string without the element that `path` (indices from the outside) leads to."""
    parts = der(data)
    if len(path) == 1:
        del parts[path[0]]
    else:
        tag, content = parts[path[0]]
        parts[path[0]] = (tag, without(content, path[1:]))
    return b"".join(bytes([tag]) + length(len(content)) + content for tag, content in parts)


def length(size):
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets
