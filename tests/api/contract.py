# SPDX-License-Identifier: GPL-2.0-or-later
"""api/openapi.yaml, read: its operations, and whether an answer is what it promises.

    contract = Contract()
    contract.check(contract.operations["health"], answer)
"""
import json
import pathlib
import re
from dataclasses import dataclass

import jsonschema
import yaml

PATH = pathlib.Path(__file__).resolve().parents[2] / "api/openapi.yaml"


class Loader(yaml.SafeLoader):  # pylint: disable=too-many-ancestors
    """PyYAML takes the last one of two equal keys, without a word."""


def construct_mapping(loader, node):
    keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"{node.start_mark}: twice: {twice}"
    loader.flatten_mapping(node)
    return {loader.construct_object(key, True): loader.construct_object(value, True) for key, value in node.value}


Loader.add_constructor("tag:yaml.org,2002:map", construct_mapping)


@dataclass
class Operation:
    id: str
    method: str
    path: str  # "/admin/api/keys/{key}"
    role: str
    parameters: list  # with their schemas; of "path" and of "query"
    body: dict  # media type -> schema; empty: none
    body_is_required: bool
    responses: dict  # 200 -> {media type: schema}

    @property
    def changes(self):
        return self.method != "GET"

    @property
    def names(self):
        """Its parameters wherever they may be, but for those of the path: name -> schema."""
        named = {p["name"]: p["schema"] for p in self.parameters if p["in"] == "query"}
        return named | self.body.get("application/json", {}).get("properties", {})

    @property
    def required(self):
        named = {p["name"] for p in self.parameters if p["in"] == "query" and p.get("required")}
        return named | set(self.body.get("application/json", {}).get("required", []))


class Contract:
    def __init__(self, path=PATH):
        self.document = yaml.load(path.read_text(), Loader)  # a SafeLoader
        self.resolver = jsonschema.RefResolver.from_schema(self.document)
        self.operations = {}
        for path_, methods in self.document["paths"].items():
            for method, described in methods.items():
                operation = self.read(path_, method.upper(), described)
                assert operation.id not in self.operations, f"two operations are {operation.id}"
                self.operations[operation.id] = operation
        self.everywhere = {int(code): self.media(response) for code, response in self.document["x-kcare-everywhere"].items()}

    def resolve(self, node):
        """What a $ref leads to, with what is said beside it."""
        while isinstance(node, dict) and "$ref" in node:
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = self.resolver.resolve(node["$ref"])[1] | beside
        return node

    def whole(self, node):
        """A copy without any $ref; parts of allOf become one."""
        node = self.resolve(node)
        if isinstance(node, list):
            return [self.whole(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = {key: self.whole(value) for key, value in node.items()}
        for part in node.pop("allOf", []):
            node["type"] = part["type"]
            node.setdefault("properties", {}).update(part.get("properties", {}))
            node["required"] = node.get("required", []) + part.get("required", [])
        return node

    def media(self, described):
        content = self.resolve(described).get("content", {})
        return {kind: self.whole(media["schema"]) for kind, media in content.items()}

    def read(self, path, method, described):
        body = self.resolve(described.get("requestBody", {}))
        return Operation(described["operationId"], method, path, described["x-kcare-role"],
                         [self.whole(p) for p in described.get("parameters", [])], self.media(body), body.get("required", False),
                         {int(code): self.media(response) for code, response in described["responses"].items()})

    def pairs(self):
        """Every operation with every code that is written for it."""
        return [(operation.id, code) for operation in self.operations.values() for code in operation.responses]

    def check(self, operation, answer, everywhere=False):
        """Fails unless the answer is one of the written ones. `everywhere`: those that any call may give count, too."""
        where = f"{operation.method} {operation.path}: {answer}"
        responses = (self.everywhere if everywhere else {}) | operation.responses
        assert answer.status in responses, f"undocumented status: {where}"
        kind = answer.headers["Content-Type"].split(";")[0]
        assert kind in responses[answer.status], f"undocumented type {kind}: {where}"
        body = answer.json if kind == "application/json" else answer.text
        jsonschema.Draft202012Validator(responses[answer.status][kind]).validate(body)


def python_path(operation, values):
    """The path with its parameters filled in."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], operation.path)


def json_text(text):
    """JSON in which no name comes twice."""
    def members(pairs):
        assert len({name for name, _ in pairs}) == len(pairs), f"a name comes twice: {text}"
        return dict(pairs)
    return json.loads(text, object_pairs_hook=members)
