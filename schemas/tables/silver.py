"""Silver: clean, pseudonymous events and sessions."""

from schemas import columns as c
from schemas.table import Column, Table, between, matches, ordered

HEX_64 = "^[0-9a-f]{64}$"
HEX_32 = "^[0-9a-f]{32}$"
# Reason of rows of silver.quarantine that break a declared expectation.
SET_ASIDE = "failed_expectation"

EVENTS = Table(
    name="silver.events",
    doc="Every event once: cleaned, pseudonymised, enriched and placed in its session. With the "
    "titles of course and chapter, as they are now: `silver.titled_events` in `lmslake sql`.",
    grain="one event",
    columns=(
        c.EVENT_ID,
        c.STUDENT_HASH,
        c.EVENT_TYPE,
        c.TS,
        c.DATE,
        c.SESSION_ID,
        c.SESSION_START,
        c.COURSE_ID,
        c.CHAPTER_ID,
        c.QUESTION_ID,
        c.QUIZ_ID,
        c.PAGE_URL,
        c.DEVICE_TYPE,
        c.IS_MOBILE,
        c.IP_GEO,
        c.METADATA,
        Column(
            "gap_before_seconds",
            "double",
            "Time since the student's previous event in the session.",
            "the first event of its session",
            "seconds",
        ),
        Column(
            "gap_after_seconds",
            "double",
            "Time to the student's next event in the session.",
            "the last event of its session",
            "seconds",
        ),
        Column(
            "is_visit_end",
            "boolean",
            "Whether a visit to the chapter ends here: the next event of the session is in "
            "another chapter, or there is none.",
            "the event has no chapter",
        ),
        c.PAGE_DWELL_SECONDS,
        c.VIDEO_WATCH_PCT,
        Column("tz_assumed", "boolean", "Whether the timestamp had no offset and was read as UTC."),
        c.BODY_HASH,
        c.TOPIC,
        c.RAW_PATH,
        c.INGESTED_AT,
    ),
    keys=("date", "event_id"),
    partition_by="date",
    checks=(
        matches("student_hash", HEX_64),
        matches("session_id", HEX_32),
        ordered("session_start", "ts"),
        between("gap_before_seconds", 0),
        between("gap_after_seconds", 0),
        between("page_dwell_seconds", 0),
        between("video_watch_pct", 0, 1),
    ),
    retention_days=400,
    readers=frozenset({"analyst", "engineer"}),
)

SESSIONS = Table(
    name="silver.sessions",
    doc="One student's uninterrupted run of events: no silence longer than the session gap.",
    grain="one session; it belongs to the UTC day of its start",
    columns=(
        c.SESSION_ID,
        c.STUDENT_HASH,
        c.DATE.with_(doc="UTC day on which the session started."),
        c.SESSION_START,
        c.SESSION_END,
        Column(
            "session_duration_seconds",
            "double",
            "Length of the session; 0 for a single event.",
            unit="seconds",
            formula="session_end - session_start",
        ),
        Column("events_count", "bigint", "Events in the session."),
        c.DEVICE_TYPE.with_(doc="Device of the first event whose device is known, else unknown."),
        c.IS_MOBILE,
    ),
    keys=("session_id",),
    partition_by="date",
    checks=(
        matches("session_id", HEX_32),
        matches("student_hash", HEX_64),
        ordered("session_start", "session_end"),
        between("session_duration_seconds", 0),
        between("events_count", 1),
    ),
    retention_days=400,
    readers=frozenset({"analyst", "engineer"}),
)

QUARANTINE = Table(
    name="silver.quarantine",
    doc="Raw events that did not become rows of silver.events, with the reason. "
    "The body stays in raw: `_raw_path` and event_id lead to it. What failed an expectation leaves "
    "when its day is taken again after a fix: `lmslake backfill --reset`.",
    grain="one rejected body of one event",
    columns=(
        c.DATE,
        c.EVENT_ID.with_(doc="Identity of the event, given by its producer; empty without one."),
        c.BODY_HASH,
        Column(
            "reason",
            "string",
            "Why: the same id with another body, or a failed expectation.",
            values=("conflicting_duplicate", SET_ASIDE),
        ),
        Column("detail", "string", "What failed, or why another body won.", "nothing to add"),
        c.STUDENT_HASH,
        c.TS.with_(nulls="the timestamp could not be read"),
        c.TOPIC,
        c.RAW_PATH,
    ),
    keys=("date", "event_id", "_body_hash"),
    partition_by="date",
    retention_days=400,
    readers=frozenset({"engineer"}),
)

DIM_CHAPTERS = Table(
    name="silver.dim_chapters",
    doc="Titles of courses and chapters, as the school names them now (type 1: the newest title). "
    "They are joined where they are read, so that a catalogue that comes later needs no rebuild.",
    grain="one chapter of one course",
    columns=(
        Column("course_id", "string", "Course, as the LMS names it."),
        Column("course_title", "string", "Title of the course.", "not given"),
        Column("chapter_id", "string", "Chapter, as the LMS names it."),
        Column("chapter_title", "string", "Title of the chapter.", "not given"),
        Column("_ingested_at", "timestamp", "When the file was loaded."),
        Column("_source_file", "string", "File that the row came from."),
    ),
    keys=("course_id", "chapter_id"),
    readers=frozenset({"analyst", "engineer"}),
)

SILVER = (EVENTS, SESSIONS, QUARANTINE, DIM_CHAPTERS)
