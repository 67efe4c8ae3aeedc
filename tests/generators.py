"""Hypothesis strategies: small histories of native events, and how their lines arrive.

A history lives in names of its own (`named`), so that hundreds of them can share one lake and be
told apart afterwards. Its instants cluster where the rules have edges: exact session gaps,
midnight, the leap day, the ends of months.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import orjson
from hypothesis import strategies as st

NativeEvent = dict[str, Any]
History = list[NativeEvent]

GAP = timedelta(minutes=30)
MICROSECOND = timedelta(microseconds=1)
EVENT_TYPES = ("page_view", "quiz_attempt", "video_play", "submit_assignment")

# Few days, so that a lake of many histories builds quickly; 40 days later ends every horizon.
ANCHORS = (
    datetime(2024, 2, 28, 23, 20, tzinfo=UTC),
    datetime(2024, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 30, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 45, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
)
FAR_ANCHORS = (
    datetime(2024, 1, 31, 23, 50, tzinfo=UTC),
    datetime(2024, 3, 8, 10, tzinfo=UTC),
    datetime(2024, 4, 9, 8, tzinfo=UTC),
)
STEPS = (
    timedelta(0),
    MICROSECOND,
    timedelta(seconds=1),
    timedelta(minutes=7, milliseconds=333),
    timedelta(minutes=11),
    GAP / 2,
    GAP - MICROSECOND,
    GAP,
    GAP + MICROSECOND,
    2 * GAP,
)
OFFSETS = ("Z", "+00:00", "+05:30", "-11:00", "")
USER_AGENTS = (
    "",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) Mobile Safari",
    "Mozilla/5.0 (Linux; Android 13; SM-X700)",
    "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)",
    "Mozilla/5.0 (X11; CrOS x86_64)",
    "Googlebot/2.1 (Linux; Android 6.0.1; Mobile)",
    "curl/8.5",
)
PAGES = (
    "https://lms.example/c/1",
    "https://ana:secret@lms.example/c/1?token=1#top",
    "/c/2#a?b",
    "https://lms.example/mail/a@b?q=c@d",
    "lms.example/c/3?x=//y@z",
)
# Orders that differ between code points (UTF-8) and UTF-16, and characters that need care.
ID_MARKS = ("e", "E", "\uffee", "\U0001f600")
STUDENTS = ("s1", "s1", "s1", "s1", "s2", "ßtudent 3")
COURSES = ("c1", "c1", "c1", "c1", "c2", "", None)
CHAPTERS = ("k1", "k1", "k1", "k'2\"; --", "k'2\"; --", "", None)
IPS = ("8.8.8.8", "10.0.0.1", "2001:4860:4860::8888")


def canonical(event: NativeEvent) -> bytes:
    """The raw line of an event."""
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS)


def lines_of(history: Iterable[NativeEvent]) -> list[bytes]:
    return [canonical(event) for event in history]


def stamp(at: datetime, offset: str, nanoseconds: int | None) -> str:
    """`at` as RFC 3339. `nanoseconds` (0-999) makes the fraction nine digits long."""
    hours, minutes = (int(offset[1:3]), int(offset[4:6])) if len(offset) == 6 else (0, 0)
    shift = timedelta(hours=hours, minutes=minutes)
    local = at.replace(tzinfo=None) + (-shift if offset.startswith("-") else shift)
    text = local.isoformat(timespec="microseconds" if nanoseconds is not None else "auto")
    return f"{text}{'' if nanoseconds is None else f'{nanoseconds:03d}'}{offset}"


def given(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or a field that is missing (None)."""
    return st.one_of(st.none(), values)


def durations(most: int) -> st.SearchStrategy[float]:
    """Seconds in tenths of milliseconds, never half a millisecond (a tie has no exact double)."""
    ticks = st.integers(0, most * 10_000).filter(lambda n: n % 10 != 5)
    return st.one_of(st.sampled_from((0.0, 1.0, 60.0, 120.0)), ticks.map(lambda n: n / 10_000))


def intervals() -> st.SearchStrategy[list[list[float]]]:
    """Watched stretches that touch, overlap, contain one another, or run backwards."""
    ends = st.sampled_from((0.0, 10.0, 12.5, 30.0, 30.001, 54.0, 60.0, 90.0, 117.25, 120.0))
    return st.lists(st.tuples(ends, ends).map(list), max_size=4)


def depths() -> st.SearchStrategy[float]:
    return st.sampled_from((0.0, 0.1, 0.333333, 0.899999, 0.9, 1.0))


COMMON = st.fixed_dictionaries(
    {
        "user_agent": given(st.sampled_from(USER_AGENTS)),
        "ip": given(st.sampled_from(IPS)),
    }
)
METADATA = {
    "page_view": st.fixed_dictionaries(
        {"scroll_depth": given(depths()), "duration": given(durations(3_600))}
    ),
    "quiz_attempt": st.fixed_dictionaries(
        {
            "quiz_id": given(st.sampled_from(("q1", "q2", ""))),
            "correct": given(st.booleans()),
            "time_spent": given(durations(300)),
            "score": given(st.sampled_from((0.0, 0.5, 1.0))),
        }
    ),
    "video_play": st.fixed_dictionaries(
        {
            "video_id": given(st.sampled_from(("v1", "v2"))),
            "video_length": given(st.sampled_from((60.0, 120.0, 120.5))),
            "watched_seconds": given(durations(200)),
            "intervals": given(intervals()),
            "scroll_depth": st.just(None),
            "player_session": given(st.just("p1")),
        }
    ),
    "submit_assignment": st.fixed_dictionaries(
        {"assignment_id": given(st.just("a1")), "scroll_depth": given(depths())}
    ),
}


