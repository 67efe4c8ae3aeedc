"""Upkeep changes no row, takes nothing that is in use, and takes all that is not."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable, write_deltalake

import jobs.maintain
from lake.delta_reading import delta_rows
from lake.errors import LakeError
from lake.landing.bronze import Bronze
from lake.ledger import Ledger, ledger_rows
from lake.locks import lock_of
from lake.maintenance import PARTS, Outcome, Plan, maintain
from lake.maintenance.compaction import Job, jobs_of
from lake.maintenance.table_state import TableFile
from lake.maintenance.work import LONGEST_RETENTION
from lake.pipelines.build import build
from lake.pipelines.journal import Journal, Touched
from lake.pipelines.opened import open_lake
from lake.pipelines.records.contents import records_journal
from lake.query import readable_errors, sql
from lake.raw_objects import GzipLines, Origin, put_lines
from lake.settings import Settings
from lake.storage import ObjectStore, open_store
from schemas.derivations import arrow_schema
from schemas.tables import TABLES
from schemas.tables.bronze import RAW_OBJECTS
from tests.lake.deletion_vectors import hide_rows
from tests.lake.raw_zone import RawZone, event, write_lines
from tests.lake.test_ledger import append
from tests.landing.files import HEADER, bronze_rows
from tests.landing.zones import School
from tests.laws.world import ingest
from tests.pipelines.lakes import KEY, difference_from, four_days
from tests.services import Minio

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from schemas.table import Table

EVENTS = TABLES["silver.events"]
SESSIONS = TABLES["silver.sessions"]
DAYS = (date(2025, 9, 1), date(2025, 9, 2))
EIGHT_DAYS = timedelta(days=8)
FILES, ROWS = 8, 40


@pytest.fixture(params=["local", "s3"])
def lake_settings(request: pytest.FixtureRequest, settings: Callable[..., Settings]) -> Settings:
    if request.param == "local":
        return settings()
    minio: Minio = request.getfixturevalue("minio")
    return minio.settings()


@pytest.fixture
def store(lake_settings: Settings) -> ObjectStore:
    return open_store(lake_settings)


def plan(*parts: str, later: timedelta = timedelta(0), **more: Any) -> Plan:
    return Plan(datetime.now(UTC) + later, frozenset(parts), patience=timedelta(0), **more)


def done(store: ObjectStore, *parts: str, **more: Any) -> dict[str, Outcome]:
    """Outcomes of the parts by what they were done to; none may be a fault."""
    outcomes = list(maintain(store, plan(*parts, **more)))
    assert not [outcome for outcome in outcomes if outcome.is_fault]
    return {outcome.subject: outcome for outcome in outcomes}


def filled(schema: pa.Schema, **values: Any) -> dict[str, Any]:
    """A row with something in every column that may not be null."""
    some = {
        "string": "-",
        "bool": False,
        "date32[day]": DAYS[0],
        "timestamp[us, tz=UTC]": datetime(2025, 9, 1, tzinfo=UTC),
    }
    required = {f.name: some.get(str(f.type), {}) for f in schema if not f.nullable}
    return {**required, **values}


def event_rows(numbers: Sequence[int], day: date) -> list[dict[str, Any]]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [
        filled(
            arrow_schema(EVENTS),
            event_id=f"e-{number}",
            date=day,
            ts=start + timedelta(seconds=number),
            _body_hash=f"{number:016x}",
        )
        for number in numbers
    ]


def write_events(store: ObjectStore, days: Sequence[date] = DAYS) -> DeltaTable:
    """silver.events of many small files, each of which holds events of its whole day."""
    shuffled = random.Random(7).sample(range(FILES * ROWS), FILES * ROWS)
    for number in range(FILES):
        for day in days:
            numbers = shuffled[number * ROWS : (number + 1) * ROWS]
            write_deltalake(
                store.delta_uri(EVENTS.path),
                pa.Table.from_pylist(event_rows(numbers, day), arrow_schema(EVENTS)),
                mode="append",
                partition_by="date",
                configuration={
                    "delta.enableDeletionVectors": "true",
                    "delta.dataSkippingStatsColumns": "ts,session_start",
                },
                storage_options=store.storage_options,
            )
    return delta(store, "silver.events")


def delta(store: ObjectStore, name: str) -> DeltaTable:
    uri = store.delta_uri(TABLES[name].path)
    return DeltaTable(uri, storage_options=store.storage_options)


def files_of(store: ObjectStore, name: str) -> list[dict[str, Any]]:
    actions = delta(store, name).get_add_actions(flatten=True)
    rows: list[dict[str, Any]] = pa.table(actions).to_pylist()
    return rows


def rows_of(store: ObjectStore, name: str) -> list[dict[str, Any]]:
    """The table's rows as delta-rs reads them, in the order of their keys."""
    rows = delta_rows(delta(store, name), arrow_schema(TABLES[name]))
    return sorted(rows.to_pylist(), key=lambda row: tuple(str(row[k]) for k in TABLES[name].keys))


