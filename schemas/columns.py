"""The column dictionary: a column that tables share is declared here once."""

from __future__ import annotations

from schemas.table import Column

EVENT_TYPES = ("page_view", "quiz_attempt", "video_play", "submit_assignment")
DEVICE_TYPES = ("desktop", "mobile", "tablet", "bot", "unknown")

DATE = Column("date", "date", "UTC day; an event belongs to the day of its own timestamp.")
STUDENT_HASH = Column(
    "student_hash",
    "string",
    "Pseudonym of the student, 64 hex digits.",
    formula="HMAC-SHA256(key, tenant || 0x1f || student_id) (RFC 2104, FIPS 180-4)",
    sensitivity="pseudonym",
)
EVENT_ID = Column("event_id", "string", "Identity of the event, given by its producer.")
EVENT_TYPE = Column("event_type", "string", "Kind of event.", values=EVENT_TYPES)
TS = Column("ts", "timestamp", "Event time, UTC, microseconds (finer fractions are cut).")
COURSE_ID = Column("course_id", "string", "Course, as the LMS names it.", "the event has none")
CHAPTER_ID = Column("chapter_id", "string", "Chapter, as the LMS names it.", "the event has none")
QUESTION_ID = Column("question_id", "string", "Quiz question.", "the event has none")
QUIZ_ID = Column("quiz_id", "string", "Quiz (metadata.quiz_id).", "the event has none")
PAGE_URL = Column(
    "page_url",
    "string",
    "Page without query, fragment and user part: those can carry identifiers.",
    "the event has none",
)
SESSION_ID = Column(
    "session_id",
    "string",
    "Session of the event or row; survives reprocessing.",
    formula="first 32 hex of sha256(student_hash || session_start in microseconds)",
)
SESSION_START = Column("session_start", "timestamp", "First event of the session, UTC.")
SESSION_END = Column("session_end", "timestamp", "Last event of the session, UTC.")
DEVICE_TYPE = Column(
    "device_type", "string", "Device class read from the user agent.", values=DEVICE_TYPES
)
IS_MOBILE = Column("is_mobile", "boolean", "Whether the device is a phone or a tablet.")
IP_GEO = Column(
    "ip_geo",
    "string",
    "Country of the address, ISO 3166-1 alpha-2.",
    "no address, a private one, or one that the database does not know",
)
INGESTED_AT = Column("_ingested_at", "timestamp", "When the raw object was written.")
RAW_PATH = Column("_raw_path", "string", "Raw object that the row came from, below the root.")
TOPIC = Column("_topic", "string", "Topic of the raw object that the row came from.")
BODY_HASH = Column(
    "_body_hash", "string", "First 16 hex of the SHA-256 of the event's canonical body."
)
METADATA_FIELDS = (
    ("scroll_depth", "double"),
    ("duration", "double"),
    ("watched_seconds", "double"),
    ("video_length", "double"),
    ("video_id", "string"),
    ("intervals", "array<array<double>>"),
    ("correct", "boolean"),
    ("time_spent", "double"),
    ("score", "double"),
    ("assignment_id", "string"),
    ("verb", "string"),
    ("player_session", "string"),
)
METADATA = Column(
    "metadata",
    "struct<" + ", ".join(f"{name}: {kind}" for name, kind in METADATA_FIELDS) + ">",
    "Declared metadata of the event. Address, user agent and undeclared keys stay in raw.",
)
PAGE_DWELL_SECONDS = Column(
    "page_dwell_seconds",
    "double",
    "Time on the page.",
    "not a page view, or the last event of its session and the client gave no duration",
    "seconds",
    "time to the student's next event in the session; for the last event of a session "
    "least(metadata.duration, session gap)",
)
VIDEO_WATCH_PCT = Column(
    "video_watch_pct",
    "double",
    "Share of the video that was watched.",
    "not a video, or its length or what was watched is unknown",
    "0-1",
    "union of watched intervals / length where positions are given, "
    "else watched_seconds / length; at most 1",
)
COMPLETION_FLAG = Column(
    "completion_flag",
    "boolean",
    "Whether the student completed the chapter on that day.",
    formula="scroll_depth_max >= 0.9 or video_watch_pct >= 0.9 or an assignment was submitted",
)
