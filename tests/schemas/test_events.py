"""The schemas of events are sound, and the evolution rule catches every kind of breach."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.events import schemas, shared_definitions, version_key
from schemas.events.evolution import schema_conflicts, version_conflicts
from tests.schemas.released import read_released, release

Change = Callable[[dict[str, Any]], object]
EVENT_TYPES = ["page_view", "quiz_attempt", "submit_assignment", "video_play"]


def test_schemas__are_valid_and_named_after_their_files() -> None:
    assert list(schemas()) == EVENT_TYPES
    for event_type, versions in schemas().items():
        for version, schema in versions.items():
            Draft202012Validator.check_schema(schema)
            assert schema["$id"].endswith(f"/{event_type}/{version}.json")
            assert schema["properties"]["event_type"] == {"const": event_type}
            assert schema["title"] == f"{event_type} {version}"
    Draft202012Validator.check_schema(shared_definitions()[1])


def test_version_key__orders_by_number() -> None:
    assert sorted(["1.10", "2.0", "1.9"], key=version_key) == ["1.9", "1.10", "2.0"]


def test_version_conflicts__none_in_this_package() -> None:
    assert version_conflicts() == []


def test_schemas__accept_what_they_accepted_when_they_were_released() -> None:
    """Also where a released file, or the definitions that all share, was edited in place."""
    released = read_released()
    today = {name: dict(versions) for name, versions in schemas().items()}
    common = shared_definitions()[1]
    for event_type, versions in released.items():
        for version, (schema, common_then) in versions.items():
            new = today.get(event_type, {}).pop(version, None)
            assert new is not None, f"{event_type} {version} was released and is gone"
            found = schema_conflicts(schema, new, common_then, common)
            assert found == [], f"{event_type} {version}, which was released, refuses more"
    unreleased = [f"{name} {version}" for name in today for version in today[name]]
    assert unreleased == [], f"new: type  python -m {release.__module__}  to release them"


OLD: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"$ref": "../common.json#/$defs/id"},
        "kind": {"enum": ["a", "b"]},
        "fixed": {"const": "a"},
        "free": {"type": ["string", "null"]},
        "count": {"type": "number", "minimum": 0, "maximum": 10},
        "list": {"type": "array", "maxItems": 3, "items": {"type": "number"}},
        "inner": {"type": "object", "properties": {"x": {"type": ["number", "string"]}}},
        "code": {"type": "string", "pattern": "^a"},
    },
}
BREACHES: dict[str, Change] = {
    "newly required": lambda s: s["required"].append("kind"),
    "the property was removed": lambda s: s["properties"].pop("free"),
    "type null is no longer": lambda s: s["properties"]["free"].update(type="string"),
    "type string is no longer": lambda s: s["properties"]["inner"]["properties"]["x"].update(
        type="number"
    ),
    "type number is no longer": lambda s: s["properties"]["count"].update(type="integer"),
    "b is no longer in the enumeration": lambda s: s["properties"]["kind"].update(enum=["a", "c"]),
    "a is no longer in the enumeration": lambda s: s["properties"]["fixed"].update(const="b"),
    "an enumeration was added": lambda s: s["properties"]["code"].update(enum=["ab"]),
    "minimum was tightened": lambda s: s["properties"]["count"].update(minimum=1),
    "maximum was tightened": lambda s: s["properties"]["count"].update(maximum=9),
    "maxItems was tightened": lambda s: s["properties"]["list"].update(maxItems=2),
    "minLength was tightened": lambda s: s["properties"]["code"].update(minLength=1),
    "list[]: minimum was tightened": lambda s: s["properties"]["list"]["items"].update(minimum=0),
    "pattern was added or changed": lambda s: s["properties"]["code"].update(pattern="^b"),
    "format was added or changed": lambda s: s["properties"]["free"].update(format="ipv4"),
    "anyOf was added or changed": lambda s: s.update(anyOf=[{"required": ["kind"]}]),
    ".*: not was added or changed": lambda s: s.update(additionalProperties=False),
    "id: maxLength was tightened": lambda s: s["properties"].update(
        id={"type": "string", "minLength": 1, "maxLength": 10, "pattern": "x"}
    ),
    "inner: x is newly required": lambda s: s["properties"]["inner"].update(required=["x"]),
    "allOf was added or changed": lambda s: s["properties"]["free"].update(
        allOf=[{"maxLength": 3}]
    ),
}


@pytest.mark.parametrize(("message", "change"), BREACHES.items(), ids=list(BREACHES))
def test_schema_conflicts__catches_a_breach(message: str, change: Change) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert message in "\n".join(schema_conflicts(OLD, new, shared_definitions()[1]))


ADDITIONS: dict[str, Change] = {
    "nothing": lambda s: None,
    "a property": lambda s: s["properties"].update(more={"type": "string"}),
    "a value": lambda s: s["properties"]["kind"].update(enum=["a", "b", "c"]),
    "a type": lambda s: s["properties"]["code"].update(type=["string", "null"]),
    "wider bounds": lambda s: s["properties"]["count"].update(minimum=-1, maximum=11),
    "no bound": lambda s: s["properties"]["count"].pop("maximum"),
    "less required": lambda s: s["required"].clear(),
    "an explanation": lambda s: s.update(description="x"),
    "no pattern": lambda s: s["properties"]["code"].pop("pattern"),
    "enumeration for a constant": lambda s: s["properties"].update(fixed={"enum": ["a", "z"]}),
}


@pytest.mark.parametrize("change", ADDITIONS.values(), ids=list(ADDITIONS))
def test_schema_conflicts__allows_additions(change: Change) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert schema_conflicts(OLD, new, shared_definitions()[1]) == []


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_schema_conflicts__catches_breaches_in_the_real_schemas(event_type: str) -> None:
    real = schemas()[event_type]["1.0"]
    common = shared_definitions()[1]
    for name in real["properties"]:
        new = copy.deepcopy(real)
        del new["properties"][name]
        assert schema_conflicts(real, new, common) == [f"{name}: the property was removed"]