def digest(settings: Settings, name: str) -> tuple[Any, ...]:
    """Count and digest of the rows as another reader, DuckDB, sees them."""
    query = f"SELECT count(*), sum(hash(t)::HUGEINT) FROM {name} t"
    with readable_errors():
        found = sql(settings, query).fetchone()
    assert found is not None
    return found


def hide(store: ObjectStore, count: int = 3) -> str:
    """Hide the first rows of two files of the first day."""
    table = delta(store, "silver.events")
    paths = sorted(p for p in table.get_add_actions()["path"].to_pylist() if str(DAYS[0]) in p)
    hidden = {path: range(count) for path in paths[:2]}
    return hide_rows(store, EVENTS, table.version(), hidden)


def everything(store: ObjectStore) -> dict[str, int]:
    zones = ("events", "tables")
    return {item.key: item.bytes for zone in zones for item in store.list_with_times(zone)}


def last_commit(store: ObjectStore, name: str) -> list[dict[str, Any]]:
    version = delta(store, name).version()
    key = f"{TABLES[name].path}/_delta_log/{version:020d}.json"
    return [json.loads(line) for line in store.get(key).splitlines()]


def test_store__deletes_only_what_was_not_written_since(store: ObjectStore) -> None:
    earlier = datetime.now(UTC) - timedelta(minutes=1)
    store.put("events/a/1", b"one")
    store.put("events/a/.2", b"four")
    found = sorted(store.list_with_times("events"), key=lambda item: item.key)
    assert [(item.key, item.bytes) for item in found] == [("events/a/.2", 4), ("events/a/1", 3)]
    assert all(earlier < item.modified < earlier + timedelta(hours=1) for item in found)
    assert list(store.list_with_times("nowhere")) == []
    assert not store.delete_older("events/a/1", earlier)
    assert store.exists("events/a/1")
    later = earlier + timedelta(hours=1)
    assert [store.delete_older("events/a/1", later) for _ in range(2)] == [True, False]
    assert not store.exists("events/a/1")


def test_optimize__keeps_every_row_and_orders_files_by_time(
    store: ObjectStore, lake_settings: Settings
) -> None:
    write_events(store)
    hide(store)
    before, seen = rows_of(store, "silver.events"), digest(lake_settings, "silver.events")
    assert len(before) == 2 * FILES * ROWS - 6
    outcome = done(store, "optimize", target_bytes=40_000)["silver.events"]
    assert (outcome.files_before, outcome.changes) == (2 * FILES, 2 * FILES)
    assert rows_of(store, "silver.events") == before
    assert digest(lake_settings, "silver.events") == seen
    changes = [c.get("add") or c.get("remove") or {} for c in last_commit(store, "silver.events")]
    assert not any(change.get("dataChange") for change in changes)
    files = files_of(store, "silver.events")
    assert outcome.files_after == len(files) < 2 * FILES
    assert sum(file["num_records"] for file in files) == len(before)
    for day in DAYS:
        spans = sorted((f["min.ts"], f["max.ts"]) for f in files if f["partition.date"] == day)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    again = done(store, "optimize", target_bytes=40_000)["silver.events"]
    assert (again.changes, again.note) == (0, "no day has 8 small files")


