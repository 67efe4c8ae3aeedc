"""silver.events, silver.sessions and silver.quarantine."""

from __future__ import annotations

from collections.abc import Iterable

from tests.oracle.reading import Event, Rules, instant, is_mobile
from tests.oracle.rows import Row, seconds
from tests.oracle.sessions import Placed, dwell_us, placed, session_id, sessions_of
from tests.oracle.video import watch_pct

NUMBERS = (
    "scroll_depth",
    "duration",
    "watched_seconds",
    "video_length",
    "time_spent",
    "score",
)
KNOWN_DEVICES = ("desktop", "mobile", "tablet", "bot")
TEXTS = ("video_id", "assignment_id", "verb", "player_session")


def typed_metadata(metadata: Row) -> Row:
    def number(value: float | None) -> float | None:
        return None if value is None else float(value)

    intervals = metadata.get("intervals")
    return {
        **{name: number(metadata.get(name)) for name in NUMBERS},
        **{name: metadata.get(name) for name in TEXTS},
        "correct": metadata.get("correct"),
        "intervals": None
        if intervals is None
        else [None if i is None else [number(end) for end in i] for i in intervals],
    }


def silver_events(events: Iterable[Event], rules: Rules) -> list[Row]:
    return [_silver_event(at, rules) for at in placed(events, rules)]


def _silver_event(at: Placed, rules: Rules) -> Row:
    event = at.event
    return {
        "event_id": event.event_id,
        "student_hash": event.student_hash,
        "event_type": event.event_type,
        "ts": event.ts,
        "date": event.date,
        "session_id": at.session_id,
        "session_start": instant(at.session_start_us),
        "course_id": event.course_id,
        "chapter_id": event.chapter_id,
        "question_id": event.question_id,
        "quiz_id": event.quiz_id,
        "page_url": event.page_url,
        "device_type": event.device,
        "is_mobile": is_mobile(event.device),
        "metadata": typed_metadata(event.metadata),
        "gap_before_seconds": seconds(at.gap_before_us),
        "gap_after_seconds": seconds(at.gap_after_us),
        "is_visit_end": at.is_visit_end,
        "page_dwell_seconds": seconds(dwell_us(at, rules)),
        "video_watch_pct": watch_pct(event),
        "tz_assumed": event.tz_assumed,
        "_body_hash": event.body_hash,
    }


def silver_sessions(events: Iterable[Event], rules: Rules) -> list[Row]:
    rows = []
    for session in sessions_of(events, rules):
        first, last = session[0], session[-1]
        device = session_device(session)
        rows.append(
            {
                "session_id": session_id(first.student_hash, first.us),
                "student_hash": first.student_hash,
                "date": first.date,
                "session_start": first.ts,
                "session_end": last.ts,
                "session_duration_seconds": seconds(last.us - first.us),
                "events_count": len(session),
                "device_type": device,
                "is_mobile": is_mobile(device),
            }
        )
    return rows


def session_device(session: Iterable[Event]) -> str:
    """The first known device; at the same instant the first of KNOWN_DEVICES."""
    known = [(e.us, KNOWN_DEVICES.index(e.device)) for e in session if e.device != "unknown"]
    return KNOWN_DEVICES[min(known)[1]] if known else "unknown"


def silver_quarantine(lost: Iterable[tuple[Event, str]]) -> list[Row]:
    return [
        {
            "date": event.date,
            "event_id": event.event_id,
            "_body_hash": event.body_hash,
            "reason": "conflicting_duplicate",
            "student_hash": event.student_hash,
            "ts": event.ts,
        }
        for event, _ in lost
    ]
