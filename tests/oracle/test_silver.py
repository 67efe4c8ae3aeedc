"""Hand-computed cases of clean, identity, pseudonym, session, dwell and video."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.generators import canonical
from tests.oracle import Row, Rules, recompute
from tests.oracle.reading import (
    body_hash,
    pseudonym,
    read_device,
    read_page_url,
    read_timestamp,
    whole,
)
from tests.oracle.video import union_ms

RULES = Rules(key=b"a key of sixteen bytes")


def native(event_id: str, timestamp: str, **fields: Any) -> bytes:
    event = {
        "event_id": event_id,
        "student_id": "ana",
        "event_type": "page_view",
        "timestamp": timestamp,
        **fields,
    }
    return canonical({name: value for name, value in event.items() if value is not None})


def table(name: str, *lines: bytes) -> list[Row]:
    return recompute(lines, RULES)[name]


def events_by_id(*lines: bytes) -> dict[str, Row]:
    return {row["event_id"]: row for row in table("silver.events", *lines)}


def sessions(*lines: bytes) -> list[Row]:
    return sorted(table("silver.sessions", *lines), key=lambda row: row["session_start"])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# clean


@pytest.mark.parametrize(
    ("text", "utc", "assumed"),
    [
        ("2024-02-29T00:10:00Z", "2024-02-29T00:10:00", False),
        ("2024-02-29T00:10:00", "2024-02-29T00:10:00", True),
        ("2024-03-01T05:29:59.5+05:30", "2024-02-29T23:59:59.5", False),
        ("2024-02-29T13:00:00-11:00", "2024-03-01T00:00:00", False),
        ("2024-02-29T23:59:59.999999999Z", "2024-02-29T23:59:59.999999", False),
    ],
)
def test_read_timestamp__is_utc_cut_to_microseconds(text: str, utc: str, assumed: bool) -> None:
    us, tz_assumed = read_timestamp(text)
    assert datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000) == at(
        utc
    )
    assert tz_assumed is assumed


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, None),
        ("https://lms.example/c/1?token=1#top", "https://lms.example/c/1"),
        ("https://ana:secret@lms.example/c", "https://lms.example/c"),
        ("https://lms.example/a@b?q=c@d", "https://lms.example/a@b"),
        ("https://lms.example#x@y", "https://lms.example"),
        ("/c/2#a?b", "/c/2"),
    ],
)
def test_read_page_url__keeps_the_page_alone(sent: str | None, kept: str | None) -> None:
    assert read_page_url(sent) == kept


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (None, "unknown"),
        ("", "unknown"),
        ("curl/8.5", "unknown"),
        ("Googlebot (Linux; Android; Mobile)", "bot"),
        ("Mozilla (iPad; like Mac OS X)", "tablet"),
        ("Mozilla (Linux; Android 13; SM-X700)", "tablet"),
        ("Mozilla (Linux; Android 14) Mobile", "mobile"),
        ("Mozilla (iPhone)", "mobile"),
        ("Mozilla (X11; CrOS)", "desktop"),
    ],
)
def test_read_device__takes_the_first_rule_that_fits(agent: str | None, device: str) -> None:
    assert read_device(agent) == device


def test_pseudonym__is_the_published_hmac() -> None:
    message = b"school\x1fana"
    expected = hmac.new(b"k" * 16, message, hashlib.sha256).hexdigest()
    assert pseudonym("ana", Rules(b"k" * 16, "school")) == expected
    # RFC 4231, test case 2, with the separator where our message has none: the bare primitive.
    assert hmac.new(b"Jefe", b"what do ya want for nothing?", hashlib.sha256).hexdigest() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_whole__rounds_halves_up() -> None:
    assert [whole(v, 1000) for v in (None, 0, 1.0004, 1.0005, 0.0015)] == [None, 0, 1000, 1001, 2]


def test_silver_events__empty_names_are_null_and_texts_are_kept() -> None:
    row = events_by_id(
        native(
            "e",
            "2024-02-29T10:00:00Z",
            course_id="",
            chapter_id="",
            question_id="",
            metadata={"quiz_id": "", "video_id": " v ", "correct": True, "intervals": [[0, 1]]},
        )
    )["e"]
    assert [row[n] for n in ("course_id", "chapter_id", "question_id", "quiz_id")] == [None] * 4
    assert row["metadata"]["video_id"] == " v "
    assert row["metadata"]["intervals"] == [[0.0, 1.0]]
    assert row["metadata"]["score"] is None
    assert row["is_visit_end"] is None


# identity


def test_identity__the_same_body_twice_is_one_event() -> None:
    line = native("e", "2024-02-29T10:00:00Z")
    assert len(events_by_id(line, line)) == 1
    assert table("silver.quarantine", line, line) == []


def test_identity__earliest_body_of_a_day_wins_whoever_sent_it() -> None:
    early = native("e", "2024-02-29T10:00:00Z", student_id="bea")
    late = native("e", "2024-02-29T10:00:00.000001Z")
    (row,) = table("silver.events", late, early)
    (lost,) = table("silver.quarantine", late, early)
    assert row["student_hash"] == pseudonym("bea", RULES)
    assert lost["student_hash"] == pseudonym("ana", RULES)
    assert lost["ts"] == at("2024-02-29T10:00:00.000001")
    assert lost["_body_hash"] == body_hash(late)


def test_identity__at_the_same_instant_the_smaller_hash_wins() -> None:
    # The same instant written in three ways, one of them finer than a microsecond: three bodies.
    lines = [
        native("e", "2024-02-29T10:00:00Z"),
        native("e", "2024-02-29T10:00:00.0000009Z"),
        native("e", "2024-02-29T15:30:00+05:30"),
    ]
    (row,) = table("silver.events", *lines)
    assert row["_body_hash"] == min(map(body_hash, lines))
    assert len(table("silver.quarantine", *lines)) == 2


def test_identity__the_same_id_on_two_days_is_two_events() -> None:
    rows = table(
        "silver.events",
        native("e", "2024-02-29T23:59:59.999999Z"),
        native("e", "2024-03-01T00:00:00Z"),
    )
    assert [row["date"] for row in rows] == [date(2024, 2, 29), date(2024, 3, 1)]
    assert len({row["session_id"] for row in rows}) == 1


# sessions


def test_sessions__exactly_the_gap_goes_on_and_a_microsecond_more_opens() -> None:
    one = sessions(native("a", "2024-02-29T10:00:00Z"), native("b", "2024-02-29T10:30:00Z"))
    two = sessions(native("a", "2024-02-29T10:00:00Z"), native("b", "2024-02-29T10:30:00.000001Z"))
    assert [(s["events_count"], s["session_duration_seconds"]) for s in one] == [(2, 1800.0)]
    assert [(s["events_count"], s["session_duration_seconds"]) for s in two] == [(1, 0.0)] * 2


def test_sessions__a_late_event_bridges_two() -> None:
    ends = native("a", "2024-02-29T10:00:00Z"), native("c", "2024-02-29T11:00:00Z")
    assert len(sessions(*ends)) == 2
    (session,) = sessions(*ends, native("b", "2024-02-29T10:30:00Z"))
    assert session["session_duration_seconds"] == 3600.0


def test_sessions__a_finer_fraction_does_not_open_one() -> None:
    # 30:00.0000009 is cut to 30:00.000000.
    assert (
        len(
            sessions(
                native("a", "2024-02-29T10:00:00Z"), native("b", "2024-02-29T10:30:00.0000009Z")
            )
        )
        == 1
    )


def test_sessions__id_is_the_hash_of_student_and_start() -> None:
    (session,) = sessions(native("a", "2024-02-29T00:00:00Z"))
    student = pseudonym("ana", RULES)
    text = f"{student}1709164800000000"
    assert session["session_id"] == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_sessions__belong_to_the_day_of_their_start() -> None:
    (session,) = sessions(native("a", "2024-02-29T23:50:00Z"), native("b", "2024-03-01T00:10:00Z"))
    assert session["date"] == date(2024, 2, 29)
    assert session["session_end"] == at("2024-03-01T00:10:00")


def test_sessions__ties_are_ordered_by_event_id() -> None:
    rows = events_by_id(
        native("b", "2024-02-29T10:00:00Z", chapter_id="k2"),
        native("a", "2024-02-29T10:00:00Z", chapter_id="k1"),
        native("c", "2024-02-29T10:00:01Z", chapter_id="k2"),
    )
    assert [rows[i]["gap_before_seconds"] for i in "abc"] == [None, 0.0, 1.0]
    assert [rows[i]["gap_after_seconds"] for i in "abc"] == [0.0, 1.0, None]
    assert [rows[i]["is_visit_end"] for i in "abc"] == [True, False, True]


def test_sessions__device_is_the_first_known() -> None:
    def with_agent(event_id: str, second: int, agent: str | None) -> bytes:
        return native(event_id, f"2024-02-29T10:00:0{second}Z", metadata={"user_agent": agent})

    (session,) = sessions(
        with_agent("a", 0, None), with_agent("b", 1, "iPhone"), with_agent("c", 2, "Windows")
    )
    assert (session["device_type"], session["is_mobile"]) == ("mobile", True)
    (tied,) = sessions(with_agent("a", 0, "Googlebot"), with_agent("b", 0, "Windows"))
    assert (tied["device_type"], tied["is_mobile"]) == ("desktop", False)


# dwell and video


def test_page_dwell__last_page_takes_the_clients_word_up_to_the_gap() -> None:
    def last(duration: float | None) -> float | None:
        dwell: float | None = events_by_id(
            native("a", "2024-02-29T10:00:00Z", metadata={"duration": 5}),
            native("b", "2024-02-29T10:02:00Z", metadata={"duration": duration}),
        )["b"]["page_dwell_seconds"]
        return dwell

    assert [last(d) for d in (None, 0, 12.5, 1800, 7200)] == [None, 0.0, 12.5, 1800.0, 1800.0]


def test_page_dwell__is_the_gap_after_a_page_view_and_null_for_other_events() -> None:
    rows = events_by_id(
        native("a", "2024-02-29T10:00:00Z", metadata={"duration": 5}),
        native("b", "2024-02-29T10:02:00Z", event_type="video_play", metadata={"duration": 5}),
    )
    assert [rows[i]["page_dwell_seconds"] for i in "ab"] == [120.0, None]


@pytest.mark.parametrize(
    ("intervals", "milliseconds"),
    [
        ([], 0),
        ([[0, 10], [10, 20]], 20_000),
        ([[0, 10], [5, 20], [6, 7]], 20_000),
        ([[10, 0], [5, 5]], 0),
        ([[30, 40], [0, 10.0004]], 20_000),
        ([[0], [0, 1, 2], [0, None], None, [1, 2]], 1_000),
    ],
)
def test_union_ms__counts_a_moment_once(intervals: Any, milliseconds: int) -> None:
    assert union_ms(intervals) == milliseconds


@pytest.mark.parametrize(
    ("metadata", "share"),
    [
        ({"video_length": 100, "intervals": [[0, 30], [20, 50]]}, 0.5),
        ({"video_length": 100, "intervals": [[0, 300]]}, 1.0),
        ({"video_length": 100, "intervals": [], "watched_seconds": 50}, 0.0),
        ({"video_length": 100, "watched_seconds": 25}, 0.25),
        ({"video_length": 100}, None),
        ({"video_length": 0, "watched_seconds": 25}, None),
        ({"watched_seconds": 25}, None),
    ],
)
def test_video_watch_pct__prefers_positions(metadata: Row, share: float | None) -> None:
    line = native("v", "2024-02-29T10:00:00Z", event_type="video_play", metadata=metadata)
    assert events_by_id(line)["v"]["video_watch_pct"] == share
