"""features.student_features: every row from nothing but the events before the end of its day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from tests.oracle.gold import is_correct
from tests.oracle.reading import Event, Rules, day_number, midnight_after
from tests.oracle.rows import Row, grouped, seconds
from tests.oracle.sessions import sessions_of, time_by_day

HORIZON_DAYS = 30


def student_features(events: Sequence[Event], rules: Rules) -> list[Row]:
    newest = max((e.date for e in events), default=None)
    rows: list[Row] = []
    for student, own in grouped(events, lambda e: e.student_hash).items():
        assert newest is not None
        active = {e.date for e in own}
        rows.extend(_features(student, own, day, rules) for day in feature_days(active, newest))
    return rows


def feature_days(active: set[date], newest: date) -> list[date]:
    """Days at which a student is described.

    Every active day and the 30 days after it, not past the newest day of the lake. Whether a day
    has a row is known at its end: it does not hang on what the student does later.
    """
    days = {day + timedelta(days=n) for day in active for n in range(HORIZON_DAYS + 1)}
    return sorted(day for day in days if day <= newest)


def known_at(events: Iterable[Event], day: date) -> list[Event]:
    return [event for event in events if event.us < midnight_after(day)]


def rolling_us(events: Iterable[Event], day: date, rules: Rules) -> int:
    """Time in sessions over the 7 days that end with `day`, as it was known at its end."""
    last = day_number(day)
    spent = time_by_day(known_at(events, day), rules)
    return sum(us for (_, number), us in spent.items() if last - 7 < number <= last)


def _features(student: str, events: list[Event], day: date, rules: Rules) -> Row:
    known = known_at(events, day)
    this = rolling_us(events, day, rules)
    previous = rolling_us(events, day - timedelta(days=7), rules)
    firsts = [session[0].date for session in sessions_of(known, rules)]
    quizzes = [
        e
        for e in known
        if e.event_type == "quiz_attempt" and e.date > day - timedelta(days=HORIZON_DAYS)
    ]
    return {
        "student_hash": student,
        "as_of_date": day,
        "rolling_7d_time_spent": seconds(this),
        "rolling_7d_sessions": sum(first > day - timedelta(days=7) for first in firsts),
        "avg_quiz_accuracy_30d": sum(map(is_correct, quizzes)) / len(quizzes) if quizzes else None,
        "last_login_days_ago": (day - max(e.date for e in known)).days,
        "engagement_trend": (this - previous) / (this + previous) if this + previous else 0.0,
    }
