"""Gates: every rule catches its rows, a failure stops, and all of it is kept."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import functions as F

from lake.gates import Gate, GateFailed
from lake.gates.keys import duplicate_keys, has_unique_keys, repeated_keys
from lake.gates.rules import (
    all_violations,
    first_violation,
    judged_before,
    summary_columns,
    violations,
)
from lake.storage_local import LocalStore
from schemas import columns as c
from schemas.derivations import arrow_schema, struct_type
from schemas.expectations import ROW_COUNT, Expectation, named_checks
from schemas.table import Column, Table, at_least_rows, between, in_set, matches, ordered
from schemas.tables import TABLES
from schemas.tables.operations import GATE_RESULTS
from schemas.tables.restricted import TICKET_TEXTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = date(2026, 2, 28)
DIGITS = "0123456789abcdef" * 4
VISITS = Table(
    name="gold.visits",
    doc="Visits, for these tests.",
    grain="one visit",
    columns=(
        c.DATE,
        Column("visit_id", "string", "Visit."),
        Column("student_hash", "string", "Who.", "not known", sensitivity="pseudonym"),
        Column("colour", "string", "Colour.", "not given", values=("red", "blue")),
        Column("share", "double", "Share.", "not given", "0-1"),
        Column("code", "string", "Code.", "not given"),
        Column("first", "bigint", "First.", "not given"),
        Column("last", "bigint", "Last.", "not given"),
    ),
    keys=("date", "visit_id"),
    partition_by="date",
    checks=(
        matches("student_hash", "^[0-9a-f]{64}$"),
        between("share", 0, 1),
        matches("code", "[A-Z]{2}$"),
        ordered("first", "last"),
        between("last", maximum=100, severity="warn"),
        at_least_rows(1),
    ),
    retention_days=30,
)
GOOD: dict[str, Any] = {
    "date": DAY,
    "visit_id": "v0",
    "student_hash": DIGITS,
    "colour": "red",
    "share": 0.5,
    "code": "DE",
    "first": 1,
    "last": 1,
}
NULLS: dict[str, Any] = {name: None for name in GOOD if name not in VISITS.keys}
GOOD_ROWS: list[dict[str, Any]] = [
    {},
    NULLS,
    {"share": 0.0},
    {"share": 1.0},
    {"first": None},
    {"last": 100},
]
BAD_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("not_null(date)", {"date": None}),
    ("not_null(visit_id)", {"visit_id": None}),
    ("in_set(colour)", {"colour": "green"}),
    ("in_set(colour)", {"colour": ""}),
    ("in_set(colour)", {"colour": "Red"}),
    ("matches(student_hash)", {"student_hash": DIGITS.upper()}),
    ("matches(student_hash)", {"student_hash": DIGITS[:-1]}),
    ("matches(student_hash)", {"student_hash": DIGITS[:-1] + "g"}),
    ("matches(student_hash)", {"student_hash": DIGITS + "\n"}),
    ("matches(student_hash)", {"student_hash": "٣" * 64}),
    ("matches(student_hash)", {"student_hash": ""}),
    ("between(share)", {"share": -0.0000001}),
    ("between(share)", {"share": 1.0000001}),
    ("between(share)", {"share": float("nan")}),
    ("between(share)", {"share": float("inf")}),
    ("matches(code)", {"code": "de"}),
    ("matches(code)", {"code": "xDE"}),
    ("matches(code)", {"code": "DE\n"}),
    ("ordered(first, last)", {"first": 2}),
]


def visits(spark: SparkSession, changes: list[dict[str, Any]]) -> DataFrame:
    """A row per entry: a good visit of its own id with the entry's values."""
    rows = [{**GOOD, "visit_id": f"v{i}", **change} for i, change in enumerate(changes)]
    schema = struct_type(VISITS)
    for field in schema.fields:
        field.nullable = True
    return spark.createDataFrame([[row[n] for n in VISITS.column_names] for row in rows], schema)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "lake")


def summary(**failed: int) -> dict[str, float]:
    """A summary of ten rows; `failed` as rule__column=rows."""
    counts = {name.replace("__", "(") + ")": rows for name, rows in failed.items()}
    zero = {name: 0 for name, check in named_checks(VISITS).items() if check.is_row_rule}
    assert set(counts) <= set(zero)
    return {ROW_COUNT: 10, **zero, **counts}


def publish_visits(gate: Gate, path: str, rows: DataFrame) -> None:
    gate.check(VISITS, rows, [DAY])
    write_deltalake(path, rows.toArrow(), mode="overwrite")