def test_optimize__sorts_into_several_files_that_do_not_overlap(
    store: ObjectStore,
) -> None:
    write_events(store, DAYS[:1])
    size = sum(file["size_bytes"] for file in files_of(store, "silver.events"))
    done(store, "optimize", target_bytes=size // FILES // 3)
    assert len(files_of(store, "silver.events")) == FILES  # none is small
    done(store, "optimize", target_bytes=size // FILES * 3)
    files = files_of(store, "silver.events")
    spans = sorted((file["min.ts"], file["max.ts"]) for file in files)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_jobs__sort_a_day_anew_only_where_much_of_it_is_new() -> None:
    def files(*sizes: int, hidden: int = 0) -> list[TableFile]:
        return [
            TableFile(f"{number}", size, "2025-09-01", size, hidden, None)
            for number, size in enumerate(sizes)
        ]

    wanted = plan("optimize", min_files=3, target_bytes=100)
    assert jobs_of(EVENTS, files(10, 10, 90), wanted) == []
    assert jobs_of(EVENTS, files(10, 10, 10), wanted) == [Job("2025-09-01", 30, 3, 1, "ts")]
    late = files(10, 10, 10, 90, 90)
    assert jobs_of(EVENTS, late, wanted) == [Job("2025-09-01", 30, 3, 1, None)]
    late = files(10, 10, 20, 90)
    assert jobs_of(EVENTS, late, wanted) == [Job("2025-09-01", 130, 4, 2, "ts")]
    assert jobs_of(SESSIONS, late, wanted) == [Job("2025-09-01", 40, 3, 1, None)]
    assert jobs_of(EVENTS, files(100, hidden=4), wanted) == []
    assert jobs_of(EVENTS, files(100, hidden=5), wanted) == [Job("2025-09-01", 100, 1, 1, "ts")]


def test_optimize__rewrites_a_day_of_hidden_rows(store: ObjectStore) -> None:
    write_events(store, DAYS[:1])
    done(store, "optimize")
    (path,) = delta(store, "silver.events").get_add_actions()["path"].to_pylist()
    enough = FILES * ROWS // 20
    hide_rows(store, EVENTS, delta(store, "silver.events").version(), {path: range(enough)})
    before = rows_of(store, "silver.events")
    assert len(before) == FILES * ROWS - enough
    assert done(store, "optimize")["silver.events"].changes == 1
    (file,) = files_of(store, "silver.events")
    assert file["num_records"] == len(before)
    assert rows_of(store, "silver.events") == before
    assert done(store, "optimize")["silver.events"].changes == 0


def test_optimize__leaves_a_table_that_a_build_holds(store: ObjectStore) -> None:
    write_events(store)
    with store.lease("build"):
        outcome = done(store, "optimize")["silver.events"]
    assert outcome.is_left
    assert outcome.note.startswith("left for later: Another process holds the lock 'build'")
    assert (outcome.changes, len(files_of(store, "silver.events"))) == (0, 2 * FILES)
    assert done(store, "optimize")["silver.events"].files_after == 2


PLACES = ("MATH-9", "Kunst & Ton/1", "it's 100%", "日本語")


def write_held(store: ObjectStore) -> None:
    """silver.records_held of many small files in partitions with all kinds of names."""
    table = TABLES["silver.records_held"]
    for number in range(FILES):
        rows = [
            filled(
                arrow_schema(table),
                source=place,
                student_hash=f"{number:064x}",
                _content_hash="c",
                _row=number + 1,
            )
            for place in PLACES
        ]
        append_rows(store, table, rows)


def append_rows(store: ObjectStore, table: Table, rows: list[dict[str, Any]]) -> None:
    write_deltalake(
        store.delta_uri(table.path),
        pa.Table.from_pylist(rows, arrow_schema(table)),
        mode="append",
        partition_by=table.partition_by,
        storage_options=store.storage_options,
    )


def test_optimize__leaves_the_partition_of_rows_without_a_value(store: ObjectStore) -> None:
    table = TABLES["silver.fact_attendance"]
    day = date(2025, 11, 17)
    for number in range(FILES):
        rows = [
            filled(
                arrow_schema(table),
                attendance_id=f"{number}{at}",
                attendance_date=at,
                quality_flags=[],
                _row=number,
            )
            for at in (day, None)
        ]
        append_rows(store, table, rows)
    before = rows_of(store, table.name)
    outcome = done(store, "optimize")[table.name]
    assert (outcome.files_before, outcome.files_after) == (2 * FILES, FILES + 1)
    assert rows_of(store, table.name) == before


def test_optimize__joins_partitions_of_any_name_and_vacuum_takes_the_old_ones(
    store: ObjectStore, lake_settings: Settings
) -> None:
    name = "silver.records_held"
    write_held(store)
    before, seen = rows_of(store, name), digest(lake_settings, name)
    outcome = done(store, "optimize")[name]
    assert (outcome.files_before, outcome.files_after) == (FILES * len(PLACES), len(PLACES))
    assert outcome.note == f"{len(PLACES)} partitions"
    assert done(store, "vacuum", later=EIGHT_DAYS)[name].files_after == len(PLACES)
    assert rows_of(store, name) == before
    assert digest(lake_settings, name) == seen


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("silver.fact_enrollments", "records"),
        ("restricted.student_directory", "records"),
        ("gold.class_daily_performance", "records"),
        ("bronze.record_builds", "records"),
        ("gold.student_360", "picture"),
        ("silver.ticket_labels", "tickets"),
        ("gold.student_daily_activity", "build"),
        ("bronze.attendance", None),
    ],
)
def test_lock_of__is_that_of_the_writers(name: str, lock: str | None) -> None:
    assert lock_of(TABLES[name]) == lock


