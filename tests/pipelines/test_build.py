"""Builds of the real statements, and of late events on top of them."""

from __future__ import annotations

import gzip
import random
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake import DeltaTable

from lake.ingest import IngestOptions, ingest_files
from lake.pipelines.build import build
from lake.pipelines.build_pass import BuildReport
from lake.pipelines.opened import Lake
from schemas.tables import TABLES
from tests.generators import canonical
from tests.laws.comparing import Row
from tests.laws.world import TABLE_NAMES, Tables, compared, ingest, tables_of
from tests.oracle.reading import pseudonym
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import RULES, shown, versions

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def take(lake: Lake, *paths: Path) -> None:
    options = IngestOptions.from_settings(lake.settings, format="xapi")
    ingest_files(lake.store, lake.ledger, list(paths), options)


@pytest.fixture(scope="module")
def whole(
    opened: OpenLake, tmp_path_factory: pytest.TempPathFactory, xapi_statements: Path
) -> tuple[Lake, Tables, list[BuildReport]]:
    """A lake of the real statements, its tables, and the reports of its one build."""
    lake = opened(tmp_path_factory.mktemp("whole"))
    take(lake, xapi_statements)
    reports = build(lake)
    return lake, tables_of(lake), reports


def test_build__real_statements_give_the_known_figures(
    whole: tuple[Lake, Tables, list[BuildReport]],
) -> None:
    _, tables, (report,) = whole
    assert (report.received_count, report.new_event_count) == (22_000, 22_000)
    assert report.quarantined_count == 0
    events, sessions = tables["silver.events"], tables["silver.sessions"]
    daily = tables["gold.student_daily_activity"]
    assert len(events) == 22_000
    assert len({row["student_hash"] for row in events}) == 1_452
    days = {row["date"] for row in events}
    assert len(days) == 8
    assert report.touched.dates == days
    lengths = [round(row["session_duration_seconds"] * 1_000_000) for row in sessions]
    assert len(sessions) == 8_027
    assert sum(lengths) == 5_265_984_914_645
    assert max(lengths) == 14_727_534_306
    assert sum(row["events_count"] == 1 for row in sessions) == 3_806
    assert len(daily) == 6_345
    spent = sum(round(row["total_time_spent_seconds"] * 1_000_000) for row in daily)
    assert spent == 5_265_984_914_645


def test_build__again_has_nothing_to_do(
    whole: tuple[Lake, Tables, list[BuildReport]], xapi_statements: Path
) -> None:
    lake, tables, _ = whole
    before = versions(lake, TABLES)
    take(lake, xapi_statements)
    assert build(lake) == []
    assert build(lake, sorted({row["date"] for row in tables["silver.events"]})) == []
    assert versions(lake, TABLES) == before


@pytest.mark.slow
def test_build__shuffled_pieces_and_all_of_it_again_give_the_same_tables(
    whole: tuple[Lake, Tables, list[BuildReport]],
    opened: OpenLake,
    tmp_path: Path,
    xapi_statements: Path,
) -> None:
    lines = gzip.decompress(xapi_statements.read_bytes()).splitlines()
    random.Random(11).shuffle(lines)
    pieces = []
    for number in range(50):
        pieces.append(tmp_path / f"{number}.jsonl")
        pieces[-1].write_bytes(b"\n".join(lines[number::50]))
    lake = opened(tmp_path / "lake")
    take(lake, *pieces)
    (first,) = build(lake)
    assert (first.object_count, first.new_event_count) == (400, 22_000)
    take(lake, xapi_statements)
    (second,) = build(lake)
    assert (second.received_count, second.new_event_count) == (22_000, 0)
    assert not second.touched
    found = compared(whole[1], tables_of(lake))
    assert not found, shown(found)


def student_names(statements: Path) -> dict[str, str]:
    """Identifier of every student by pseudonym."""
    lines = gzip.decompress(statements.read_bytes()).splitlines()
    names = {orjson.loads(line)["actor"]["account"]["name"] for line in lines}
    return {pseudonym(name, RULES): name for name in names}