def kept_results(store: LocalStore) -> list[dict[str, Any]]:
    path = store.delta_uri(GATE_RESULTS.path)
    rows: list[dict[str, Any]] = DeltaTable(path).to_pyarrow_table().to_pylist()
    return rows


def test_violations__every_rule_catches_its_rows_and_no_other(spark: SparkSession) -> None:
    rows = visits(spark, [*GOOD_ROWS, *(change for _, change in BAD_ROWS)])
    judged = rows.select(
        first_violation(VISITS, VISITS.column_names).alias("first_failed"),
        all_violations(VISITS).alias("failed"),
        *(broken.alias(name) for name, broken in violations(VISITS).items()),
    ).collect()
    wanted = [None] * len(GOOD_ROWS) + [name for name, _ in BAD_ROWS]
    assert [row["first_failed"] for row in judged] == wanted
    assert [row["failed"] for row in judged] == [name or "" for name in wanted]
    for row, name in zip(judged, wanted, strict=True):
        flags = row.asDict()
        assert {n for n in violations(VISITS) if flags[n]} == ({name} if name else set())
        assert None not in [flags[n] for n in violations(VISITS)]


def test_first_violation__splits_rows_without_loss(spark: SparkSession) -> None:
    rows = visits(spark, [*GOOD_ROWS, *(change for _, change in BAD_ROWS)])
    rows = rows.withColumn("failed", first_violation(VISITS, VISITS.column_names))
    good = {row["visit_id"] for row in rows.where("failed IS NULL").collect()}
    bad = {row["visit_id"] for row in rows.where("failed IS NOT NULL").collect()}
    assert (len(good), len(bad), good & bad) == (len(GOOD_ROWS), len(BAD_ROWS), set())


def test_summary_columns__count_rows_and_every_violation(spark: SparkSession) -> None:
    rows = visits(spark, [*GOOD_ROWS, *(change for _, change in BAD_ROWS), {"last": 101}])
    counted = rows.agg(*summary_columns(VISITS)).first()
    assert counted is not None
    wanted = {name: 0 for name, check in named_checks(VISITS).items() if check.is_row_rule}
    for name, _ in BAD_ROWS:
        wanted[name] += 1
    wanted["between(last)"] = 1
    assert counted.asDict() == {ROW_COUNT: len(GOOD_ROWS) + len(BAD_ROWS) + 1, **wanted}


def test_duplicate_keys__counts_rows_beyond_the_first_and_nulls_as_equal(
    spark: SparkSession,
) -> None:
    same = {"visit_id": "same"}
    rows = visits(spark, [{}, same, same, same, {"visit_id": None}, {"visit_id": None}])
    assert duplicate_keys(rows, VISITS.keys) == 3
    assert duplicate_keys(rows.limit(0), VISITS.keys) == 0


def test_has_unique_keys__believes_the_plan_alone(spark: SparkSession) -> None:
    keys = ("date", "visit_id")
    rows = visits(spark, GOOD_ROWS)
    grouped = rows.groupBy(*keys).agg(F.max("first").alias("first"))
    named = grouped.select(F.col("visit_id").alias("other"), F.col("date").cast("date"))
    twice = spark.range(2).withColumn("visit_id", F.lit("v0"))
    for proven in (
        grouped,
        grouped.where("first > 0").withColumn("last", F.col("first") + 1),
        named.withColumnRenamed("other", "visit_id"),
        rows.groupBy("visit_id").agg(F.max("date").alias("date")),
        grouped.join(rows, list(keys), "left_semi"),
        rows.dropDuplicates(list(keys)),
    ):
        assert has_unique_keys(proven, keys)
    for open_to_doubt in (
        rows,
        rows.groupBy(*keys, "colour").count(),
        grouped.unionByName(grouped),
        grouped.join(twice, "visit_id"),
        grouped.withColumn("visit_id", F.lower("visit_id")),
        grouped.localCheckpoint(),
    ):
        assert not has_unique_keys(open_to_doubt, keys)