def test_optimize__leaves_records_that_a_build_holds(store: ObjectStore) -> None:
    write_held(store)
    with store.lease("build"), store.lease("records"):
        assert done(store, "optimize")["silver.records_held"].is_left
    with store.lease("build"):
        assert not done(store, "optimize")["silver.records_held"].is_left


def attendance_file(number: int) -> str:
    """200 rows that cannot be compressed."""
    draw = random.Random(number)
    rows = (f"{draw.getrandbits(256):x},s,d,P,{draw.getrandbits(256):x}\n" for _ in range(200))
    return f"{HEADER}\n{''.join(rows)}"


def test_maintain__keeps_landed_files_apart_and_known(lake_root: Path) -> None:
    """Joined, their rows lie in the order of their contents; what was landed stays landed."""
    zone = School(lake_root)
    for number in range(12):
        zone.put(f"attendance_{number}.csv", attendance_file(number))
        zone.land()
    before = bronze_rows(zone.store)
    for log in lake_root.glob("tables/bronze/*/_delta_log/*"):
        os.utime(log, (1e9, 1e9))
    with zone.store.lease("land"):
        outcomes = done(zone.store, "optimize", "ledger", target_bytes=100_000)
    assert outcomes["bronze.attendance"].changes == 12
    assert outcomes["bronze.landed_files"].changes > 0
    files = sorted(files_of(zone.store, "bronze.attendance"), key=lambda f: f["min._content_hash"])
    assert len(files) > 1
    for earlier, later in pairwise(files):
        assert earlier["max._content_hash"] <= later["min._content_hash"]
    assert bronze_rows(zone.store) == before
    zone.put("attendance_again.csv", attendance_file(3))
    (known,) = zone.land()
    assert known.kind == "known"
    bronze = Bronze(zone.store)
    assert all(bronze.has_rows_of("attendance", content) for content in bronze.landed())


