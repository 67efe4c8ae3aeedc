"""The evolution rule: within a major version a schema may only add.

An event that was valid under one minor version stays valid under the next. The one exception is
a key that a new version names for the first time: it gets a type there.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.events import schemas, shared_definitions, version_key

LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
NOTES = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "$comment"}
)
JSON_TYPES = frozenset({"object", "array", "string", "number", "boolean", "null"})


def version_conflicts() -> list[str]:
    """Every breach of the rule among the versions in this package; empty where all is well."""
    common = shared_definitions()[1]
    found = []
    for event_type, versions in schemas().items():
        ordered = sorted(versions, key=version_key)
        for old, new in itertools.pairwise(ordered):
            if version_key(old)[0] == version_key(new)[0]:
                conflicts = schema_conflicts(versions[old], versions[new], common)
                found += [f"{event_type} {old} → {new}: {text}" for text in conflicts]
    return found


def schema_conflicts(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    common: Mapping[str, Any],
    new_common: Mapping[str, Any] | None = None,
) -> list[str]:
    """What `new` refuses although `old` accepts it, each with its place; conservative.

    Keywords that are not understood (pattern, format, anyOf, …) count as narrowed where they
    were added or changed. `common`: the shared definitions that both refer to, or with
    `new_common` those of `old` alone.
    """
    old_node, new_node = _Node(old, common), _Node(new, new_common or common)
    return list(_conflicts(old_node, new_node, "", frozenset()))


class _Node:
    """A subschema with `$ref` and a leading `allOf` of references taken in."""

    def __init__(self, schema: Any, common: Mapping[str, Any]) -> None:
        self.common = common
        self.keywords: dict[str, Any] = {"not": {}} if schema is False else {}
        if isinstance(schema, Mapping):
            self._take(schema)

    def _take(self, schema: Mapping[str, Any]) -> None:
        referred = [schema] if "$ref" in schema else []
        others = [part for part in schema.get("allOf", ()) if set(part) != {"$ref"}]
        referred += [part for part in schema.get("allOf", ()) if set(part) == {"$ref"}]
        for part in referred:
            name = re.search(r"#/\$defs/(\w+)$", part["$ref"])
            if name is None:
                raise ValueError(f"{part['$ref']}: only references into $defs are understood")
            self._take(self.common["$defs"][name[1]])
        for key, value in schema.items():
            if key == "properties":
                self.keywords[key] = {**self.keywords.get(key, {}), **value}
            elif key == "required":
                self.keywords[key] = [*self.keywords.get(key, ()), *value]
            elif key not in NOTES and key not in ("$ref", "allOf"):
                self.keywords[key] = value
        if others:
            self.keywords["allOf"] = others

    def child(self, schema: Any) -> _Node:
        return _Node(schema, self.common)

    @property
    def types(self) -> frozenset[str]:
        declared = self.keywords.get("type", sorted(JSON_TYPES))
        named = frozenset([declared] if isinstance(declared, str) else declared)
        return named | {"integer"} if "number" in named else named


def _conflicts(old: _Node, new: _Node, where: str, above: frozenset[str]) -> Iterator[str]:
    pair = json.dumps([old.keywords, new.keywords], sort_keys=True)
    # A definition may refer to itself.
    if pair in above or (old.keywords == new.keywords and old.common == new.common):
        return
    above |= {pair}
    place = where or "the event"
    if lost := old.types - new.types:
        yield f"{place}: type {', '.join(sorted(lost))} is no longer allowed"
    yield from _vocabulary_conflicts(old, new, place)
    yield from _bound_conflicts(old, new, place)
    added = set(new.keywords.get("required", ())) - set(old.keywords.get("required", ()))
    for name in sorted(added):
        yield f"{place}: {name} is newly required"
    yield from _part_conflicts(old, new, where, above)
    understood = {"type", "enum", "const", "required", "properties", "items"}
    understood |= {"additionalProperties", *LOWER_BOUNDS, *UPPER_BOUNDS}
    for key in sorted(set(new.keywords) - understood):
        if old.keywords.get(key) != new.keywords[key]:
            yield f"{place}: {key} was added or changed"


def _vocabulary_conflicts(old: _Node, new: _Node, place: str) -> Iterator[str]:
    allowed = _vocabulary(new)
    before = _vocabulary(old)
    if allowed is None:
        return
    if before is None:
        yield f"{place}: an enumeration was added"
    elif lost := [value for value in before if value not in allowed]:
        yield f"{place}: {', '.join(map(str, lost))} is no longer in the enumeration"


def _vocabulary(node: _Node) -> list[Any] | None:
    if "const" in node.keywords:
        return [node.keywords["const"]]
    values: list[Any] | None = node.keywords.get("enum")
    return values


def _bound_conflicts(old: _Node, new: _Node, place: str) -> Iterator[str]:
    for bounds, sign in ((LOWER_BOUNDS, 1), (UPPER_BOUNDS, -1)):
        for key in bounds:
            before, now = old.keywords.get(key), new.keywords.get(key)
            if now is not None and (before is None or sign * now > sign * before):
                yield f"{place}: {key} was tightened from {before} to {now}"


def _part_conflicts(old: _Node, new: _Node, where: str, above: frozenset[str]) -> Iterator[str]:
    before, now = old.keywords.get("properties", {}), new.keywords.get("properties", {})
    for name in before:
        inside = f"{where}.{name}" if where else name
        if name not in now:
            yield f"{inside}: the property was removed"
        else:
            yield from _conflicts(old.child(before[name]), new.child(now[name]), inside, above)
    for key, label in (("items", "[]"), ("additionalProperties", ".*")):
        if key in new.keywords:
            pair = old.child(old.keywords.get(key, True)), new.child(new.keywords[key])
            yield from _conflicts(*pair, where + label, above)