def test_repeated_keys__counts_where_the_plan_proves_nothing(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = visits(spark, [{}, {"visit_id": "v0"}, {"visit_id": "v2"}])
    assert repeated_keys(rows, VISITS.keys) == 1
    grouped = rows.groupBy(*VISITS.keys).count()
    kept = grouped.localCheckpoint()
    assert repeated_keys(kept, VISITS.keys) == 0
    monkeypatch.setattr("lake.gates.keys.duplicate_keys", None)
    assert repeated_keys(kept, VISITS.keys, grouped) == 0


def test_publish__counts_keys_before_anything_is_written(
    spark: SparkSession, store: LocalStore
) -> None:
    guarded = replace(VISITS, checks=VISITS.checks[:-2])
    assert not judged_before(guarded)
    written: list[int] = []

    def write(rows: DataFrame) -> int:
        written.append(rows.count())
        return written[-1]

    rows = visits(spark, [{}, {}])
    gate = Gate(store)
    result = gate.publish(guarded, rows, [DAY], write, rows)
    assert written == [2]
    (seen,) = (v for v in result.verdicts if v.expectation.rule == "unique")
    assert (seen.success, seen.observed) == (True, 0)
    again = rows.unionByName(rows)
    with pytest.raises(GateFailed, match=r"unique\(date, visit_id\): observed 2, expected 0") as at:
        gate.publish(guarded, again, [DAY], write, again)
    assert "4 rows were not published" in str(at.value)
    assert written == [2]


def test_check__stops_before_publication_with_a_message_that_helps(
    spark: SparkSession, store: LocalStore
) -> None:
    path = store.delta_uri(VISITS.path)
    write_deltalake(path, pa.Table.from_pylist([GOOD], schema=arrow_schema(VISITS)))
    rows = visits(spark, [{}, {"share": 1.5}, {"visit_id": "v0"}])
    with pytest.raises(GateFailed) as failure, Gate(store, "build-1") as gate:
        publish_visits(gate, path, rows)

    table = DeltaTable(path)
    assert (table.version(), table.to_pyarrow_table().to_pylist()) == (0, [GOOD])
    sample = store.delta_uri("gates/samples/build-1/gold.visits.parquet")
    assert str(failure.value).splitlines() == [
        "The gate stopped gold.visits for 2026-02-28:",
        "  between(share): observed 1, expected 0 (share is from 0 to 1)",
        "  unique(date, visit_id): observed 1, expected 0 "
        "(no two rows have the same date, visit_id)",
        "3 rows were not published; the table is as it was.",
        "Look at rows at fault:",
        f"  lmslake sql \"SELECT * FROM read_parquet('{sample}')\"",
    ]
    kept = pq.read_table(sample)
    assert "student_hash" not in kept.column_names
    failed = {(row["visit_id"], row["failed"]) for row in kept.to_pylist()}
    assert failed == {("v1", "between(share)"), ("v0", "unique(date, visit_id)")}
    outcomes = {row["expectation"]: row["outcome"] for row in kept_results(store)}
    assert outcomes["between(share)"] == outcomes["unique(date, visit_id)"] == "stopped"


def test_check__keeps_no_identifier_of_a_restricted_table(
    spark: SparkSession, store: LocalStore
) -> None:
    names = TICKET_TEXTS.column_names
    ticket = dict.fromkeys(names, "") | {"ticket_id": "T1", "subject": "Ana Lima", "body": "0151 1"}
    rows = spark.createDataFrame([[*ticket.values(), "a@b.org"]], [*names, "email"])
    with pytest.raises(GateFailed, match=r"matches\(student_hash\)"):
        Gate(store, "build-1").check(TICKET_TEXTS, rows, [DAY])
    sample = pq.read_table(store.delta_uri(f"gates/samples/build-1/{TICKET_TEXTS.name}.parquet"))
    assert sample["ticket_id"].to_pylist() == ["T1"]
    assert {"subject", "body", "student_hash", "email"}.isdisjoint(sample.column_names)


def test_check__lets_good_rows_pass(spark: SparkSession, store: LocalStore) -> None:
    result = Gate(store).check(VISITS, visits(spark, GOOD_ROWS), [DAY])
    assert (result.worst_outcome, result.row_count) == ("passed", len(GOOD_ROWS))


def test_check_summary__stops_a_batch_without_rows(store: LocalStore) -> None:
    empty = {**summary(), ROW_COUNT: 0}
    gate = Gate(store, "build-2")
    with pytest.raises(GateFailed, match=r"row_count_at_least\(\): observed 0, expected >= 1"):
        gate.check_summary(VISITS, empty, [DAY], duplicates=0)


def test_check_summary__names_the_results_where_no_rows_are_at_hand(store: LocalStore) -> None:
    days = [date(2026, 3, 1), DAY]
    with pytest.raises(GateFailed) as failure:
        Gate(store, "build-2").check_summary(VISITS, summary(), days, duplicates=4)
    assert "for 2026-02-28 to 2026-03-01 (2 dates)" in str(failure.value)
    assert "bronze.gate_results WHERE build_id = 'build-2' AND NOT success" in str(failure.value)


def test_check_summary__records_quarantined_rows_and_warnings_without_stopping(
    store: LocalStore,
) -> None:
    seen = summary(between__share=2, between__last=3)
    with Gate(store) as gate:
        result = gate.check_summary(VISITS, seen, [DAY], duplicates=0, quarantines=True)
    assert [verdict.expectation.name for verdict in result.warnings] == ["between(last)"]
    kept = {row["expectation"]: row for row in kept_results(store)}
    assert set(kept) == set(named_checks(VISITS))
    assert (kept["between(share)"]["outcome"], kept["between(share)"]["observed"]) == (
        "quarantined",
        2,
    )
    assert kept["between(last)"]["outcome"] == "warned"
    assert kept["unique(date, visit_id)"]["outcome"] == "passed"
    assert {row["dates"] for row in kept.values()} == {"2026-02-28"}


def test_check_summary__stops_on_duplicates_even_where_rows_are_quarantined(
    store: LocalStore,
) -> None:
    with pytest.raises(GateFailed, match="unique"):
        Gate(store).check_summary(VISITS, summary(), [DAY], duplicates=1, quarantines=True)


def test_check_summary__refuses_a_summary_that_misses_a_check(store: LocalStore) -> None:
    seen = summary()
    del seen["between(share)"]
    with pytest.raises(ValueError, match=r"no value for between\(share\)"):
        Gate(store).check_summary(VISITS, seen, [DAY], duplicates=0)


def test_check_summary__judges_expectations_of_the_caller(store: LocalStore) -> None:
    wanted = Expectation("rows_add_up", "every raw event has a place", "rows_add_up", 10, 10)
    gate = Gate(store)
    gate.check_summary(VISITS, summary(), [DAY], duplicates=0, also=[(wanted, 10)])
    with pytest.raises(GateFailed, match=r"rows_add_up: observed 9, expected 10 \(every raw"):
        gate.check_summary(VISITS, summary(), [DAY], duplicates=0, also=[(wanted, 9)])


def days_of_a_student(*counts: int) -> pa.Table:
    day = {"date": DAY, "student_hash": "a" * 64}
    schema = pa.schema([(n, arrow_schema(DAILY).field(n).type) for n in (*day, "events_count")])
    return pa.Table.from_pylist([{**day, "events_count": count} for count in counts], schema)


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        ((2, 3), r"unique\(date, student_hash\): observed 1, expected 0 "),
        ((4,), "events_add_up: observed 4, expected 5 "),
        ((), "events_add_up: observed 0, expected 5 "),
    ],
)
def test_look__stops_rows_that_come_twice_or_miss_events(
    store: LocalStore, counts: tuple[int, ...], fault: str
) -> None:
    Gate(store).look(DAILY, days_of_a_student(5), [DAY], event_count=5)
    with pytest.raises(GateFailed, match=fault):
        Gate(store).look(DAILY, days_of_a_student(*counts), [DAY], event_count=5)