def test_ledger__keeps_the_journal_of_records(lake_root: Path) -> None:
    store = open_store(Settings(root=str(lake_root)))
    journal = records_journal(store)
    for number in range(12):
        journal.record(f"b{number}", "publishing", Touched(), [f"students/{number}"])
        journal.record(f"b{number}", "finished", Touched(), [f"students/{number}"])
    assert done(store, "ledger")["bronze.record_builds"].files_after == 1
    fresh = records_journal(store)
    assert fresh.applied_paths() == {f"students/{number}" for number in range(12)}
    assert fresh.unfinished() == []


def test_vacuum__takes_vectors_only_when_no_version_needs_them(
    store: ObjectStore, lake_settings: Settings
) -> None:
    write_events(store)
    name = hide(store)
    live = f"{EVENTS.path}/{name}"
    orphan = f"{EVENTS.path}/deletion_vector_0ae92d04-bdaa-449e-89a3-50d5d8e7406a.bin"
    store.put(orphan, b"\x01")
    seen = digest(lake_settings, "silver.events")
    assert done(store, "vacuum", later=timedelta(days=6))["silver.events"].changes == 0
    assert done(store, "vacuum", later=EIGHT_DAYS)["silver.events"].changes == 1
    assert (store.exists(live), store.exists(orphan)) == (True, False)
    assert digest(lake_settings, "silver.events") == seen
    done(store, "optimize")
    assert done(store, "vacuum")["silver.events"].changes == 0
    assert store.exists(live)
    assert done(store, "vacuum", later=EIGHT_DAYS)["silver.events"].changes == 2 * FILES + 1
    assert not store.exists(live)
    assert digest(lake_settings, "silver.events") == seen
    delta(store, "silver.events").create_checkpoint()
    assert done(store, "vacuum", later=EIGHT_DAYS)["silver.events"].changes == 0
    assert digest(lake_settings, "silver.events") == seen


def test_vacuum__reads_vectors_from_checkpoints_too(
    store: ObjectStore, lake_settings: Settings
) -> None:
    write_events(store)
    name = hide(store)
    delta(store, "silver.events").create_checkpoint()
    seen = digest(lake_settings, "silver.events")
    assert done(store, "vacuum", later=timedelta(days=90))["silver.events"].changes == 0
    assert store.exists(f"{EVENTS.path}/{name}")
    assert digest(lake_settings, "silver.events") == seen


def test_vacuum__leaves_what_it_cannot_read_for_sure(store: ObjectStore) -> None:
    write_events(store)
    log = f"{EVENTS.path}/_delta_log/"
    other = f"{log}00000000000000000003.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"
    store.put(other, b"{}")
    store.put(f"{EVENTS.path}/part-of-a-dead-writer.parquet", b"")
    (outcome,) = maintain(store, plan("vacuum", later=EIGHT_DAYS))
    assert (outcome.is_fault, outcome.changes) == (True, 0)
    store.delete(other)
    store.delete(f"{log}00000000000000000004.json")
    (outcome,) = maintain(store, plan("vacuum", later=EIGHT_DAYS))
    assert outcome.is_fault
    assert store.exists(f"{EVENTS.path}/part-of-a-dead-writer.parquet")


def test_vacuum__keeps_files_of_the_ledger_for_stopped_streams(store: ObjectStore) -> None:
    ledger = Ledger(store)
    for offset in range(8):
        append(ledger, "a", offset)
    done(store, "ledger")
    assert done(store, "vacuum", later=timedelta(days=29))["bronze.raw_objects"].changes == 0
    assert done(store, "vacuum", later=timedelta(days=31))["bronze.raw_objects"].changes == 8
    assert ledger.rows().num_rows == 8


