"""Statements of the video profile as native events: golden statement, variants, refusals."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from lake.validation import Accepted, UnmappedError, Validator
from lake.xapi import EXTENSION, looks_like_statement, native_event

STATEMENT: dict[str, Any] = {
    "id": "9dc99b37-e920-4a68-a066-917faca28949",
    "actor": {"account": {"name": "f6c5ca7f", "homePage": "http://lms.example"}},
    "verb": {"id": "https://w3id.org/xapi/video/verbs/seeked"},
    "object": {
        "id": "uuid://7d4f",
        "definition": {"type": "https://w3id.org/xapi/video/activity-type/video"},
    },
    "context": {
        "extensions": {EXTENSION + "session-id": "abb3", EXTENSION + "length": 263.24},
        "contextActivities": {
            "category": [{"id": "https://w3id.org/xapi/video"}],
            "parent": [{"id": "course-1"}],
        },
    },
    "result": {
        "extensions": {
            EXTENSION + "time-from": 124.6,
            EXTENSION + "time-to": 176.4,
            EXTENSION + "played-segments": "0[.]42.608[,]43.168[.]124.692[,]176.4",
        }
    },
    "timestamp": "2021-11-29T23:09:00.867219+00:00",
}


def changed(path: str, value: Any) -> dict[str, Any]:
    statement = copy.deepcopy(STATEMENT)
    *parents, last = path.split("/")
    part = statement
    for name in parents:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return statement


def test_native_event__golden() -> None:
    everything = {
        **STATEMENT["context"]["extensions"],
        **STATEMENT["result"]["extensions"],
    }
    assert native_event(STATEMENT) == {
        "event_id": "9dc99b37-e920-4a68-a066-917faca28949",
        "student_id": "f6c5ca7f",
        "event_type": "video_play",
        "schema_version": "1.1",
        "timestamp": "2021-11-29T23:09:00.867219+00:00",
        "course_id": "course-1",
        "chapter_id": "uuid://7d4f",
        "metadata": {
            "video_id": "uuid://7d4f",
            "verb": "seeked",
            "player_session": "abb3",
            "intervals": [[0.0, 42.608], [43.168, 124.692]],
            "position_from": 124.6,
            "position_to": 176.4,
            "video_length": 263.24,
            "xapi": everything,
        },
    }


def test_check__takes_the_mapped_statement() -> None:
    validator = Validator(mapping=native_event)
    checked = validator.check(orjson.dumps(STATEMENT), datetime.now(UTC))
    assert isinstance(checked, Accepted)
    assert checked.date.isoformat() == "2021-11-29"


@pytest.mark.parametrize(
    ("actor", "student"),
    [
        ({"mbox": "mailto:a@b.example"}, "mailto:a@b.example"),
        ({"mbox_sha1sum": "ab12"}, "ab12"),
        ({"openid": "https://id.example/a"}, "https://id.example/a"),
    ],
)
def test_native_event__other_ways_to_name_an_actor(actor: dict[str, Any], student: str) -> None:
    assert native_event(changed("actor", actor))["student_id"] == student


def test_native_event__falls_back() -> None:
    grouped = changed("context/contextActivities", {"grouping": [{"id": "c-2"}]})
    assert native_event(grouped)["course_id"] == "c-2"
    stored = changed("timestamp", None) | {"stored": "2021-11-30T00:00:00Z"}
    assert native_event(stored)["timestamp"] == "2021-11-30T00:00:00Z"
    zero = changed("context/extensions", {EXTENSION + "length": 0})
    assert "video_length" not in native_event(zero)["metadata"]
    bare = changed("result", None)
    assert "intervals" not in native_event(bare)["metadata"]


@pytest.mark.parametrize(
    "statement",
    [
        {},
        changed("actor", {"name": "Ada"}),
        changed("actor", "Ada"),
        changed("object/definition/type", "http://adlnet.gov/expapi/activities/course")
        | {"context": []},
    ],
)
def test_native_event__refuses_what_has_no_native_form(statement: dict[str, Any]) -> None:
    with pytest.raises(UnmappedError):
        native_event(statement)


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, {"id": 7}, {"id": []}])
@pytest.mark.parametrize(
    "path", ["actor", "verb", "object", "context", "result", "timestamp", "id"]
)
def test_check__never_raises_for_strange_statements(path: str, value: Any) -> None:
    statement = changed(path, value) if value is None else {**STATEMENT, path: value}
    Validator(mapping=native_event).check(orjson.dumps(statement), datetime.now(UTC))


def test_looks_like_statement() -> None:
    assert looks_like_statement(STATEMENT)
    assert not looks_like_statement({**STATEMENT, "event_type": "video_play"})
    assert not looks_like_statement([STATEMENT])
