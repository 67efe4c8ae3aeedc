"""Small lakes: what enters them, what is in them, and what must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from tests.generators import NativeEvent, canonical
from tests.laws.comparing import Difference
from tests.laws.world import TABLE_NAMES, compared, tables_of
from tests.oracle import Rules, recompute

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake

KEY = "a key of the pipelines' tests"
RULES = Rules(key=KEY.encode())
FIRST = datetime(2024, 2, 28, 22, tzinfo=UTC)
DAYS = tuple(date(2024, 2, 28) + timedelta(days=n) for n in range(4))
SITE = "https://lms.example/c1"


def event(number: int, at: datetime, student: str, kind: str, **more: Any) -> NativeEvent:
    return {
        "event_id": f"e{number:03d}",
        "student_id": student,
        "event_type": kind,
        "timestamp": at.isoformat(),
        "course_id": "c1",
        "chapter_id": f"k{number % 3}",
        **more,
    }


def four_days() -> list[bytes]:
    """Lines of four days: a session over three of them, lonely events, conflicts, duplicates."""
    events = [
        event(n, FIRST + n * timedelta(minutes=29), "s1", "page_view", page_url=f"{SITE}/{n}?t=1",
              metadata={"duration": 60.0, "scroll_depth": 0.25, "user_agent": "iPad"})
        for n in range(56)
    ]  # fmt: skip
    events += [
        event(100 + n, FIRST + n * timedelta(hours=11), "s2", "quiz_attempt", question_id="x1",
              metadata={"quiz_id": "q1", "correct": n % 2 == 0, "time_spent": 12.5})
        for n in range(7)
    ]  # fmt: skip
    events += [
        event(200 + n, FIRST + n * timedelta(hours=13), "s3", "video_play",
              metadata={"video_id": "v1", "video_length": 60.0, "watched_seconds": 20.0 * n})
        for n in range(6)
    ]  # fmt: skip
    others = [{**body, "student_id": "s4"} for body in events[3::17]]
    twice = events[::9]
    return [canonical(body) for body in (*events, *others, *twice)]


def difference_from(lake: Lake, lines: Iterable[bytes]) -> str:
    """What differs between the lake's tables and a recompute of the lines; empty if nothing."""
    return shown(compared(recompute(lines, RULES), tables_of(lake)))


def shown(found: Sequence[Difference]) -> str:
    lines = [f"{len(found)} differences", *map(str, found[:20])]
    return "\n".join(lines) if found else ""


def versions(lake: Lake, names: Iterable[str] = TABLE_NAMES) -> dict[str, int]:
    """Version of every table that exists."""
    paths = {name: lake.tables.path(name) for name in names}
    return {
        name: DeltaTable(path).version()
        for name, path in paths.items()
        if DeltaTable.is_deltatable(path)
    }


def object_of(lake: Lake, day: date) -> Path:
    """The file of the only raw object of a day."""
    (row,) = lake.ledger.rows(dates=[day], is_quarantine=False).to_pylist()
    return Path(lake.store.uri(row["path"]))
