"""Records for Kafka: made-up events of a campus, and files of events that are sent again."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

from lake.campus_faults import FAULTS
from lake.campus_life import Event, history, new_student
from lake.timestamps import InvalidTimestampError, TimestampParser

TOPIC_OF_TYPE = {
    "page_view": "clickstream",
    "video_play": "video",
    "quiz_attempt": "quiz",
    "submit_assignment": "assignment",
}
# What the campus does is taken from this school day; its times become those of sending.
SCHOOL_DAY = date(2025, 9, 1)
STUDENTS_AT_ONCE = 200
VISITS_AT_ONCE = 400
LATEST = timedelta(days=20)
SOONEST_LATE = timedelta(hours=1)
# A client that retries sends one of its latest records again.
RETRIED_AMONG = 1_000
# A producer that was held up for longer does not catch up: the events of that time do not exist.
CATCH_UP_SECONDS = 1.0
# Records wait for each other for so long: waking up for each costs more than making it.
TICK_SECONDS = 0.05
OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})\Z")


class Record(NamedTuple):
    """One record to send. `kind`: event, late, duplicate, broken or replayed.

    `event_id` is `-` where the record has none that the lake could find again.
    """

    topic: str
    key: bytes | None
    value: bytes
    event_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Quirks:
    """Shares (0 to 1) of records that are late, sent twice, or refused by the schemas."""

    late: float = 0.0
    duplicates: float = 0.0
    broken: float = 0.0


@dataclass(slots=True)
class _Visit:
    """What a student is still going to do, the next event last; how late it is sent."""

    events: list[Event]
    delay: timedelta


class CampusTraffic:
    """Events without end: students come, do something on a few pages, and go.

    The same `rng` gives the same events but for their times, which are those of the calls. Visits
    are quick: at a high rate they take seconds, so that a demo soon has many sessions.
    """

    def __init__(
        self, rng: random.Random, topics: Sequence[str], quirks: Quirks, students: int
    ) -> None:
        self._rng, self._topics, self._quirks = rng, topics, quirks
        self._people = [new_student(rng, number) for number in range(students)]
        self._coming = self._visits()
        self._visiting = [next(self._coming) for _ in range(min(VISITS_AT_ONCE, students))]
        self._sent: deque[Record] = deque(maxlen=RETRIED_AMONG)

    def record(self, now: datetime) -> Record:
        """The next record; its event happens `now`, or happened before where it is late."""
        rng = self._rng
        if self._sent and rng.random() < self._quirks.duplicates:
            return rng.choice(self._sent)._replace(kind="duplicate")
        event, delay = self._next_event()
        event["timestamp"] = written_like(event["timestamp"], _to_milliseconds(now - delay))
        topic, key = topic_of(event, self._topics), key_of(event)
        if rng.random() < self._quirks.broken:
            _, spoil = rng.choice(FAULTS)
            return Record(topic, key, spoil(event), "-", "broken")
        kind = "late" if delay else "event"
        record = Record(topic, key, orjson.dumps(event), event["event_id"], kind)
        self._sent.append(record)
        return record

    def _next_event(self) -> tuple[Event, timedelta]:
        number = self._rng.randrange(len(self._visiting))
        visit = self._visiting[number]
        event = visit.events.pop()
        if not visit.events:
            self._visiting[number] = next(self._coming)
        return event, visit.delay

    def _visits(self) -> Iterator[_Visit]:
        """Some students at a time; after the last one the first ones come again."""
        while True:
            for first in range(0, len(self._people), STUDENTS_AT_ONCE):
                group = self._people[first : first + STUDENTS_AT_ONCE]
                done, _ = history(self._rng, group, SCHOOL_DAY, days=1)
                events: dict[str, list[Event]] = {}
                for item in done:
                    events.setdefault(item.event["student_id"], []).append(item.event)
                for of_student in events.values():
                    yield _Visit(of_student[::-1], self._delay())

    def _delay(self) -> timedelta:
        """Mostly none. A device that was offline sends its whole visit hours or days later."""
        if self._rng.random() >= self._quirks.late:
            return timedelta()
        return SOONEST_LATE + (LATEST - SOONEST_LATE) * self._rng.random() ** 3


class Replay:
    """Records of files as they are, due as their times tell.

    speed: how many seconds of event time pass in one second; 0: none waits. starts_at: the time to
    which the first event is moved, and with it all others; None leaves times as they are.
    """

    def __init__(self, topics: Sequence[str], speed: float, starts_at: datetime | None) -> None:
        self._topics, self._speed, self._starts_at = topics, speed, starts_at
        self._timestamps = TimestampParser()
        self._first_us: int | None = None
        self._due_seconds = 0.0

    def record(self, raw: bytes) -> tuple[float, Record]:
        """(seconds from the first record until this one is due, the record).

        One that is out of order, or has no time, is due with the one before it. What is no JSON
        object is sent as well, without a key: to refuse it is the lake's task.
        """
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            return self._due_seconds, Record(self._topics[0], None, raw, "-", "replayed")
        event_id = event.get("event_id")
        topic, key = topic_of(event, self._topics), key_of(event)
        value = self._timed(event, raw)
        known = event_id if isinstance(event_id, str) else "-"
        return self._due_seconds, Record(topic, key, value, known, "replayed")

    def _timed(self, event: Event, raw: bytes) -> bytes:
        text = event.get("timestamp")
        try:
            ts_us = self._timestamps.microseconds(text if isinstance(text, str) else "")
        except InvalidTimestampError:
            return raw
        if self._first_us is None:
            self._first_us = ts_us
        passed_us = ts_us - self._first_us
        if self._speed:
            self._due_seconds = max(self._due_seconds, passed_us / 1e6 / self._speed)
        if self._starts_at is None:
            return raw
        try:
            moved = self._starts_at + timedelta(microseconds=passed_us)
        except OverflowError:  # centuries after the first
            return raw
        return orjson.dumps(event | {"timestamp": written_like(event["timestamp"], moved)})


class Pace:
    """Waits until records are due; ends at a signal or after `seconds`."""

    def __init__(self, stopping: threading.Event, seconds: float | None) -> None:
        self._stopping = stopping
        self._began = self._start = time.monotonic()
        self._end = float("inf") if seconds is None else self._began + seconds

    def wait(self, due_seconds: float) -> bool:
        """Wait until `due_seconds` after the start. False: it is over."""
        while not self._stopping.is_set():
            now = time.monotonic()
            ahead = self._start + due_seconds - now
            if now >= self._end:
                return False
            if ahead <= 0:
                if ahead < -CATCH_UP_SECONDS:
                    self._start -= ahead
                return True
            self._stopping.wait(min(ahead + TICK_SECONDS, self._end - now))
        return False


def topic_of(event: Event, topics: Sequence[str]) -> str:
    """The topic of the event's type where it is one of `topics`, else the first of them."""
    event_type = event.get("event_type")
    topic = TOPIC_OF_TYPE.get(event_type, "") if isinstance(event_type, str) else ""
    return topic if topic in topics else topics[0]


def key_of(event: Event) -> bytes | None:
    """A student's records share a key, so that they keep their order in one partition."""
    student: Any = event.get("student_id")
    return student.encode() if isinstance(student, str) and student else None


def written_like(text: str, moment: datetime) -> str:
    """The moment in the way `text` is written: with Z, with its offset, or with neither.

    >>> written_like("2025-09-01T10:00:00+05:30", datetime(2025, 11, 1, 12, tzinfo=UTC))
    '2025-11-01T17:30:00.000+05:30'
    """
    found = OFFSET.search(text)
    if found is None:
        return _digits(moment.astimezone(UTC)) + ("Z" if text.endswith("Z") else "")
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(offset if sign == "+" else -offset)
    return _digits(moment.astimezone(zone)) + found[0]


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _digits(moment: datetime) -> str:
    timespec = "microseconds" if moment.microsecond % 1_000 else "milliseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec)
