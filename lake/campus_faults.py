"""The faults of the made-up campus: lines that must be refused, bodies that contradict."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson

Event = dict[str, Any]
Fault = Callable[[Event], bytes]


def _without(name: str) -> Fault:
    return lambda event: orjson.dumps({key: event[key] for key in event if key != name})


def _with(**values: Any) -> Fault:
    return lambda event: orjson.dumps(event | values)


def _with_metadata(**values: Any) -> Fault:
    return lambda event: orjson.dumps(event | {"metadata": event["metadata"] | values})


# Reason code that ingestion must give, and how a sound event is spoilt.
FAULTS: tuple[tuple[str, Fault], ...] = (
    ("malformed_json", lambda event: orjson.dumps(event)[:-25]),
    ("invalid_utf8", lambda event: orjson.dumps(event).replace(b"lms.example", b"lms.\xff\xfe")),
    ("not_an_object", lambda event: orjson.dumps([event])),
    ("duplicate_key", lambda event: b'{"event_type":"page_view",' + orjson.dumps(event)[1:]),
    ("unknown_event_type", _with(event_type="page_veiw")),
    ("unknown_schema_version", _with(schema_version="9.0")),
    ("schema_violation", _without("student_id")),
    ("schema_violation", _without("event_id")),
    ("schema_violation", _with(event_id=17)),
    ("schema_violation", _with_metadata(scroll_depth="almost all")),
    ("schema_violation", _with_metadata(ip="300.1.2.3")),
    ("invalid_timestamp", _with(timestamp="2025-09-31T08:30:00Z")),
    ("invalid_timestamp", _with(timestamp="yesterday")),
    ("in_future", _with(timestamp="2099-01-01T00:00:00.000Z")),
)


def broken_lines(rng: random.Random, sound: Event, students: int) -> list[tuple[str, bytes]]:
    """(reason code, line) of records that must end in quarantine; some for every reason.

    `sound` is a valid event that is spoilt; every line has an event_id of its own.
    """
    lines = []
    for reason, spoil in FAULTS:
        for _ in range(rng.randrange(2, 4 + students // 20)):
            event = sound | {"event_id": f"{rng.getrandbits(128):032x}"}
            lines.append((reason, spoil(event)))
    return lines


def conflicting_body(event: Event) -> Event:
    """The same identity and time with other details, as a faulty client sends it."""
    return event | {"metadata": event["metadata"] | {"duration": 1.5, "client": "retry"}}
