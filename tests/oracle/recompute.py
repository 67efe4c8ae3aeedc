"""Every table of silver, gold and features from a set of raw lines.

Rows carry the declared columns except lineage (but `_body_hash` is there: it follows from the
line), the geo column, and the free text `detail` of silver.quarantine. Times are aware
UTC datetimes, days are dates, durations are float seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.oracle.features import student_features
from tests.oracle.gold import (
    chapter_engagement,
    question_attempts_summary,
    student_chapter_progress,
    student_daily_activity,
    student_question_attempts,
)
from tests.oracle.reading import Rules, read_events
from tests.oracle.rows import Row
from tests.oracle.silver import silver_events, silver_quarantine, silver_sessions


def recompute(lines: Iterable[bytes], rules: Rules) -> dict[str, list[Row]]:
    """Every table by its name. Order and repetition of the lines do not matter."""
    events, lost = read_events(lines, rules)
    progress = student_chapter_progress(events, rules)
    attempts = student_question_attempts(events)
    return {
        "silver.events": silver_events(events, rules),
        "silver.sessions": silver_sessions(events, rules),
        "silver.quarantine": silver_quarantine(lost),
        "gold.student_daily_activity": student_daily_activity(events, rules),
        "gold.student_chapter_progress": progress,
        "gold.student_question_attempts": attempts,
        "gold.chapter_engagement": chapter_engagement(events, rules),
        "gold.question_attempts_summary": question_attempts_summary(events),
        "features.student_features": student_features(events, rules),
    }
