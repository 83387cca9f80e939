# SPDX-License-Identifier: GPL-2.0-or-later
"""Values that a schema of api/openapi.yaml does not allow, each with a name."""

HOSTILE = {"a newline": "a\nb", "NUL": "a\0b", "C1": "a\x85b", "a turn of direction": "a\u202eb", "an escape": "\x1b[2J"}
NOT_TEXTS = {"a number": 5, "an object": {"a": 1}, "a list": [["a"]]}


def wrong_texts(schema):
    yield from ((what, value) for what, value in HOSTILE.items() if (what, schema.get("x-kcare-lines")) != ("a newline", True))
    yield from NOT_TEXTS.items()
    if not schema.get("x-kcare-lines"):
        yield "too long", "x" * (schema.get("maxLength", 255) + 1)
    if "pattern" in schema:
        yield "another form", "?/ü"


def wrong_numbers(schema):
    yield from {"no number": "five", "a fraction": 1.5, "huge": 10**30, "a flag": True, "a blank": " 5", "hexadecimal": "0x10"}.items()
    if "minimum" in schema:
        yield "too small", schema["minimum"] - 1
    if "maximum" in schema:
        yield "too large", schema["maximum"] + 1


def wrong(schema):
    """Pairs of what is wrong, and the value."""
    if "enum" in schema:
        yield from HOSTILE.items()
        yield "another word", "sometimes"
        if not {"true", True} & set(map(lambda one: one if isinstance(one, (bool, str)) else None, schema["enum"])):
            yield "a number", 5
    elif schema.get("type") == "array":
        yield from ((f"{what} in a list", [value]) for what, value in wrong(schema["items"] if "enum" in schema["items"] else
                                                                            dict(schema["items"], maxLength=255)))
    elif schema.get("type") == "integer":
        yield from wrong_numbers(schema)
    elif schema.get("type") == "boolean":
        yield from {"another word": "perhaps", "a number": 2, "a list": [True]}.items()
    else:
        yield from wrong_texts(schema)


def in_query(schema, value):
    """Whether a query can say it, where all values are texts."""
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return isinstance(value, str) or schema.get("type") == "integer"