def test_sweep__takes_exactly_old_objects_that_were_never_committed(
    store: ObjectStore, tmp_path: Path
) -> None:
    zone = RawZone(store)
    large = event(7, page_url="https://x.example/" + "a" * 2_000)
    zone.ingest(
        write_lines(tmp_path / "in.jsonl", [event(1), large, b"{", event(2)]),
        max_record_bytes=1_500,
    )
    records = zone.quarantined()
    (apart,) = [record["raw_object"] for record in records if "raw_object" in record]
    lines = GzipLines()
    lines.add(b"{}")
    origin = Origin("native", "of a writer that died")
    orphan, _ = put_lines(store, "raw", origin, DAYS[0], (0, 0), lines)
    rejected, _ = put_lines(store, "quarantine", origin, DAYS[0], (0, 0), lines)
    forgotten = f"{rejected.rpartition('/')[0]}/{origin.prefix}-{3:012d}.large"
    store.put(forgotten, b"never committed")
    before = zone.lines()
    assert done(store, "sweep")["events/raw"].note == "1 not committed, too young"
    assert done(store, "sweep", later=timedelta(hours=23))["events/raw"].changes == 0
    swept = done(store, "sweep", later=timedelta(hours=25))
    assert [swept[z].changes for z in ("events/raw", "events/quarantine")] == [1, 2]
    assert not any(store.exists(key) for key in (orphan, rejected, forgotten))
    assert store.exists(apart)
    assert (zone.lines(), zone.quarantined()) == (before, records)
    again = done(store, "sweep", later=timedelta(hours=25))
    assert [outcome.changes for outcome in again.values()] == [0, 0, 0]


def test_sweep__takes_temporary_files_of_dead_writers(lake_root: Path) -> None:
    store = open_store(Settings(root=str(lake_root)))
    append(Ledger(store), "a", 0)
    log = lake_root / RAW_OBJECTS.path / "_delta_log"
    names = (".put-x1", "_commit_5.json.tmp", ".00000000000000000009.json.a.tmp", "9.json#1")
    old, young = [log / name for name in names], log / ".put-young"
    for path in (*old, young):
        path.write_bytes(b"x")
    for path in (*old, *log.glob("0*")):
        os.utime(path, (1e9, 1e9))
    assert done(store, "sweep")["temporary files"].changes == len(names)
    assert (young.exists(), [path.exists() for path in old]) == (True, [False] * len(names))
    assert Ledger(store).rows().num_rows == 1


def test_sweep__takes_nothing_where_the_ledger_seems_to_be_gone(store: ObjectStore) -> None:
    lines = GzipLines()
    lines.add(b"{}")
    keys = [
        put_lines(store, "raw", Origin("native", f"source {n}"), DAYS[0], (0, 0), lines)[0]
        for n in range(12)
    ]
    assert "events/raw" not in done(store, "sweep", later=EIGHT_DAYS)  # no ledger at all
    ledger = Ledger(store)
    append(ledger, "a", 0)
    raw, *_ = maintain(store, plan("sweep", later=EIGHT_DAYS))
    assert (raw.is_fault, raw.changes) == (True, 0)
    assert raw.note.startswith("12 objects are not in the ledger; none was removed.")
    assert all(store.exists(key) for key in keys)
    forced = done(store, "sweep", later=EIGHT_DAYS, is_forced=True)
    assert forced["events/raw"].changes == 12


def test_ledger__is_compacted_under_writers_that_lose_nothing(store: ObjectStore) -> None:
    compacted, ended = Event(), Event()

    def write(source: str) -> None:
        ledger = Ledger(store)
        for offset in range(12):
            if offset == 6:
                # However slow the machine is: one compaction at least comes in between.
                assert compacted.wait(300)
            append(ledger, source, offset)

    def compact() -> int:
        changes = 0
        while not ended.is_set():
            changes += sum(o.changes for o in done(store, "ledger", min_files=2).values())
            if changes:
                compacted.set()
        return changes

    with ThreadPoolExecutor(4) as pool:
        compacting = pool.submit(compact)
        try:
            list(pool.map(write, "abc"))
        finally:
            ended.set()
        assert compacting.result() > 0
    done(store, "ledger", min_files=2)
    ledger = Ledger(store)
    assert len({r.path for r in ledger_rows(ledger.rows())}) == 36
    assert [ledger.resume_offset("native", source) for source in "abc"] == [12, 12, 12]
    assert len(files_of(store, "bronze.raw_objects")) == 1


