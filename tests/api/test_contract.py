# SPDX-License-Identifier: GPL-2.0-or-later
"""api/openapi.yaml against the program: the same routes, and every documented answer of every call."""
import re

import jsonschema
import pytest

import cases
from conftest import CONTRACT
from routes import route_of, table

OPERATIONS = list(CONTRACT.operations.values())


def find_case(name, code):
    """None: nobody knows how this answer comes about."""
    if (name, code) in cases.CASES:
        return cases.CASES[name, code]
    if code == 200:
        return lambda api: cases.good(api, name)
    alike = cases.ALIKE.get(code)
    return alike and (lambda api: alike(api, CONTRACT.operations[name]))


@pytest.mark.parametrize("name, code", CONTRACT.pairs())
def test_every_documented_answer(request, api, name, code):
    case = find_case(name, code)
    assert case, "nobody knows how this answer comes about"
    if name in cases.UPSTREAM and code in (200, 409, 502):
        api = request.getfixturevalue("following")
        if code == 409:
            request.getfixturevalue("old_upstream")
    assert case(api).status == code


def test_no_case_is_for_nothing():
    assert set(cases.CASES) <= set(CONTRACT.pairs())
    assert set(cases.VALUES) | set(cases.BODIES) <= set(CONTRACT.operations)


def test_the_routes_are_those_of_the_program(build_folder):
    described = {route_of(operation): operation.role for operation in OPERATIONS}
    assert described == {route: role for route, (role, _) in table(build_folder).items()}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_other_methods(api, operation):
    """405 names those that there are; they are the described ones."""
    route = route_of(operation)[1]
    methods = {other.method for other in OPERATIONS if route_of(other)[1] == route}
    path = re.sub(r"\{\w+\}", "x", operation.path)
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - methods:
        answer = api.send(method, path)
        assert answer.status == 405 and answer.json["error"] == "method-not-allowed", answer
        assert set(answer.headers["Allow"].split(", ")) == methods | ({"HEAD"} if "GET" in methods else set())


def test_a_slash_at_the_end(api):
    """As good as none, both ways."""
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.role != "agent":
            path = operation.path.rstrip("/")
            one, other = (api.send("GET", path + end, by="admin") for end in ("", "/"))
            assert one.status == other.status == 200, (operation.id, one, other)


def test_who_may_get_may_head(api):
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.role != "agent":
            answer = api.send("HEAD", operation.path, by="admin")
            assert answer.status == 200 and not answer.body, (operation.id, answer)


# --------------------------------------------------------------------------------------------------------- the file by itself

def test_the_file_is_well_formed():
    """OpenAPI 3.1 as far as our own readers go: every schema is one, every reference leads somewhere, every word is used."""
    document, text = CONTRACT.document, str(CONTRACT.document)
    assert document["openapi"].startswith("3.1.")
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for described in methods.values():
            assert set(described["tags"]) <= tags and described["summary"]
            assert described["x-kcare-role"] in ("everybody", "agent", "readonly", "admin", "local")
            assert (described.get("security") == []) == (described["x-kcare-role"] in ("everybody", "agent")), path
            in_path = {p["name"] for p in map(CONTRACT.resolve, described.get("parameters", [])) if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            assert all(CONTRACT.resolve(response)["description"] for response in described["responses"].values())
    for operation in OPERATIONS:
        schemas = [*operation.body.values(), *(p["schema"] for p in operation.parameters)]
        for schema in [*schemas, *(media for response in operation.responses.values() for media in response.values())]:
            jsonschema.Draft202012Validator.check_schema(schema)
    for kind, things in document["components"].items():
        for name in things:
            assert kind == "securitySchemes" or f"'#/components/{kind}/{name}'" in text, f"nobody refers to {kind}/{name}"
