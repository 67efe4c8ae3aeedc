"""Raw lines to typed events that still carry the student's identifier."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.columns import METADATA_FIELDS

RAW_METADATA = ", ".join(
    [f"{name}: {kind}" for name, kind in METADATA_FIELDS]
    + ["quiz_id: string", "user_agent: string", "ip: string"]
)
RAW_EVENT = (
    "event_id string, student_id string, event_type string, timestamp string, page_url string, "
    f"course_id string, chapter_id string, question_id string, metadata struct<{RAW_METADATA}>"
)


def body_hash(line: Column) -> Column:
    """First 16 hex of the SHA-256 of a canonical line: equal iff the bodies are equal."""
    return F.substring(F.sha2(line, 256), 1, 16)


def has_no_offset(timestamp: Column) -> Column:
    """Whether an RFC 3339 text has neither Z nor a numeric offset."""
    has_zulu = F.substring(timestamp, -1, 1) == "Z"
    return ~(has_zulu | F.substring(timestamp, -6, 1).isin("+", "-"))


def public_page_url(url: Column) -> Column:
    """A URL without user part, query and fragment; null stays null.

    Only what can carry an identifier by convention is cut; the path stays.
    """
    without_query = F.substring_index(F.substring_index(url, "#", 1), "?", 1)
    # Greedy: the user part may hold an @ itself, as in ana@school.org:password@host.
    cut = F.regexp_replace(without_query, r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?[^/]*@", "$1")
    # Most URLs have nothing to cut, and looking for a mark is cheaper than cutting.
    has_mark = reduce(lambda a, b: a | b, (F.contains(url, F.lit(mark)) for mark in "#?@"))
    return F.when(has_mark, cut).otherwise(url)


def blank_as_null(text: Column) -> Column:
    return F.nullif(text, F.lit(""))


def clean_events(lines: DataFrame) -> DataFrame:
    """Parse canonical lines into typed columns.

    In: value (one canonical event), object_index (which raw object it came from).
    Out: event_id, student_id, event_type, ts, ts_us, date, course_id, chapter_id, question_id,
    quiz_id, page_url, user_agent, ip, metadata, tz_assumed, _body_hash, object_index.
    A timestamp that cannot be read gives null ts; the gate quarantines such a row.
    """
    parsed = lines.select(
        F.from_json("value", RAW_EVENT).alias("event"),
        body_hash(F.col("value")).alias("_body_hash"),
        "object_index",
    )
    event, metadata = F.col("event"), F.col("event.metadata")
    typed = parsed.select(
        event["event_id"].alias("event_id"),
        event["student_id"].alias("student_id"),
        event["event_type"].alias("event_type"),
        event["timestamp"].try_cast("timestamp").alias("ts"),
        *(
            blank_as_null(event[name]).alias(name)
            for name in ("course_id", "chapter_id", "question_id")
        ),
        blank_as_null(metadata["quiz_id"]).alias("quiz_id"),
        public_page_url(event["page_url"]).alias("page_url"),
        metadata["user_agent"].alias("user_agent"),
        metadata["ip"].alias("ip"),
        F.struct(*(metadata[name].alias(name) for name, _ in METADATA_FIELDS)).alias("metadata"),
        has_no_offset(event["timestamp"]).alias("tz_assumed"),
        "_body_hash",
        "object_index",
    )
    return typed.withColumns({"ts_us": F.unix_micros("ts"), "date": F.to_date("ts")})
