"""A month of a campus in any number of records, late, doubled, contradicting, in files.

The life is that of the made-up campus (lake/campus_life.py); here it gets what makes tables hard
to keep: visits that come up to 20 days late, duplicates and other bodies of known events that come
at another time, and events that bridge two sessions which were built before.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Literal

import orjson

from lake.campus import START
from lake.campus_faults import conflicting_body
from lake.campus_life import SESSION_GAP, Event, Sent, Student, history, new_student
from streaming.traffic import LATEST, SOONEST_LATE, written_like

DAYS = 30
FILES_PER_PIECE = 3
STUDENTS_AT_ONCE = 200
# About what one of them does in the month.
EVENTS_PER_STUDENT = 125
DUPLICATE_SHARE = 0.05
# One duplicate in so many has another body, half of these another time, too.
CONFLICT_SHARE = 0.2
LATE_SHARE = 0.1
BRIDGED_SHARE = 0.5
LONGEST_BRIDGED = 4 * SESSION_GAP
LONGEST_MOVE_SECONDS = 20 * 60
RECORDS_BETWEEN_REPORTS = 100_000

Kind = Literal["event", "bridge", "duplicate", "conflict"]


@dataclass
class BigHistory:
    """What was written. pieces: the files of each stretch of arrival, which follow in time.

    kinds: records by kind. late: those that came more than a day after they happened.
    """

    pieces: list[list[Path]]
    kinds: Counter[Kind] = field(default_factory=Counter)
    late: int = 0

    @property
    def records(self) -> int:
        return self.kinds.total()


def write_history(
    folder: Path,
    records: int,
    pieces: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda records: None,
) -> BigHistory:
    """Write exactly `records` lines of native events, all valid, into jsonl files of `folder`.

    A record is in the piece into whose stretch its arrival falls, in any of its files, in random
    order. The same arguments give the same bytes; memory does not grow with `records`.
    """
    rng = random.Random(f"{seed}/{records}/{pieces}")
    cuts = _cuts(rng, pieces)
    names = [
        [folder / f"piece{piece:02d}-{file}.jsonl" for file in range(FILES_PER_PIECE)]
        for piece in range(pieces)
    ]
    written = BigHistory(names)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = [[stack.enter_context(path.open("wb")) for path in piece] for piece in names]
        for number, (kind, item) in enumerate(islice(_arriving(rng, records), records), 1):
            piece = files[bisect(cuts, item.arrival)]
            rng.choice(piece).write(orjson.dumps(item.event) + b"\n")
            written.kinds[kind] += 1
            written.late += item.arrival - item.ts > timedelta(days=1)
            if number % RECORDS_BETWEEN_REPORTS == 0:
                on_progress(number)
    return written


def _cuts(rng: random.Random, pieces: int) -> list[datetime]:
    """The moments between the pieces, which are of different length; the last has no end."""
    shares = [rng.uniform(0.4, 1.6) for _ in range(pieces)]
    begin = datetime.combine(START, datetime.min.time(), UTC)
    part = timedelta(days=DAYS) / sum(shares)
    return [begin + part * until for until in accumulate(shares[:-1])]


def _arriving(rng: random.Random, records: int) -> Iterator[tuple[Kind, Sent]]:
    """At least so many records, those of some students after those of others."""
    at_once = max(1, min(STUDENTS_AT_ONCE, records // EVENTS_PER_STUDENT))
    first = 0
    while True:
        people = [new_student(rng, first + number) for number in range(at_once)]
        yield from _of_students(rng, people)
        first += at_once


def _of_students(rng: random.Random, people: Sequence[Student]) -> list[tuple[Kind, Sent]]:
    sent, _ = history(rng, people, START, DAYS)
    sent.sort(key=lambda item: (item.event["student_id"], item.ts))
    _delay_visits(rng, sent)
    found: list[tuple[Kind, Sent]] = [("event", item) for item in sent]
    for before, after in pairwise(sent):
        is_silence = _is_one(before, after) and after.ts - before.ts <= LONGEST_BRIDGED
        if is_silence and rng.random() < BRIDGED_SHARE:
            found += [("bridge", item) for item in _bridge(rng, before, after)]
    doubled = round(len(found) * DUPLICATE_SHARE / (1 - DUPLICATE_SHARE))
    found += [_again(rng, item) for _, item in rng.sample(found, doubled)]
    rng.shuffle(found)
    return found


def _is_one(first: Sent, second: Sent) -> bool:
    return bool(first.event["student_id"] == second.event["student_id"])


def _delay_visits(rng: random.Random, sent: Sequence[Sent]) -> None:
    """A visit comes late as a whole, as from a device that was offline; some events alone."""
    delay = timedelta()
    for number, item in enumerate(sent):
        before = sent[number - 1] if number else None
        if before is None or not _is_one(before, item) or item.ts - before.ts > SESSION_GAP:
            delay = _delay(rng, LATE_SHARE)
        item.arrival = item.ts + max(delay, _delay(rng, LATE_SHARE / 5))


def _delay(rng: random.Random, late_share: float) -> timedelta:
    if rng.random() >= late_share:
        return timedelta(seconds=rng.random() * 90)
    return SOONEST_LATE + rng.random() * (LATEST - SOONEST_LATE)


def _bridge(rng: random.Random, before: Sent, after: Sent) -> Iterator[Sent]:
    """Late events, exactly one gap apart, that make one of two sessions; none within a session."""
    at = before.ts + SESSION_GAP
    while at < after.ts:
        yield Sent(at, at + _delay(rng, 1.0), _moved(rng, before.event, at, has_new_id=True))
        at += SESSION_GAP


def _again(rng: random.Random, item: Sent) -> tuple[Kind, Sent]:
    """The same event once more, at another time, or another body under its id."""
    if rng.random() >= CONFLICT_SHARE:
        event = dict(reversed(item.event.items()))
        return "duplicate", Sent(item.ts, item.ts + _delay(rng, 0.5), event)
    at, event = item.ts, conflicting_body(item.event)
    if rng.random() < 0.5:
        seconds = rng.uniform(-LONGEST_MOVE_SECONDS, LONGEST_MOVE_SECONDS)
        at += timedelta(milliseconds=round(seconds * 1_000))
        event = _moved(rng, event, at, has_new_id=False)
    return "conflict", Sent(at, at + _delay(rng, 0.5), event)


def _moved(rng: random.Random, event: Event, at: datetime, *, has_new_id: bool) -> Event:
    changes = {"timestamp": written_like(event["timestamp"], at)}
    if has_new_id:
        changes["event_id"] = f"{rng.getrandbits(128):032x}"
    return event | changes