def test_check_summary__says_nothing_of_keys_that_nobody_counted(store: LocalStore) -> None:
    result = Gate(store).check_summary(VISITS, summary(), [DAY], duplicates=None)
    judged = {verdict.expectation.name for verdict in result.verdicts}
    assert judged == set(named_checks(VISITS)) - {"unique(date, visit_id)"}


def test_flush__writes_data_docs_that_show_every_check_by_its_name(store: LocalStore) -> None:
    with pytest.raises(GateFailed), Gate(store, "build-3") as gate:
        gate.check_summary(VISITS, summary(between__share=7), [DAY], duplicates=0)
    page = store.get("gates/data_docs/gold.visits.html").decode()
    for name in named_checks(VISITS):
        assert name in page
    assert "share is from 0 to 1" in page
    assert store.exists("gates/data_docs/stopped/build-3/gold.visits.html")
    index = store.get("gates/data_docs/index.html").decode()
    assert 'href="gold.visits.html"' in index
    assert "stopped" in index


def test_flush__keeps_results_of_every_build_and_writes_nothing_without_any(
    store: LocalStore,
) -> None:
    for build_id in ("build-4", "build-5"):
        with Gate(store, build_id) as gate:
            gate.check_summary(VISITS, summary(), [DAY], duplicates=0)
            gate.flush()
    with Gate(store):
        pass
    assert {row["build_id"] for row in kept_results(store)} == {"build-4", "build-5"}
    assert DeltaTable(store.delta_uri(GATE_RESULTS.path)).version() == 1