@st.composite
def bodies(draw: st.DrawFn, at: datetime, event_id: str) -> NativeEvent:
    """One event at an instant: any type, any subset of the optional fields."""
    kind = draw(st.sampled_from(EVENT_TYPES))
    metadata = {**draw(COMMON), **draw(METADATA[kind])}
    event: NativeEvent = {
        "event_id": event_id,
        "student_id": draw(st.sampled_from(STUDENTS)),
        "event_type": kind,
        "timestamp": stamp(
            at, draw(st.sampled_from(OFFSETS)), draw(given(st.sampled_from((0, 1, 999))))
        ),
        "course_id": draw(st.sampled_from(COURSES)),
        "chapter_id": draw(st.sampled_from(CHAPTERS)),
        "page_url": draw(given(st.sampled_from(PAGES))) if kind == "page_view" else None,
        "question_id": draw(st.sampled_from(("x1", "x2"))) if kind == "quiz_attempt" else None,
        "metadata": metadata,
    }
    if draw(st.integers(0, 5)) == 0:  # A missing value may also be sent as null.
        return event
    event["metadata"] = {name: value for name, value in metadata.items() if value is not None}
    return {name: value for name, value in event.items() if value not in (None, {})}


@st.composite
def instants(draw: st.DrawFn, count: int) -> list[datetime]:
    """Walks from anchors in edge-sized steps, in drawing order (not in time order)."""
    moments: list[datetime] = []
    at = draw(st.sampled_from(ANCHORS))
    for _ in range(count):
        turn = draw(st.integers(0, 17))
        if turn == 0:
            at = draw(st.sampled_from(ANCHORS))
        elif turn == 1:
            at = draw(st.sampled_from(FAR_ANCHORS))
        elif turn == 2 and moments:
            at = draw(st.sampled_from(moments))
        else:
            at += draw(st.sampled_from(STEPS))
        moments.append(at)
    return moments


@st.composite
def histories(draw: st.DrawFn, most: int = 60) -> History:
    """2 to `most` events of one to three students; about one in six is a copy with another body.

    Such a copy has the id of an event before it and an instant of its own: the same one, one of
    the same day (a conflict), or one of another day (another event).
    """
    count = draw(st.integers(2, most))
    events: History = []
    for number, at in enumerate(draw(instants(count))):
        taken = draw(st.integers(0, 5)) == 0 and number > 0
        known = draw(st.integers(0, number - 1)) if taken else number
        mark = ID_MARKS[known % len(ID_MARKS)]
        events.append(draw(bodies(at, f"{mark}{known}")))
    return events


def named(history: History, prefix: str) -> History:
    """The history in names of its own. Missing and empty names stay so."""

    def own(name: str | None) -> str | None:
        return f"{prefix}-{name}" if name else name

    fields = ("event_id", "student_id", "course_id", "chapter_id", "question_id")
    renamed = []
    for event in history:
        copy = {**event, **{name: own(event[name]) for name in fields if name in event}}
        if "quiz_id" in (event.get("metadata") or {}):
            copy["metadata"] = {**event["metadata"], "quiz_id": own(event["metadata"]["quiz_id"])}
        renamed.append(copy)
    return renamed


# How lines arrive

BuildMode = Literal["none", "pending", "day_by_day", "range"]


@dataclass(frozen=True)
class Batch:
    """Files that are ingested one after the other, and the build that follows.

    `build`: no build, a build of whatever is pending, one build per day in `days` order, or one
    over the range of all days.
    """

    files: tuple[tuple[bytes, ...], ...]
    build: BuildMode
    days: tuple[date, ...]


@dataclass(frozen=True)
class Arrival:
    """How a set of lines comes into a lake: in batches, shuffled, some lines more than once.

    `only_days` are the days that builds by day and by range take (None: all of them); whatever is
    left waits for a build of what is pending.
    """

    builds: tuple[BuildMode, ...]
    files_per_batch: int = 1
    repeated: float = 0.0
    reversed_days: bool = False
    only_days: frozenset[date] | None = None
    seed: int = 0

    def batches(self, lines: Sequence[bytes], days: Iterable[date]) -> list[Batch]:
        """Every line at least once; `days` are all days of the lines."""
        rng = random.Random(self.seed)
        files: list[list[bytes]] = [[] for _ in range(len(self.builds) * self.files_per_batch)]
        for line in lines:
            for _ in range(2 if rng.random() < self.repeated else 1):
                rng.choice(files).append(line)
        for content in files:
            rng.shuffle(content)
        built = days if self.only_days is None else self.only_days.intersection(days)
        ordered = tuple(sorted(built, reverse=self.reversed_days))
        size = self.files_per_batch
        return [
            Batch(tuple(tuple(f) for f in files[n * size : (n + 1) * size] if f), mode, ordered)
            for n, mode in enumerate(self.builds)
        ]


def arrivals(most_batches: int = 4) -> st.SearchStrategy[Arrival]:
    modes: tuple[BuildMode, ...] = ("none", "pending", "day_by_day", "range")
    return st.builds(
        Arrival,
        builds=st.lists(st.sampled_from(modes), min_size=1, max_size=most_batches).map(tuple),
        files_per_batch=st.integers(1, 3),
        repeated=st.sampled_from((0.0, 0.3)),
        reversed_days=st.booleans(),
        seed=st.integers(0, 2**16),
    )


def sample(strategy: st.SearchStrategy[Any], count: int, seed: int) -> list[Any]:
    """`count` draws of a strategy, the same for the same seed.

    Many small draws make one lake: a single draw of all of them would be too large for hypothesis.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    drawn: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Any) -> None:
        drawn.append(value)

    draw()
    return drawn
