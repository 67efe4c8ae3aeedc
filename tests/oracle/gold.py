"""The gold tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from tests.oracle.reading import Event, Rules, day_number, whole
from tests.oracle.rows import MICRO, Row, grouped, mean, seconds
from tests.oracle.sessions import Placed, StudentDay, dwell_us, placed, time_by_day
from tests.oracle.video import chapter_watch_pct, watched_videos


def student_daily_activity(events: Sequence[Event], rules: Rules) -> list[Row]:
    spent = time_by_day(events, rules)
    known = known_by_day(events, rules)
    rows = []
    for (day, student), places in grouped(
        placed(events, rules), lambda at: (at.event.date, at.event.student_hash)
    ).items():
        kinds = [at.event.event_type for at in places]
        videos = watched_videos(at.event for at in places)
        key = student, day_number(day)
        time = spent.get(key, 0)
        rows.append(
            {
                "date": day,
                "student_hash": student,
                "total_sessions": sum(at.before is None for at in places),
                "total_time_spent_seconds": seconds(time),
                "carried_over_seconds": seconds(time - known.get(key, 0)),
                "pages_viewed": kinds.count("page_view"),
                "quizzes_attempted": kinds.count("quiz_attempt"),
                "quizzes_correct": sum(is_correct(at.event) for at in places),
                "videos_watched_seconds": sum(v.watched_ms for v in videos) / 1000,
                "assignments_submitted": kinds.count("submit_assignment"),
                "events_count": len(places),
            }
        )
    return rows


def known_by_day(events: Sequence[Event], rules: Rules) -> dict[StudentDay, int]:
    """Time on a day as it would be if nothing had happened after that day."""
    known: dict[StudentDay, int] = {}
    for day in {event.date for event in events}:
        until_then = time_by_day((e for e in events if e.date <= day), rules)
        known |= {key: time for key, time in until_then.items() if key[1] == day_number(day)}
    return known


def is_correct(event: Event) -> bool:
    return event.event_type == "quiz_attempt" and event.metadata.get("correct") is True


def student_chapter_progress(events: Iterable[Event], rules: Rules) -> list[Row]:
    return [
        _chapter_progress(key, places, rules) for key, places in in_chapters(events, rules).items()
    ]


ChapterKey = tuple[date, str, str | None, str | None]


def in_chapters(events: Iterable[Event], rules: Rules) -> dict[ChapterKey, list[Placed]]:
    """Events with a chapter by (date, student_hash, course_id, chapter_id)."""
    return grouped(
        (at for at in placed(events, rules) if at.event.chapter_id is not None),
        lambda at: (
            at.event.date,
            at.event.student_hash,
            at.event.course_id,
            at.event.chapter_id,
        ),
    )


def spent_us(places: Iterable[Placed], rules: Rules) -> int:
    return sum(
        at.gap_after_us if at.gap_after_us is not None else dwell_us(at, rules) or 0
        for at in places
    )


def depths(places: Iterable[Placed]) -> list[int]:
    """Reported scroll depths in millionths."""
    reported = (whole(at.event.metadata.get("scroll_depth"), MICRO) for at in places)
    return [depth for depth in reported if depth is not None]


def is_completed(places: Sequence[Placed]) -> bool:
    scrolled = max(depths(places), default=0) >= 900_000
    watched = (chapter_watch_pct(at.event for at in places) or 0) >= 0.9
    return scrolled or watched or any(p.event.event_type == "submit_assignment" for p in places)


def is_exit(at: Placed) -> bool:
    return at.is_visit_end is True and at.after is None


def _chapter_progress(key: ChapterKey, places: list[Placed], rules: Rules) -> Row:
    day, student, course, chapter = key
    scrolled = depths(places)
    return {
        "date": day,
        "student_hash": student,
        "course_id": course,
        "chapter_id": chapter,
        "time_spent_seconds": seconds(spent_us(places, rules)),
        "page_dwell_seconds": seconds(sum(dwell_us(at, rules) or 0 for at in places)),
        "scroll_depth_avg": mean(sum(scrolled), len(scrolled), MICRO),
        "scroll_depth_max": seconds(max(scrolled, default=None)),
        "video_watch_pct": chapter_watch_pct(at.event for at in places),
        "completion_flag": is_completed(places),
        "visits_count": sum(at.is_visit_end is True for at in places),
        "exit_visits_count": sum(is_exit(at) for at in places),
        "events_count": len(places),
        "scroll_depth_count": len(scrolled),
    }


def chapter_engagement(events: Iterable[Event], rules: Rules) -> list[Row]:
    students = grouped(in_chapters(events, rules).items(), lambda item: (item[0][0], *item[0][2:]))
    rows = []
    for (day, course, chapter), parts in students.items():
        places = [at for _, own in parts for at in own]
        scrolled, spent = depths(places), spent_us(places, rules)
        visits = sum(at.is_visit_end is True for at in places)
        drops = sum(is_exit(at) for _, own in parts if not is_completed(own) for at in own)
        rows.append(
            {
                "date": day,
                "course_id": course,
                "chapter_id": chapter,
                "total_time_spent": seconds(spent),
                "avg_time_per_visit": mean(spent, visits, MICRO),
                "unique_students": len(parts),
                "visits_count": visits,
                "avg_scroll_depth": mean(sum(scrolled), len(scrolled), MICRO),
                "dropoff_rate": None if visits == 0 else drops / visits,
            }
        )
    return rows


QuestionKey = tuple[date, str, str | None, str | None]


def at_questions(events: Iterable[Event]) -> dict[QuestionKey, list[Event]]:
    """Attempts that name a question by (date, student_hash, quiz_id, question_id), in order."""
    attempts = (e for e in events if e.event_type == "quiz_attempt" and e.question_id is not None)
    return grouped(
        sorted(attempts, key=lambda e: (e.us, e.event_id)),
        lambda e: (e.date, e.student_hash, e.quiz_id, e.question_id),
    )


def attempt_times(attempts: Iterable[Event]) -> list[int]:
    """Reported times in milliseconds."""
    reported = (whole(e.metadata.get("time_spent"), 1000) for e in attempts)
    return [time for time in reported if time is not None]


def is_correct_first(attempts: Iterable[Event]) -> bool | None:
    """The first reported result; null where none was reported."""
    results = (e.metadata.get("correct") for e in attempts)
    return next((result for result in results if result is not None), None)


def student_question_attempts(events: Iterable[Event]) -> list[Row]:
    rows = []
    for (day, student, quiz, question), attempts in at_questions(events).items():
        times = attempt_times(attempts)
        rows.append(
            {
                "date": day,
                "student_hash": student,
                "quiz_id": quiz,
                "question_id": question,
                "attempts_count": len(attempts),
                "correct_count": sum(map(is_correct, attempts)),
                "time_per_question": mean(sum(times), len(times), 1000),
                "timed_attempts_count": len(times),
                "is_correct_first": is_correct_first(attempts),
            }
        )
    return rows


def question_attempts_summary(events: Iterable[Event]) -> list[Row]:
    students = grouped(at_questions(events).items(), lambda item: (item[0][0], *item[0][2:]))
    rows = []
    for (day, quiz, question), parts in students.items():
        attempts = [attempt for _, own in parts for attempt in own]
        times = attempt_times(attempts)
        firsts = [first for _, own in parts if (first := is_correct_first(own)) is not None]
        rows.append(
            {
                "date": day,
                "quiz_id": quiz,
                "question_id": question,
                "attempts_count": len(attempts),
                "correct_count": sum(map(is_correct, attempts)),
                "avg_time_spent": mean(sum(times), len(times), 1000),
                "difficulty_estimate": 1 - (sum(firsts) + 1) / (len(firsts) + 2),
            }
        )
    return rows
