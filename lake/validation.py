"""Is a record an event that the lake takes? Parse, check, bring to the canonical form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from lake.timestamps import InvalidTimestampError, TimestampParser, to_microseconds
from schemas.events import DEFAULT_VERSION, schemas, shared_definitions

DETAIL_LENGTH = 400

Event = dict[str, Any]
MapRecord = Callable[[Event], Event]


class Accepted(NamedTuple):
    """An event: its canonical line (no newline), UTC day, time in µs since 1970, and id."""

    line: bytes
    date: date
    ts_us: int
    event_id: str


class Rejected(NamedTuple):
    """A record for quarantine: reason code, what was wrong, and the schema it was held against."""

    reason: str
    detail: str
    schema: str | None = None


class UnmappedError(ValueError):
    """A record of a foreign format that has no native form; the message says why."""


class _RefusedError(Exception):
    """Ends a check early."""

    def __init__(self, reason: str, detail: str, schema: str | None = None) -> None:
        super().__init__(detail)
        self.rejected = Rejected(reason, detail[:DETAIL_LENGTH], schema)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an event's time may lie from the time at which the record was taken.

    `max_event_age` None means no limit, as files of history want it.
    """

    max_clock_skew: timedelta = timedelta(minutes=10)
    max_event_age: timedelta | None = None


class Validator:
    """Checks records one by one; one instance is for one thread.

    The canonical line is JSON with sorted keys and no white space: two lines are the same body
    where they are the same bytes. `mapping` turns a foreign record (an xAPI statement) into a
    native event before the schema is asked.
    """

    def __init__(self, limits: Limits | None = None, mapping: MapRecord | None = None) -> None:
        limits = limits or Limits()
        self._mapping = mapping
        self._skew_us = limits.max_clock_skew // timedelta(microseconds=1)
        age = limits.max_event_age
        self._age_us = None if age is None else age // timedelta(microseconds=1)
        self._timestamps = TimestampParser()
        self._schemas = _compiled_schemas()

    def check(self, line: bytes, recorded_at: datetime) -> Accepted | Rejected:
        """The event in its canonical form, or why it is refused; never raises for bad input."""
        return self.check_at(line, to_microseconds(recorded_at))

    def check_at(self, line: bytes, recorded_us: int) -> Accepted | Rejected:
        """As `check`, with the record's time in microseconds since 1970."""
        try:
            event = _parsed(line)
            if self._mapping is not None:
                event = _mapped(event, self._mapping)
            name, schema = self._schema_of(event)
            ts_us = self._time_of(event, name)
            if not schema.is_valid(event):
                raise _RefusedError("schema_violation", _first_error(schema, event), name)
            self._check_time(ts_us, recorded_us)
            canonical = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
            return Accepted(canonical, self._timestamps.day(ts_us), ts_us, event["event_id"])
        except _RefusedError as refused:
            return refused.rejected
        except (ValueError, RecursionError) as error:
            # Nesting beyond what the schema library or the JSON writer follows.
            return Rejected("schema_violation", f"too deeply nested: {error}"[:DETAIL_LENGTH])

    def _schema_of(self, event: Event) -> tuple[str, jsonschema_rs.Draft202012Validator]:
        event_type = event.get("event_type")
        if not isinstance(event_type, str):
            missing = event_type is None
            raise _RefusedError(
                "schema_violation", f"event_type {'is missing' if missing else 'is not a string'}"
            )
        versions = self._schemas.get(event_type)
        if versions is None:
            known = ", ".join(self._schemas)
            raise _RefusedError("unknown_event_type", f"{event_type!r} is none of {known}")
        version = event.get("schema_version")
        if version is None:
            version = DEFAULT_VERSION
        found = versions.get(version) if isinstance(version, str) else None
        if found is None:
            detail = f"{event_type} has no version {version!r}; known: {', '.join(versions)}"
            raise _RefusedError("unknown_schema_version", detail)
        return found

    def _time_of(self, event: Event, schema: str) -> int:
        timestamp = event.get("timestamp")
        if not isinstance(timestamp, str):
            missing = "timestamp" not in event
            detail = f"timestamp {'is missing' if missing else 'is not a string'}"
            raise _RefusedError("schema_violation", detail, schema)
        try:
            return self._timestamps.microseconds(timestamp)
        except InvalidTimestampError as error:
            raise _RefusedError("invalid_timestamp", f"{timestamp!r}: {error}", schema) from None

    def _check_time(self, ts_us: int, recorded_us: int) -> None:
        ahead = ts_us - recorded_us
        if ahead > self._skew_us:
            raise _RefusedError(
                "in_future", f"{ahead / 1e6:.0f} s ahead, at most {self._skew_us / 1e6:.0f} s"
            )
        if self._age_us is not None and -ahead > self._age_us:
            age, limit = -ahead / 86_400e6, self._age_us / 86_400e6
            raise _RefusedError("too_old", f"{age:.1f} days old, at most {limit:.1f}")


def _mapped(record: Event, mapping: MapRecord) -> Event:
    try:
        return mapping(record)
    except UnmappedError as error:
        raise _RefusedError("unmapped_statement", str(error)) from None


def _compiled_schemas() -> Mapping[
    str, Mapping[str, tuple[str, jsonschema_rs.Draft202012Validator]]
]:
    registry = jsonschema_rs.Registry([shared_definitions()])
    return {
        event_type: {
            version: (
                f"{event_type}/{version}",
                jsonschema_rs.Draft202012Validator(
                    schema, validate_formats=True, registry=registry, base_uri=schema["$id"]
                ),
            )
            for version, schema in versions.items()
        }
        for event_type, versions in schemas().items()
    }


def _parsed(line: bytes) -> Event:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _malformed(line, error) from None
    if type(event) is not dict:
        raise _RefusedError("not_an_object", f"the record is {_json_type(event)}, not an object")
    # Without white space every key stands before one `":`, so as many of them as parsed keys prove
    # that no key was there twice. Most events have keys in the two upper levels only.
    metadata = event.get("metadata")
    keys = len(event) + (len(metadata) if type(metadata) is dict else 0)
    colons = line.translate(None, b" \t\r\n").count(b'":')
    if colons != keys and colons != _key_count(event):
        _check_duplicate_keys(line)
    return event


def _key_count(value: Any) -> int:
    if type(value) is dict:
        return len(value) + sum(map(_key_count, value.values()))
    return sum(map(_key_count, value)) if type(value) is list else 0


def _check_duplicate_keys(line: bytes) -> None:
    """Exact and slow: for lines with a double key, or a quote before a colon in a text."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError("duplicate_key", f"key {key!r} is there more than once")
            seen.add(key)

    json.loads(line.decode(), object_pairs_hook=unique, parse_int=len, parse_float=len)


def _malformed(line: bytes, error: Exception) -> _RefusedError:
    try:
        line.decode()
    except UnicodeDecodeError as undecodable:
        return _RefusedError("invalid_utf8", f"byte {undecodable.start}: {undecodable.reason}")
    return _RefusedError("malformed_json", str(error))


def _json_type(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _first_error(schema: jsonschema_rs.Draft202012Validator, event: Event) -> str:
    """The first breach with its place; values are left out, they may name a student."""
    error = next(schema.iter_errors(event))
    place = ".".join(str(part) for part in error.instance_path) or "event"
    keyword = error.schema_path[-1] if error.schema_path else "schema"
    missing = [name for name in ("event_id", "student_id", "question_id") if name not in event]
    if keyword == "required":
        return f"{place}: required: {', '.join(missing)} is missing"
    return f"{place}: {keyword} is not met"
