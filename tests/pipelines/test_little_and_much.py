"""Little and much data take different ways to the same tables (decision 012)."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lake import limits
from lake.delta_reading import delta_rows
from lake.delta_writing import merge_rows
from lake.errors import LakeError
from lake.fencing import NO_FENCE
from lake.pipelines.build import build
from lake.time_spans import TimeSpans
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from tests.generators import canonical
from tests.laws.world import TABLE_NAMES, ingest
from tests.pipelines.lakes import DAYS, FIRST, difference_from, event, four_days

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake
    from tests.pipelines.conftest import OpenLake

ACTIVITY = "gold.student_daily_activity"


def hashes(lake: Lake) -> dict[str, str]:
    """student_hash by student: only s3 plays videos, and s1 was there first."""
    events = lake.tables.read("silver.events")
    found = {}
    for student, event_id in (("s1", "e000"), ("s3", "e200")):
        (row,) = events.where(f"event_id = '{event_id}'").select("student_hash").head(1)
        found[student] = row["student_hash"]
    return found


def falsify(lake: Lake, student_hash: str) -> None:
    table = DeltaTable(lake.tables.path(ACTIVITY))
    table.update(updates={"pages_viewed": "999"}, predicate=f"student_hash = '{student_hash}'")


def false_students(lake: Lake) -> set[str]:
    rows = lake.tables.read(ACTIVITY).where("pages_viewed = 999").select("student_hash")
    return {row["student_hash"] for row in rows.collect()}


def test_build__derives_the_touched_students_of_large_days_alone(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened(tmp_path / "lake")
    ingest(lake, tmp_path / "first", four_days())
    build(lake)
    students = hashes(lake)
    for student_hash in students.values():
        falsify(lake, student_hash)

    # Days of s3's videos, on which s1 was active as well.
    late = [event(900 + n, FIRST.replace(day=28 + n, hour=23), "s3", "page_view") for n in range(2)]
    ingest(lake, tmp_path / "late", [canonical(body) for body in late])
    monkeypatch.setattr(limits, "WHOLE_DAY_ROWS", 0)
    (report,) = build(lake)
    assert report.touched.dates == set(DAYS[:2])
    # What was false of s3 is right on the touched days; the rows of s1 were copied, not derived.
    assert students["s1"] in false_students(lake)
    touched = lake.tables.read_days(ACTIVITY, DAYS[:2])
    assert not touched.where(f"student_hash = '{students['s3']}' AND pages_viewed = 999").head(1)


def test_read_sharing__finds_rows_by_either_column_however_many_there_are(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened(tmp_path / "lake")
    ingest(lake, tmp_path / "files", four_days())
    build(lake)
    columns = ("student_hash", "event_id")
    rows = lake.tables.read_days("silver.events", DAYS, columns=columns).collect()
    student = rows[0]["student_hash"]
    event_id = next(row["event_id"] for row in rows if row["student_hash"] != student)
    wanted = {row for row in rows if row["student_hash"] == student or row["event_id"] == event_id}
    having = lake.spark.createDataFrame(pa.table([[student], [event_id]], names=columns))

    always = TimeSpans.of_days("ts", DAYS)
    found = lake.tables.read_sharing("silver.events", DAYS, columns, having, always).collect()
    assert set(found) == wanted
    assert len(found) == len(wanted)
    monkeypatch.setattr(limits, "SEARCHED_ROWS", 0)
    # Too many to be looked at: all of them, of which the caller chooses.
    everything = lake.tables.read_sharing("silver.events", DAYS, columns, having, always).collect()
    assert set(everything) == set(rows)


@pytest.mark.parametrize("limit", [0, limits.SEARCHED_ROWS])
def test_reading__within_times_gives_exactly_their_rows(
    limit: int, opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened(tmp_path / "lake")
    # Statistics are cut to milliseconds, and times are not.
    first, last = (FIRST + timedelta(microseconds=n) for n in (900, 5_900))
    for number, at in enumerate((first, last, FIRST + timedelta(days=1))):
        ingest(lake, tmp_path / f"file-{number}", [canonical(event(number, at, "s1", "page_view"))])
        build(lake)
    for name in ("SEARCHED_ROWS", "FEW_ROWS"):
        monkeypatch.setattr(limits, name, limit)
    columns = ("student_hash", "event_id")
    having = lake.tables.read_days("silver.events", DAYS, columns=columns).distinct()
    spans = {
        (first, last): {"e000"},
        (first + timedelta(microseconds=1), last): set(),
        (last, FIRST + timedelta(hours=1)): {"e001"},
        (FIRST, FIRST + timedelta(days=2)): {"e000", "e001", "e002"},
    }
    for span, expected in spans.items():
        within = TimeSpans.covering("ts", [span])
        for rows in (
            lake.tables.read_days("silver.events", DAYS, None, columns, within),
            lake.tables.read_sharing("silver.events", DAYS, columns, having, within),
        ):
            assert {row["event_id"] for row in rows.collect()} == expected
        assert lake.tables.rows_at_most("silver.events", DAYS, within) >= len(expected)
    nothing = TimeSpans.covering("ts", [(FIRST + timedelta(hours=1), FIRST + timedelta(hours=2))])
    assert lake.tables.rows_at_most("silver.events", DAYS, nothing) == 0


@pytest.mark.parametrize("limit", [0, limits.COLLECTED_ROWS])
def test_replace_dates__refuses_a_column_of_another_type(
    limit: int, opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
    lake = opened(tmp_path / "lake")
    before = arrow_schema(TABLES[ACTIVITY])
    place = before.get_field_index("total_time_spent_seconds")
    before = before.set(place, pa.field("total_time_spent_seconds", pa.int64()))
    path = lake.tables.path(ACTIVITY)
    DeltaTable.create(path, before, partition_by="date", name=ACTIVITY)
    rows = lake.tables.read(ACTIVITY)
    with pytest.raises(LakeError, match=f"total_time_spent_seconds of {ACTIVITY} is long"):
        lake.tables.replace_dates(ACTIVITY, rows, DAYS, "a build", at_most=1)
    assert DeltaTable(path).version() == 0


def test_build__little_and_much_are_written_alike(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described, judged = [], []
    for number, limit in enumerate((0, limits.COLLECTED_ROWS)):
        monkeypatch.setattr(limits, "COLLECTED_ROWS", limit)
        lake = opened(tmp_path / f"lake{number}")
        ingest(lake, tmp_path / f"files{number}", four_days())
        (report,) = build(lake)
        opened_tables = {name: DeltaTable(lake.tables.path(name)) for name in TABLE_NAMES}
        described.append(
            {
                name: (
                    [(f.name, f.type, f.metadata.get("comment")) for f in table.schema().fields],
                    table.metadata().partition_columns,
                    table.metadata().configuration.get("delta.dataSkippingStatsColumns"),
                    table.history(1)[0]["userMetadata"] == report.build_id,
                )
                for name, table in opened_tables.items()
                if name != "silver.quarantine"
            }
        )
        results = lake.tables.read("bronze.gate_results").where("expectation LIKE 'unique(%'")
        judged.append({(row["table_name"], row["observed"]) for row in results.collect()})
    assert described[0] == described[1]
    # Whoever writes, each key is known to come once.
    assert judged[0] == judged[1]
    assert {(name, 0.0) for name in TABLE_NAMES if name != "silver.quarantine"} <= judged[0]
    assert all(is_named for *_, is_named in described[0].values())


def test_merge__leaves_files_alone_whose_rows_stay_where_they_are(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.delta_writing.MERGED_FILE_BYTES", 1)
    lake = opened(tmp_path / "lake")
    lines: list[bytes] = []

    def take(name: str, first: int, at: datetime) -> set[str]:
        """Take what ten students do in ten minutes; the files of the table."""
        bodies = [
            event(first + n, at + n * timedelta(minutes=1), f"s{n}", "page_view") for n in range(10)
        ]
        lines.extend(map(canonical, bodies))
        ingest(lake, tmp_path / name, lines[-10:])
        build(lake)
        return set(DeltaTable(lake.tables.path("silver.events")).file_uris())

    early = take("early", 0, FIRST.replace(hour=1))
    noon = take("noon", 100, FIRST.replace(hour=12))
    assert early < noon
    # These move the last rows of noon: they are no longer the last of their sessions.
    after = take("after", 200, FIRST.replace(hour=12, minute=15))
    assert early < after
    assert not (noon - early) & after
    table = DeltaTable(lake.tables.path("silver.events"))
    assert table.history(2)[1]["operation"] == "MERGE"
    assert table.metadata().configuration["delta.targetFileSize"] == "1"
    # Spark goes on with a table that has a property which it does not know.
    for name in ("COLLECTED_ROWS", "COPIED_ROWS", "SEARCHED_ROWS", "FEW_ROWS"):
        monkeypatch.setattr(limits, name, 0)
    take("much", 300, FIRST.replace(hour=12, minute=25))
    assert not difference_from(lake, lines)


def test_merge__writes_several_files_of_the_size_that_it_sets(tmp_path: Path) -> None:
    numbers = pa.array(range(50_000))
    rows = pa.table(
        {"key": numbers, "text": [sha256(b"%d" % n).hexdigest() for n in range(50_000)]}
    )
    write_deltalake(tmp_path / "table", rows)
    table = DeltaTable(tmp_path / "table")

    def merge(key: int) -> None:
        merge_rows(
            table, pa.table({"key": [key], "text": ["new"]}), "old.key = new.key",
            update={"text": "new.text"}, insert={}, delete_when=None, fence=NO_FENCE,
        )  # fmt: skip

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lake.delta_writing.MERGED_FILE_BYTES", 500_000)
        merge(7)
        first = set(table.file_uris())
        assert len(first) > 3
        merge(7)
        assert len(first & set(table.file_uris())) >= len(first) - 1
    assert delta_rows(table, rows.schema, "text = 'new'")["key"].to_pylist() == [7]