def test_ledger__keeps_the_journal_and_drops_old_commits(lake_root: Path) -> None:
    store = open_store(Settings(root=str(lake_root)))
    ledger, journal = Ledger(store), Journal(store)
    for offset in range(12):
        append(ledger, "a", offset)
        journal.record(f"b{offset}", "publishing", Touched(), [f"p{offset}"])
        journal.record(f"b{offset}", "finished", Touched(), [f"p{offset}"])
    for log in lake_root.glob("tables/bronze/*/_delta_log/*"):
        os.utime(log, (1e9, 1e9))
    notes = {name: outcome.note for name, outcome in done(store, "ledger").items()}
    assert "old commits removed" in notes["bronze.raw_objects"]
    assert "old commits removed" in notes["bronze.builds"]
    assert len(list(lake_root.glob("tables/bronze/builds/_delta_log/*.json"))) <= 2
    fresh, again = Journal(store), Ledger(store)
    assert fresh.applied_paths() == {f"p{offset}" for offset in range(12)}
    assert len(rows_of(store, "bronze.builds")) == 24
    assert (again.rows().num_rows, again.resume_offset("native", "a")) == (12, 12)
    append(again, "a", 12)
    assert all(outcome.changes == 0 for outcome in done(store, "ledger").values())


def test_maintain__dry_run_changes_nothing_and_a_second_run_has_nothing_to_do(
    store: ObjectStore, tmp_path: Path
) -> None:
    zone = RawZone(store)
    for number in range(9):
        zone.ingest(write_lines(tmp_path / f"{number}.jsonl", [event(number)]))
    write_events(store)
    put_lines(store, "raw", Origin("native", "dead"), DAYS[0], (0, 0), GzipLines())
    before = everything(store)
    dry = done(store, *PARTS, later=EIGHT_DAYS, is_dry_run=True)
    assert everything(store) == before
    assert dry["events/raw"].changes == 1
    assert [o.changes for o in maintain(store, plan("optimize", is_dry_run=True))] == [2 * FILES]
    assert done(store, "ledger", is_dry_run=True)["bronze.raw_objects"].files_after == 1
    assert everything(store) == before
    done(store, *PARTS)
    done(store, *PARTS, later=timedelta(days=40))
    left = everything(store)
    assert [o for o in maintain(store, plan(*PARTS, later=timedelta(days=40))) if o.changes] == []
    assert everything(store) == left


def test_maintain__of_an_empty_lake_makes_nothing(store: ObjectStore) -> None:
    outcomes = list(maintain(store, plan(*PARTS)))
    assert [outcome.subject for outcome in outcomes] == ["temporary files"]
    assert everything(store) == {}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"retention": timedelta(hours=23)}, "--retention-days 1 or more"),
        ({"retention": LONGEST_RETENTION * 2}, "--retention-days 7 or fewer"),
        ({"orphan_age": timedelta(minutes=59)}, "--orphan-age-hours 1 or more"),
    ],
    ids=["retention-too-short", "retention-too-long", "orphans-too-young"],
)
def test_plan__refuses_unsafe_ages(limits: dict[str, timedelta], message: str) -> None:
    with pytest.raises(LakeError, match=message):
        plan("vacuum", **limits)
    if "fewer" not in message:
        plan("vacuum", is_forced=True, **limits)


