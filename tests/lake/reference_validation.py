"""The validator once more, slowly and from other parts: json, datetime and jsonschema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry, Resource

from schemas.events import schemas, shared_definitions


class Verdict(NamedTuple):
    """`reason` is "ok" for an event; date and ts_us are None for the others."""

    reason: str
    date: date | None = None
    ts_us: int | None = None


class _DuplicateKeyError(ValueError):
    pass


def verdict(line: bytes, recorded_at: datetime, max_clock_skew: timedelta) -> Verdict:
    """What the lake should say of a native record."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Verdict("invalid_utf8")
    try:
        event = _strict_json(text)
    except _DuplicateKeyError:
        return Verdict("duplicate_key")
    except (ValueError, RecursionError):
        return Verdict("malformed_json")
    if not isinstance(event, dict):
        return Verdict("not_an_object")
    if not isinstance(event.get("event_type"), str):
        return Verdict("schema_violation")
    if event["event_type"] not in schemas():
        return Verdict("unknown_event_type")
    version = "1.0" if event.get("schema_version") is None else event["schema_version"]
    if not isinstance(version, str) or version not in schemas()[event["event_type"]]:
        return Verdict("unknown_schema_version")
    if not isinstance(event.get("timestamp"), str):
        return Verdict("schema_violation")
    try:
        ts_us = _microseconds(event["timestamp"])
    except (ValueError, OverflowError):
        return Verdict("invalid_timestamp")
    if not _validator(event["event_type"], version).is_valid(event):
        return Verdict("schema_violation")
    recorded_us = (recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if ts_us - recorded_us > max_clock_skew // timedelta(microseconds=1):
        return Verdict("in_future")
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_us)
    return Verdict("ok", moment.date(), ts_us)


def _strict_json(text: str) -> Any:
    duplicates = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            duplicates.append(items)
        return found

    def number(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError("beyond double")
        return value

    def constant(name: str) -> None:
        raise ValueError(name)

    value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=number)
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate fails here
    if isinstance(value, dict) and duplicates:
        raise _DuplicateKeyError
    return value


def _microseconds(text: str) -> int:
    if not re.fullmatch(
        r"[0-9-]{10}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?", text, re.ASCII
    ) or text.endswith("\n"):
        raise ValueError(text)
    if text[-6] in "+-" and text[-2:] > "59":
        raise ValueError("fromisoformat reads +05:60 as +06:00")
    cut = re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", text)
    if cut[11:13] == "24":
        raise ValueError("newer Pythons read 24:00 as the next day")
    moment = datetime.fromisoformat(cut)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    offset = moment.utcoffset()
    if offset is None or abs(offset) > timedelta(hours=18):
        raise ValueError("offset")
    if moment.astimezone(UTC).year < 1900:
        raise ValueError("before 1900")
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _ecma_pattern(
    validator: Any, pattern: str, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """`$` is the very end, as JSON Schema wants it; Python's also stands before a newline."""
    ecma = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(instance, str) and not re.search(ecma, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_EcmaValidator = validators.extend(Draft202012Validator, {"pattern": _ecma_pattern})


@cache
def _validator(event_type: str, version: str) -> Any:
    uri, common = shared_definitions()
    registry: Registry = Registry().with_resource(uri, Resource.from_contents(common))
    return _EcmaValidator(
        schemas()[event_type][version],
        registry=registry,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
