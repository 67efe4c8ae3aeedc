"""The continuous query on real histories: it equals the oracle, whatever the micro-batches are.

LMSLAKE_TEST_SEED draws other histories and other cuts.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from lake.pipelines import gold, silver
from lake.pipelines.build import build, retry_held
from lake.pipelines.build_pass import BuildReport
from lake.pipelines.event_rows import EVENTS
from lake.pipelines.journal import Touched
from lake.pipelines.opened import Lake, open_lake
from lake.settings import Settings
from lake.storage import LeaseHeld
from schemas.table import at_least_rows, between
from schemas.tables import TABLES
from streaming.ledger_stream import CHECKPOINT, StreamOptions, drop_checkpoint
from streaming.query import FAULTS_BEFORE_NEW_CHECKPOINT, LakeStream
from streaming.query_metrics import QueryHealth, StreamMetrics
from tests.generators import histories, sample
from tests.laws.world import World, compared, ingest, tables_of
from tests.oracle import Rules
from tests.pipelines.lakes import DAYS, difference_from, four_days
from tests.pipelines.lakes import KEY as PIPELINES_KEY
from tests.streaming.world import wait_until

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEED = int(os.environ.get("LMSLAKE_TEST_SEED", "20240301"))
HISTORIES = 200
FLUSHES = 12
FLUSHES_PER_BATCH = 4
KEY = "a key of the stream's tests"
ONCE = StreamOptions(once=True, flushes_per_batch=1)
OpenLake = Callable[..., Lake]


@pytest.fixture
def opened(spark: SparkSession, tmp_path: Path) -> Iterator[OpenLake]:
    """Opens the lake below the test's folder with the session of the run."""
    with ExitStack() as stack:

        def open_lake_with(key: str = PIPELINES_KEY, lock_wait_minutes: float = 5) -> Lake:
            settings = Settings(
                root=str(tmp_path / "lake"),
                pseudonym_key=SecretStr(key),
                lock_wait_minutes=lock_wait_minutes,
            )
            return stack.enter_context(open_lake(settings, "stream", spark=spark))

        yield open_lake_with


def streamed(lake: Lake, options: StreamOptions = ONCE) -> StreamMetrics:
    """Run the query until it has taken everything; gives its metrics."""
    metrics = StreamMetrics()
    LakeStream(lake, options, metrics, QueryHealth()).run()
    return metrics


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(f"lmslake_{name}", labels)
    assert found is not None, name
    return found


def flushes_of(world: World) -> list[list[bytes]]:
    """Each history in an order and with cuts of its own, and 5 % of all records twice."""
    chance = random.Random(SEED)
    flushes: list[list[bytes]] = [[] for _ in range(FLUSHES)]
    for lines in world.lines_by_name.values():
        again = [line for line in lines if chance.random() < 0.05]
        arriving = chance.sample([*lines, *again], len(lines) + len(again))
        cuts = sorted(chance.randrange(FLUSHES) for _ in arriving)
        for number, line in zip(cuts, arriving, strict=True):
            flushes[number].append(line)
    return flushes