def test_command__says_what_it_did(lake_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSLAKE_ROOT", str(lake_root))
    store = open_store(Settings(root=str(lake_root)))
    append(Ledger(store), "a", 0)
    write_events(store)
    first = CliRunner().invoke(jobs.maintain.command, ["--dry-run", "--only", "optimize, ledger"])
    assert (first.exit_code, "Were it no dry run" in first.output) == (0, True), first.output
    second = CliRunner().invoke(jobs.maintain.command, [])
    assert (second.exit_code, second.output.splitlines()[-1]) == (
        0,
        f"{2 * FILES - 2} fewer files in use; 0 files (0 KiB) removed.",
    )
    third = CliRunner().invoke(jobs.maintain.command, [])
    assert (third.exit_code, third.output.splitlines()[-1]) == (0, "Nothing to do.")
    with store.lease("build"):
        for number in range(8):
            rows = event_rows([5_000 + number], DAYS[0])
            late = pa.Table.from_pylist(rows, arrow_schema(EVENTS))
            write_deltalake(delta(store, "silver.events"), late, mode="append")
        held = CliRunner().invoke(jobs.maintain.command, ["--wait-minutes", "0"])
    assert held.exit_code == 0
    assert held.output.splitlines()[-1].endswith("Left for the next run: silver.events.")
    assert CliRunner().invoke(jobs.maintain.command, ["--only", "everything"]).exit_code == 2
    assert jobs.maintain.PARTS == PARTS
    store.put(f"{EVENTS.path}/_delta_log/{3:020d}.checkpoint.x.parquet", b"")
    fault = CliRunner().invoke(jobs.maintain.command, [])
    assert (fault.exit_code, "FAILED" in fault.output) == (1, True)


@pytest.mark.slow
def test_maintain__between_builds_leaves_the_tables_right(
    spark: SparkSession,
    settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So that rows move as much data does: by Spark, with deletion vectors.
    monkeypatch.setattr("lake.limits.COLLECTED_ROWS", 0)
    lines = four_days()
    late = [line for number, line in enumerate(lines) if number % 5 == 0]
    first = [line for number, line in enumerate(lines) if number % 5]
    with open_lake(settings(pseudonym_key=KEY), "tests", spark=spark) as lake:
        ingest(lake, tmp_path, first)
        build(lake)
        ingest(lake, tmp_path, late[::2])
        build(lake)
        assert list((Path(lake.store.uri(EVENTS.path))).glob("*.bin")), "no row was moved"
        everything_done = done(lake.store, *PARTS, later=EIGHT_DAYS, min_files=2)
        assert everything_done["silver.events"].changes
        assert difference_from(lake, first + late[::2]) == ""
        ingest(lake, tmp_path, late[1::2])
        build(lake)
        done(lake.store, *PARTS, later=EIGHT_DAYS, min_files=2)
        done(lake.store, *PARTS, later=2 * EIGHT_DAYS, min_files=2)
        assert not list((Path(lake.store.uri(EVENTS.path))).glob("*.bin"))
        assert difference_from(lake, lines) == ""
        assert build(lake) == []


@pytest.mark.slow
def test_ledger__is_compacted_under_a_stream_that_reads_it_once(
    spark: SparkSession, lake_root: Path
) -> None:
    store = open_store(Settings(root=str(lake_root)))
    ledger = Ledger(store)
    taken: list[str] = []

    def take_new() -> None:
        stream = spark.readStream.format("delta").load(store.uri(RAW_OBJECTS.path))
        query = (
            stream.writeStream.option("checkpointLocation", str(lake_root / "_stream"))
            .trigger(availableNow=True)
            .foreachBatch(lambda rows, _: taken.extend(r.path for r in rows.collect()))
            .start()
        )
        query.awaitTermination()

    for offset in range(12):
        append(ledger, "a", offset)
    take_new()
    for offset in range(12, 15):
        append(ledger, "a", offset)
    assert done(store, "ledger", min_files=2)["bronze.raw_objects"].changes > 12
    for offset in range(15, 18):
        append(ledger, "a", offset)
    done(store, "vacuum", later=EIGHT_DAYS)
    take_new()
    assert sorted(taken) == sorted(row.path for row in ledger_rows(ledger.rows()))
    assert len(taken) == 18