def test_gate__keeps_the_builds_own_fault_where_results_cannot_be_kept(store: LocalStore) -> None:
    store.put(GATE_RESULTS.path, b"a file where the table should be")
    with pytest.raises(GateFailed) as failure, Gate(store) as gate:
        gate.check_summary(VISITS, summary(), [DAY], duplicates=1)
    assert "results could not be kept" in failure.value.__notes__[0]


DAILY = TABLES["gold.student_daily_activity"]
LEDGER = TABLES["bronze.raw_objects"]
OBJECT: dict[str, Any] = {
    "topic": "native",
    "source": "0" * 64,
    "partition": 0,
    "date": DAY,
    "path": "events/raw/native/date=2026-02-28/a.jsonl.gz",
    "first_offset": 0,
    "last_offset": 9,
    "flush_first_offset": 0,
    "flush_last_offset": 9,
    "record_count": 10,
    "bytes": 100,
    "min_ts": datetime(2026, 2, 28, tzinfo=UTC),
    "max_ts": datetime(2026, 2, 28, 1, tzinfo=UTC),
    "ingested_at": datetime(2026, 2, 28, 2, tzinfo=UTC),
    "is_quarantine": False,
    "reasons": None,
    "id_digest": "1",
    "replaces": None,
}


def ledger_rows(*changes: dict[str, Any]) -> pa.Table:
    """A ledger row per entry; types as declared, null rules open, so that faults can be told."""
    nullable = pa.schema([field.with_nullable(True) for field in arrow_schema(LEDGER)])
    rows = [{**OBJECT, "path": f"object-{i}", **change} for i, change in enumerate(changes)]
    return pa.Table.from_pylist(rows, schema=nullable)


@pytest.mark.parametrize(
    ("changes", "expectation"),
    [
        ([{"record_count": 0}], "between(record_count)"),
        ([{"path": None}], "not_null(path)"),
        ([{"first_offset": 10, "record_count": 1}], "ordered(first_offset, last_offset)"),
        ([{"path": "same", "record_count": 1}] * 2, "unique(path)"),
        ([{"last_offset": 3}], "records_fit_offsets"),
        ([{"record_count": 6}, {"record_count": 5}], "flush_records_add_up"),
    ],
)
def test_check_objects__stops_on_a_ledger_that_does_not_add_up(
    store: LocalStore, changes: list[dict[str, Any]], expectation: str
) -> None:
    with pytest.raises(GateFailed) as failure:
        Gate(store).check_objects(ledger_rows(*changes), [DAY])
    assert f"  {expectation}: observed 1, expected 0" in str(failure.value)


def test_check_objects__takes_parts_of_flushes_replays_and_no_object(store: LocalStore) -> None:
    gate = Gate(store)
    replayed = {"record_count": 2, "replaces": "object-1"}
    refused = {"record_count": 2, "is_quarantine": True}
    rows = ledger_rows({"record_count": 8}, refused, replayed)
    result = gate.check_objects(rows, [DAY])
    assert [v.expectation.name for v in result.warnings] == ["quarantined_share"]
    assert gate.check_objects(rows.slice(0, 0), [DAY]).worst_outcome == "passed"
    assert gate.check_objects(ledger_rows({"record_count": 1}), []).days == "no date"


def test_check_objects__warns_of_a_topic_that_is_a_day_behind(store: LocalStore) -> None:
    late = {"max_ts": datetime(2026, 2, 27, 1, tzinfo=UTC), "record_count": 1}
    topic = {"source": "cluster/topic"}
    for rows, warned in (([late], []), ([late | topic], ["hours_behind"]), ([topic, late], [])):
        result = Gate(store).check_objects(ledger_rows(*rows), [DAY])
        assert [v.expectation.name for v in result.warnings] == warned


def test_bytes_of_a_sample__are_parquet_for_every_declared_table() -> None:
    """A table whose columns Parquet can't hold would fail while it explains another failure."""
    for table in TABLES.values():
        body = io.BytesIO()
        pq.write_table(arrow_schema(table).empty_table(), body)


def test_data_docs_page__is_safe_with_text_that_looks_like_markup(store: LocalStore) -> None:
    odd = replace(VISITS, checks=(in_set("code", ("<script>alert(1)</script>",)),))
    with Gate(store) as gate:
        seen = {ROW_COUNT: 1, **{n: 0 for n, check in named_checks(odd).items()}}
        gate.check_summary(odd, seen, [DAY], duplicates=0)
    page = store.get("gates/data_docs/gold.visits.html").decode()
    assert "<script>alert(1)</script>" not in page


def test_gate_results__are_a_declared_table() -> None:
    """Messages of the gate send the user there with `lmslake sql`."""
    assert TABLES[GATE_RESULTS.name] is GATE_RESULTS