@pytest.mark.slow
def test_stream__gives_what_the_oracle_gives(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 histories over 70 days; the query is started anew and fails on the way to gold once."""
    world = World(tuple(sample(histories(20), HISTORIES, SEED)), Rules(key=KEY.encode()))
    lake = opened(KEY)
    monkeypatch.setattr("streaming.query.LONGEST_PAUSE_SECONDS", 0)
    options = StreamOptions(once=True, flushes_per_batch=FLUSHES_PER_BATCH)
    derive = gold.publish_derived
    fails = iter([False, True, False, False])

    def derive_or_fail(*arguments: Any) -> None:
        if next(fails):
            raise OSError("events are published, and nothing that follows from them")
        derive(*arguments)

    monkeypatch.setattr(gold, "publish_derived", derive_or_fail)
    for number, lines in enumerate(flushes_of(world)):
        # Each is a source of its own, as partitions are.
        ingest(lake, tmp_path / f"flush{number}", lines)
        if number in (FLUSHES_PER_BATCH - 1, FLUSHES - 1):
            metrics = streamed(lake, options)
    assert value(metrics.registry, "stream_restarts_total") == 1
    assert next(fails, None) is None
    found = compared(world.expected, tables_of(lake))
    assert not found, world.complaint("stream and oracle", found)


def test_stream__repeats_nothing_and_needs_no_checkpoint(opened: OpenLake, tmp_path: Path) -> None:
    lake, lines = opened(), four_days()
    ingest(lake, tmp_path / "first", lines[::2])
    registry = streamed(lake).registry
    assert value(registry, "stream_batches_total", outcome="published") == 1
    assert value(registry, "stream_trigger_seconds_count", phase="addBatch") == 1
    assert value(registry, "stream_build_seconds_count", phase="events") == 1
    assert value(registry, "table_files", table="silver.events") >= len(DAYS)
    newest = max(datetime.fromisoformat(orjson.loads(line)["timestamp"]) for line in lines[::2])
    lag = (datetime.now(UTC) - newest).total_seconds()
    assert value(registry, "stream_newest_event_lag_seconds") == pytest.approx(lag, abs=600)
    ingest(lake, tmp_path / "second", lines[1::2])
    build(lake)  # by another job
    drop_checkpoint(lake)
    metrics = streamed(lake)
    assert value(metrics.registry, "stream_input_rows_total") > 0
    assert value(metrics.registry, "stream_batches_total", outcome="published") == 0
    assert value(metrics.registry, "table_rows", table="silver.events") > 0
    difference = difference_from(lake, lines)
    assert not difference, difference


def test_stream__with_a_broken_checkpoint_reads_the_ledger_anew(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.query.LONGEST_PAUSE_SECONDS", 0)
    lake, lines = opened(), four_days()[:20]
    ingest(lake, tmp_path / "first", lines)
    lake.store.put(f"{CHECKPOINT}/offsets/0", b"not an offset")
    metrics = streamed(lake)
    assert value(metrics.registry, "stream_restarts_total") == FAULTS_BEFORE_NEW_CHECKPOINT
    difference = difference_from(lake, lines)
    assert not difference, difference


@pytest.mark.slow
def test_stream__holds_what_a_gate_stops_and_goes_on(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, lines = opened(), sorted(four_days())
    ingest(lake, tmp_path / "first", lines[::3])
    strict = replace(EVENTS, checks=(between("gap_before_seconds", maximum=1.0),))
    with monkeypatch.context() as patched:
        patched.setattr(silver, "EVENTS", strict)
        metrics = streamed(lake)
    assert value(metrics.registry, "stream_held_objects") > 0
    assert value(metrics.registry, "stream_batches_total", outcome="held") == 1
    assert not lake.tables.exists("silver.events")
    (at_silver,) = lake.journal.held()
    assert "gap_before_seconds is at most 1" in at_silver.reason

    # stopped at gold: silver.events has the events, the rest does not follow yet
    ingest(lake, tmp_path / "second", lines[1::3])
    daily = TABLES["gold.student_daily_activity"]
    with monkeypatch.context() as patched:
        patched.setitem(TABLES, daily.name, replace(daily, checks=(at_least_rows(1_000_000),)))
        streamed(lake)
    assert len(lake.journal.held()) == 2
    assert not lake.journal.unfinished()

    ingest(lake, tmp_path / "third", lines[2::3])
    metrics = streamed(lake)
    assert value(metrics.registry, "stream_batches_total", outcome="published") == 1
    assert build(lake) == []

    reports: list[BuildReport] = retry_held(lake)
    assert len(reports) == 2
    assert not any(report.fault for report in reports)
    lake.journal.refresh()
    assert not lake.journal.held()
    difference = difference_from(lake, lines)
    assert not difference, difference


def test_stream__holds_a_damaged_object(opened: OpenLake, tmp_path: Path) -> None:
    lake = opened()
    ingest(lake, tmp_path / "first", four_days()[:10])
    victim = next(key for key in lake.store.list("events/raw"))
    lake.store.put(victim, lake.store.get(victim)[:-20])
    metrics = streamed(lake)
    assert value(metrics.registry, "stream_batches_total", outcome="held") == 1
    (held,) = lake.journal.held()
    assert victim in held.reason


def test_build__waits_for_another_builder(opened: OpenLake, tmp_path: Path) -> None:
    lake = opened()
    ingest(lake, tmp_path / "first", four_days()[:10])
    told: list[str] = []

    def hold() -> None:
        with lake.store.lease("build"):
            holding.set()
            release.wait()

    holding, release = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait()
    impatient = opened(lock_wait_minutes=0)
    with pytest.raises(LeaseHeld, match="holds the lock 'build'"):
        build(impatient)

    def tell(text: str) -> None:
        told.append(text)
        release.set()

    assert build(lake, progress=tell)
    holder.join()
    assert "holds the lock 'build'" in told[0]


def test_metrics__late_events_make_the_newest_no_older() -> None:
    metrics, now = StreamMetrics(), datetime.now(UTC)
    for days, fault in ((2, ""), (20, ""), (1, "a gate stopped it")):
        newest = now - timedelta(days=days)
        metrics.count_build(BuildReport("b", newest_ts=newest, fault=fault))
    lag = value(metrics.registry, "stream_newest_event_lag_seconds")
    assert lag == pytest.approx(2 * 86_400, abs=600)


@pytest.mark.slow
def test_stream__looks_at_what_is_held_and_stops_after_its_micro_batch(
    opened: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.query.SECONDS_BETWEEN_LOOKS", 0)
    lake, other, lines = opened(), opened(), four_days()[:10]
    health, metrics = QueryHealth(), StreamMetrics()
    batches: list[str] = []

    def on_batch(reports: Sequence[BuildReport]) -> None:
        # A micro-batch may find a new version of the ledger and no object in it.
        if reports:
            batches.extend(report.fault for report in reports)
            stream.stop()

    stream = LakeStream(
        lake, StreamOptions(interval_seconds=0.1), metrics, health, on_batch=on_batch
    )
    runner = threading.Thread(target=stream.run)
    runner.start()
    wait_until(lambda: health.is_ready or not runner.is_alive(), "it runs")
    # by other processes, while it has nothing to do
    other.journal.record("b1", "held", Touched(), ["a raw object"], "why")
    wait_until(lambda: value(metrics.registry, "stream_held_objects") == 1, "it is told")
    other.journal.record("b1", "repaired", Touched())
    wait_until(lambda: value(metrics.registry, "stream_held_objects") == 0, "it is over")
    ingest(other, tmp_path / "first", lines)
    runner.join()
    assert batches == [""]
    assert not health.is_ready
    difference = difference_from(lake, lines)
    assert not difference, difference
