"""Where an event stands in its session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from tests.oracle.reading import DAY_US, Event, Rules, whole

# student_hash, and the day as a number since 1970
StudentDay = tuple[str, int]


@dataclass(frozen=True)
class Placed:
    """An event with its neighbours of the same session (None at the session's ends)."""

    event: Event
    before: Event | None
    after: Event | None
    session_start_us: int

    @property
    def session_id(self) -> str:
        return session_id(self.event.student_hash, self.session_start_us)

    @property
    def gap_before_us(self) -> int | None:
        return None if self.before is None else self.event.us - self.before.us

    @property
    def gap_after_us(self) -> int | None:
        return None if self.after is None else self.after.us - self.event.us

    @property
    def is_visit_end(self) -> bool | None:
        if self.event.chapter_id is None:
            return None
        return self.after is None or place_of(self.after) != place_of(self.event)


def session_id(student_hash: str, session_start_us: int) -> str:
    return hashlib.sha256(f"{student_hash}{session_start_us}".encode()).hexdigest()[:32]


def place_of(event: Event) -> tuple[str | None, str | None]:
    return event.course_id, event.chapter_id


def sessions_of(events: Iterable[Event], rules: Rules) -> list[list[Event]]:
    """Every student's events cut into sessions, both in order of (ts, event_id)."""
    ordered = sorted(events, key=lambda e: (e.student_hash, e.us, e.event_id))
    sessions: list[list[Event]] = []
    for event in ordered:
        last = sessions[-1][-1] if sessions else None
        if (
            last is not None
            and last.student_hash == event.student_hash
            and event.us - last.us <= rules.gap_us
        ):
            sessions[-1].append(event)
        else:
            sessions.append([event])
    return sessions


def placed(events: Iterable[Event], rules: Rules) -> list[Placed]:
    return [
        Placed(event, before, after, session[0].us)
        for session in sessions_of(events, rules)
        for before, event, after in zip(
            [None, *session[:-1]], session, [*session[1:], None], strict=True
        )
    ]


def time_by_day(events: Iterable[Event], rules: Rules) -> dict[StudentDay, int]:
    """Microseconds in sessions, cut at midnight."""
    spent: dict[StudentDay, int] = {}
    for session in sessions_of(events, rules):
        for one, other in pairwise(session):
            start = one.us
            while start < other.us:
                end = min(other.us, (start // DAY_US + 1) * DAY_US)
                key = one.student_hash, start // DAY_US
                spent[key] = spent.get(key, 0) + end - start
                start = end
    return spent


def dwell_us(at: Placed, rules: Rules) -> int | None:
    """Microseconds on the page: to the next event, else what the client says, at most the gap."""
    if at.event.event_type != "page_view":
        return None
    if at.gap_after_us is not None:
        return at.gap_after_us
    said = whole(at.event.metadata.get("duration"), 1_000_000)
    return None if said is None else min(said, rules.gap_us)
