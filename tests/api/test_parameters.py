# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters: each one missing, of another type, too long, out of its range, twice; and all the ways in which they come."""
import json
import re

import pytest

import cases
from asking import ENCODINGS
from conftest import CONTRACT
from values import in_query, wrong

OPERATIONS = [operation for operation in CONTRACT.operations.values() if operation.names]
AGENTS = [operation for operation in OPERATIONS if "/kcare/" in operation.path]
BY_QUERY = [operation for operation in OPERATIONS if operation not in AGENTS]
FORMS = [operation for operation in BY_QUERY if len(operation.body) > 1]
NAMES = {"from": 404, "feed": 404, "user": 404}  # what is not there, whatever its name

identity = lambda operation: operation.id  # noqa: E731


def good_values(api, operation):
    return cases.VALUES.get(operation.id, lambda api: {})(api)


def ways(operation, schema, value):
    """How a value can be sent there, and still be wrong."""
    if operation.method == "POST" and operation.id != "deployPatchset":
        yield "json"
    if operation not in AGENTS and in_query(schema, value):
        yield "query"


@pytest.mark.parametrize("operation", OPERATIONS, ids=identity)
def test_wrong_values(api, operation):
    """Each is 400, and the message names the parameter."""
    values, tried = good_values(api, operation), 0
    for name, schema in operation.names.items():
        for what, value in wrong(schema):
            for how in ways(operation, schema, value):
                body = b"no archive" if operation.id == "deployPatchset" else None
                answer = api.ask(operation.id, values | {name: value}, how=how, body=body, address=api.new_address())
                expected = {400, NAMES.get(name, 400)} if isinstance(value, (str, list)) else {400}
                assert answer.status in expected, f"{name}, {what}, by {how}: {answer}"
                # JSON with these is none, to our parser: it does not know whose they are
                is_no_json = how == "json" and what.split(" ")[0] in ("NUL", "huge")
                assert answer.status == 404 or name in answer.json["message"] or is_no_json, f"{name}, {what}, by {how}: {answer}"
                tried += 1
    assert tried


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.required], ids=identity)
def test_what_is_needed(api, operation):
    values = good_values(api, operation)
    for name in operation.required:
        for other in ({}, {name: None}, {name: ""}) if operation.method == "POST" else ({},):
            rest = {key: value for key, value in values.items() if key != name} | other
            answer = api.ask(operation.id, rest, address=api.new_address())
            assert answer.status == 400 and name in answer.json["message"], f"{rest}: {answer}"


@pytest.mark.parametrize("operation", [o for o in BY_QUERY if o.role != "local"], ids=identity)
def test_names_that_come_twice(api, operation):
    """There is no telling which one counts, so none does."""
    values = good_values(api, operation)
    for name, schema in operation.names.items():
        if schema.get("type") == "array":
            continue
        twice = {name: ["1", "1"]}
        assert api.ask(operation.id, values | twice, how="query", body=cases.BODIES[operation.id](api) if operation.id in cases.BODIES else None).status == 400, name
        for how in ("form", "multipart") if len(operation.body) > 1 else ():
            assert api.ask(operation.id, values | twice, how=how).status == 400, (name, how)


def test_names_that_come_twice_in_json(api):
    answer = api.ask("putKey", body=b'{"note": "a", "note": "b"}', headers={"Content-Type": "application/json"})
    assert answer.status == 400 and "duplicate" in answer.json["message"], answer


# ------------------------------------------------------------------------------------------------------------ how they come

def made_up(text):
    """Without what is another one each time."""
    text = re.sub(r'"(api_key|id|secret|server_id|created)":"[^"]*"', r'"\1":""', text)
    text = re.sub(r'"changed":[1-9]|[0-9]+ feeds?', "n", text)
    return re.sub(r"(KEY|feed|user|host|K202611)\d+", r"\1", text)


@pytest.mark.parametrize("operation", FORMS, ids=identity)
def test_all_the_ways_are_one(api, operation):
    """JSON, a form, the same in parts, or the query: the same is done, and the same is answered."""
    answers = {}
    is_impossible = operation.id in ("updatePatchsets", "downloadMissing")  # without an upstream
    if operation.id == "autoUpdatePatchsets":
        api.must(operation.id)
    for how in (*ENCODINGS, "query"):
        answers[how] = api.ask(operation.id, good_values(api, operation), how=how)
        assert answers[how].status == (400 if is_impossible else 200), (how, answers[how])
    assert len({made_up(answer.text) for answer in answers.values()}) == 1, answers


def test_the_body_comes_before_the_query(api):
    key = api.new_key()
    answer = api.send("POST", f"/admin/api/keys/?key={key}&note=query&server_limit=7", json.dumps({"note": "body"}), by="admin",
                      headers={"Content-Type": "application/json"})
    assert answer.json["result"]["note"] == "body" and answer.json["result"]["server_limit"] == 7


@pytest.mark.parametrize("kind, body", [
    ("application/json", b"{"), ("application/json", b"[]"), ("application/json", b"5"), ("application/json", b'{"note": "\xff"}'),
    ("application/json", b'{"note": ' + b"[" * 5000 + b"]" * 5000 + b"}"), ("application/json", b'{"a": 1} {"b": 2}'),
    ("application/x-www-form-urlencoded", b"note=%f"), ("application/x-www-form-urlencoded", b"note=%ff"),
    ("application/x-www-form-urlencoded", b"note=%00"), ("application/x-www-form-urlencoded", b"&".join(b"n%d=" % n for n in range(2000))),
    ("multipart/form-data", b"note=a"), ("multipart/form-data; boundary=", b"--\r\n"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nno end'),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="note"; filename="a"\r\n\r\na\r\n--x--'),
    ("text/plain", b"note=a"), ("application/jsonx", b"note=a"), ("", b"note=a"),
])
def test_bodies_that_are_none(api, kind, body):
    before = api.must("listKeys")
    answer = api.ask("putKey", body=body, headers={"Content-Type": kind})
    assert answer.status == 400 and answer.json["error"] == "bad-input", answer
    assert api.must("listKeys") == before


def test_curl_sends_json_as_a_form(api):
    answer = api.ask("putKey", body=b' {"note": "by curl"}', headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 200 and answer.json["result"]["note"] == "by curl"


@pytest.mark.parametrize("path", ["/admin/api/keys/%ff", "/nagios/%c2%85", "/nagios/%e2%80%ae", "/nagios/a%0d%0ab", "/%00"])
def test_paths_that_are_no_texts(api, path):
    for method in ("GET", "DELETE"):
        answer = api.send(method, path, by="admin")
        assert answer.status == 400 and answer.json["error"] == "bad-input", answer


def test_what_is_not_known_is_no_error(api):
    assert api.ask("putKey", {"colour": "red"}).status == 200
    assert api.ask("listKeys", {"colour": "red"}).status == 200
    assert api.ask("agentRegister", cases.VALUES["agentRegister"](api) | {"from_the_future": [1]}).status == 200


def test_lists_as_one_text(api):
    """`products` in a form: both ways."""
    for values in ({"products": "kernel,libs"}, {"products": ["kernel", "libs"]}):
        for how in (*ENCODINGS, "query"):
            answer = api.ask("putKey", values, how=how)
            assert answer.json["result"]["products"] == ["kernel", "libs"], (how, answer)