def two_near_sessions(sessions: list[Row]) -> tuple[Row, Row]:
    """Two sessions of a student that an event between them would join; the second one is long."""
    ordered = sorted(sessions, key=lambda row: (row["student_hash"], row["session_start"]))
    for one, other in pairwise(ordered):
        silence = other["session_start"] - one["session_end"]
        if (
            one["student_hash"] == other["student_hash"]
            and silence < HOUR - SECOND
            and one["events_count"] > 2
            and other["events_count"] > 2
        ):
            return one, other
    raise AssertionError("the statements hold no such sessions")


def changed(name: str, before: Tables, after: Tables) -> list[Row]:
    """Rows of a table that are in one of the two only."""
    keys = TABLES[name].keys
    old = {tuple(row[key] for key in keys): row for row in before[name]}
    new = {tuple(row[key] for key in keys): row for row in after[name]}
    return [
        row
        for key in old.keys() | new.keys()
        for row in (old.get(key), new.get(key))
        if row is not None and old.get(key) != new.get(key)
    ]


def files_by_day(lake: Lake, name: str) -> dict[str, set[str]]:
    days: dict[str, set[str]] = {}
    for uri in DeltaTable(lake.tables.path(name)).file_uris():
        days.setdefault(uri.split("/")[-2].split("=")[1], set()).add(uri.split("/")[-1])
    return days


def test_build__late_events_change_the_sessions_and_days_that_they_touch(
    whole: tuple[Lake, Tables, list[BuildReport]],
    opened: OpenLake,
    tmp_path: Path,
    xapi_statements: Path,
) -> None:
    built, before, _ = whole
    lake = opened(Path(shutil.copytree(built.settings.root, tmp_path / "lake")))
    one, other = two_near_sessions(list(before["silver.sessions"]))
    student = one["student_hash"]
    between = one["session_end"] + (other["session_start"] - one["session_end"]) / 2
    days = {row["date"] for row in before["silver.events"]}
    lonely = datetime.combine(max(days), datetime.min.time(), UTC) + 5 * HOUR

    def late(event_id: str, who: str, at: datetime) -> dict[str, Any]:
        return {"event_id": event_id, "student_id": who, "event_type": "page_view",
                "timestamp": at.isoformat()}  # fmt: skip

    name = student_names(xapi_statements)[student]
    bodies = [late("late", name, between), late("lonely", "nobody before", lonely)]
    old_files = files_by_day(lake, "gold.student_daily_activity")
    ingest(lake, tmp_path / "late", map(canonical, bodies))
    (report,) = build(lake)
    after = tables_of(lake)

    assert (report.new_event_count, report.received_count) == (2, 2)
    nobody = pseudonym("nobody before", RULES)
    both = {one["session_id"], other["session_id"]}
    sessions = changed("silver.sessions", before, after)
    assert Counter(row["session_id"] for row in sessions if row["student_hash"] == student) == {
        one["session_id"]: 2,
        other["session_id"]: 1,
    }
    joined = next(row for row in after["silver.sessions"] if row["session_id"] == one["session_id"])
    assert joined["events_count"] == one["events_count"] + other["events_count"] + 1
    assert joined["session_end"] == other["session_end"]
    for row in changed("silver.events", before, after):
        is_new = row["event_id"] in ("late", "lonely")
        assert is_new or row["session_id"] in both
    for table in TABLE_NAMES:
        if "student_hash" in TABLES[table].column_names:
            students = {row["student_hash"] for row in changed(table, before, after)}
            assert students <= {student, nobody}, table

    moved = [row for row in before["silver.events"] if row["session_id"] == other["session_id"]]
    days = {one["session_end"].date(), between.date(), lonely.date(), *(r["date"] for r in moved)}
    assert report.touched.dates == days
    assert report.touched.session_dates == {one["date"], other["date"], lonely.date()}
    new_files = files_by_day(lake, "gold.student_daily_activity")
    same = {day for day in new_files if new_files[day] == old_files[day]}
    assert same == set(new_files) - {str(day) for day in days}
    assert same


def test_command__says_that_there_is_nothing_to_build(
    from_shell: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert from_shell("build") == 0
    assert "Nothing to build" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--date", "2024-02-30"),
        ("--date", "2024-02-29", "--to", "2024-03-01"),
        ("--from", "2024-02-29"),
        ("--from", "2024-02-29", "--to", "2024-02-28"),
    ],
)
def test_command__wrong_dates(from_shell: Callable[..., int], arguments: tuple[str, ...]) -> None:
    assert from_shell("build", *arguments) == 2
