"""Raw lines to typed events."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.clean import blank_as_null, clean_events, has_no_offset, public_page_url
from schemas.columns import METADATA_FIELDS
from tests.transforms.frames import each, us

URLS = [
    (None, None),
    ("", ""),
    ("/c/2#a?b", "/c/2"),
    ("https://lms.example/c/1?token=1#top", "https://lms.example/c/1"),
    ("https://lms.example/c/1#top?x=a@b", "https://lms.example/c/1"),
    ("https://ana:secret@lms.example/c/1?t=1", "https://lms.example/c/1"),
    ("https://ana@lms.example", "https://lms.example"),
    ("https://ana@school.example:secret@lms.example/c", "https://lms.example/c"),
    ("//ana:secret@lms.example/c/1", "//lms.example/c/1"),
    ("ana:secret@lms.example/c/1", "lms.example/c/1"),
    ("app+v1.0://ana@lms.example/c", "app+v1.0://lms.example/c"),
    ("https://lms.example/mail/a@b?q=c@d", "https://lms.example/mail/a@b"),
    ("lms.example/mail/a@b", "lms.example/mail/a@b"),
    ("/mail/a@b", "/mail/a@b"),
    ("?ana@school.example", ""),
]


def test_public_page_url__cuts_what_can_carry_an_identifier(spark: SparkSession) -> None:
    found = each(spark, "url string", [(url,) for url, _ in URLS], public_page_url(F.col("url")))
    assert dict(zip([url for url, _ in URLS], found, strict=True)) == dict(URLS)


def test_has_no_offset__by_the_end_of_the_text(spark: SparkSession) -> None:
    cases = [
        ("2024-02-29T12:00:00", True),
        ("2024-02-29T12:00:00.123456789", True),
        ("2024-02-29T12:00:00Z", False),
        ("2024-02-29T12:00:00.5Z", False),
        ("2024-02-29T12:00:00+00:00", False),
        ("2024-02-29T12:00:00.25-11:00", False),
    ]
    found = each(spark, "t string", [(text,) for text, _ in cases], has_no_offset(F.col("t")))
    assert found == [wanted for _, wanted in cases]


def test_blank_as_null__keeps_all_but_the_empty_text(spark: SparkSession) -> None:
    cases = [(None,), ("",), (" ",), ("c1",)]
    assert each(spark, "t string", cases, blank_as_null(F.col("t"))) == [None, None, " ", "c1"]


def cleaned(spark: SparkSession, *bodies: dict[str, Any] | bytes) -> list[dict[str, Any]]:
    lines = [
        body.decode() if isinstance(body, bytes)
        else orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()
        for body in bodies
    ]  # fmt: skip
    frame = spark.createDataFrame(list(enumerate(lines)), "object_index int, value string")
    rows = [row.asDict(recursive=True) for row in clean_events(frame).collect()]
    rows.sort(key=lambda row: row["object_index"])
    for row, line in zip(rows, lines, strict=True):
        assert row.pop("_body_hash") == hashlib.sha256(line.encode()).hexdigest()[:16]
    return rows


def event(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": "e1",
        "student_id": "s1",
        "event_type": "page_view",
        "timestamp": "2024-02-29T12:00:00Z",
        **changes,
    }


def test_clean_events__whole_row(spark: SparkSession) -> None:
    body = event(
        timestamp="2024-03-01T05:29:59.999999999+05:30",
        page_url="https://ana@lms.example/c?x=1",
        course_id="",
        chapter_id="k1",
        question_id="\u2028x\u0085\\n\"",
        metadata={
            "quiz_id": "", "user_agent": "curl", "ip": "8.8.8.8", "IP": "9.9.9.9",
            "scroll_depth": 1, "intervals": [[0, 1.5], [2]], "correct": True,
            "email": "ana@school.example", "nested": {"student_id": "s1"},
        },
    )  # fmt: skip
    (row,) = cleaned(spark, body)
    moment = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    assert row.pop("ts_us") == us(moment)
    assert row.pop("ts").timestamp() == moment.timestamp()
    nothing = dict.fromkeys(name for name, _ in METADATA_FIELDS)
    assert row == {
        "event_id": "e1",
        "student_id": "s1",
        "event_type": "page_view",
        "date": date(2024, 2, 29),
        "course_id": None,
        "chapter_id": "k1",
        "question_id": "\u2028x\u0085\\n\"",
        "quiz_id": None,
        "page_url": "https://lms.example/c",
        "user_agent": "curl",
        "ip": "8.8.8.8",
        "metadata": {**nothing, "scroll_depth": 1.0, "intervals": [[0.0, 1.5], [2.0]],
                     "correct": True},
        "tz_assumed": False,
        "object_index": 0,
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"metadata": None}, {"metadata": {}}])
def test_clean_events__without_metadata_has_a_struct_of_nulls(
    spark: SparkSession, changes: dict[str, Any]
) -> None:
    (row,) = cleaned(spark, event(**changes))
    assert row["metadata"] == dict.fromkeys(name for name, _ in METADATA_FIELDS)
    assert row["user_agent"] is None


def test_clean_events__every_time_that_validation_takes(spark: SparkSession) -> None:
    times = {
        "0001-01-02T00:00:00Z": datetime(1, 1, 2, tzinfo=UTC),
        "1582-10-10T00:00:00Z": datetime(1582, 10, 10, tzinfo=UTC),
        "1969-12-31T23:59:59.9999999Z": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "2024-02-29T12:00:00": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "2024-02-29T12:00:00.1": datetime(2024, 2, 29, 12, 0, 0, 100_000, tzinfo=UTC),
        "2024-03-01T06:00:00+18:00": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "2024-02-29T12:00:00-00:00": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "9999-12-31T23:59:59.999999Z": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    }
    rows = cleaned(spark, *(event(timestamp=text) for text in times))
    assert [row["ts_us"] for row in rows] == [us(moment) for moment in times.values()]
    assert [row["date"] for row in rows] == [moment.date() for moment in times.values()]
    assert [row["tz_assumed"] for row in rows] == [
        t[-6] not in "+-" and t[-1] != "Z" for t in times
    ]


def test_clean_events__a_time_that_cannot_be_read_is_null(spark: SparkSession) -> None:
    rows = cleaned(spark, event(timestamp="soon"), b'{"event_id": "e1"')
    assert [(row["ts"], row["date"], row["ts_us"]) for row in rows] == [(None, None, None)] * 2
