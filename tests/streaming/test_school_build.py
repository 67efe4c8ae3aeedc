"""School records by way of Kafka: the tables are those that the files give."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from lake.landing.naming import source_of
from lake.landing.reading import Limits
from lake.pipelines.opened import Lake, open_lake
from lake.pipelines.records.build import RecordsReport, build_records
from lake.school import Delivery, School, write_school
from lake.settings import Settings
from lake.storage_local import LocalStore
from schemas.records import SOURCES
from schemas.tables.records_gold import RECORDS_GOLD
from streaming.school_build import RecordsBuilder
from streaming.school_metrics import newest_rates
from streaming.school_send import checked_source, messages_of
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import Row, land, rows_of, tables_of
from tests.services import Kafka
from tests.streaming.school_world import PARTITIONS, SchoolWorld

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED = 20_251_122
ASIDE = ("silver.records_quarantine", "silver.records_held")


@contextmanager
def opened(spark: SparkSession, root: Path) -> Iterator[Lake]:
    settings = Settings(root=str(root), pseudonym_key=SecretStr(KEY))
    with open_lake(settings, "tests", spark=spark) as lake:
        yield lake


def send(world: SchoolWorld, school: School, deliveries: Sequence[Delivery], seed: int) -> None:
    """All rows of the files, each to some partition, in no order."""
    chance = random.Random(seed)
    rows: dict[str, list[tuple[bytes | None, int]]] = {}
    for delivery in deliveries:
        path = school.folder / delivery.name
        folder, _, name = delivery.name.rpartition("/")
        source, count = checked_source(path, source_of(folder, name), Limits())
        messages = list(messages_of(path, source, "topic", Limits()))
        assert len(messages) == count == (delivery.rows if delivery.same_as is None else count)
        rows.setdefault(source.name, []).extend(
            (message.value, chance.randrange(PARTITIONS)) for message in messages
        )
    for name, values in rows.items():
        chance.shuffle(values)
        world.send_raw(name, values)


def comparable(root: Path) -> dict[str, Any]:
    """All tables of records; of what is set aside the texts of the row stand for its place."""
    store = LocalStore(root)
    tables: dict[str, Any] = dict(tables_of(root))
    tables |= {table.name: rows_of(store, table.name) for table in RECORDS_GOLD}
    texts = {
        (source, row["_content_hash"], row["_row"]): [row[name] for name in declared.field_names]
        for source, declared in SOURCES.items()
        for row in rows_of(store, f"bronze.{source}")
    }
    for name in ASIDE:
        tables[name] = {_with_text(row, texts) for row in tables[name]}
    return tables


def _with_text(row: Row, texts: dict[tuple[Any, ...], list[Any]]) -> str:
    place = row["source"], row.pop("_content_hash"), row.pop("_row")
    # Of conflicting rows it is no place: which copy stands for them is not compared.
    return repr((sorted(row.items()), texts.get(place)))


@dataclass
class Both:
    """The same school in two lakes: by files, and mostly by topics."""

    files: Path
    topics: Path
    reports: list[RecordsReport]
    world: SchoolWorld


@pytest.fixture(scope="module")
def both(spark: SparkSession, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Both:
    school = write_school(tmp_path_factory.mktemp("school"), students=24, days=19)
    deliveries = [delivery for delivery in school.deliveries if not delivery.fails]
    files, topics = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("topics")
    land(files, school, deliveries)
    with opened(spark, files) as lake:
        build_records(lake, lake.settings.school, rules=lake.settings.risk)

    world = SchoolWorld(kafka, LocalStore(topics))
    world.create_topics()
    random.Random(SEED).shuffle(deliveries)
    reports: list[RecordsReport] = []
    with opened(spark, topics) as lake:
        for number, part in enumerate((deliveries[::2], deliveries[1::2])):
            send(world, school, part[2:], number)
            # Files may come beside them.
            land(topics, school, part[:2])
            builder = RecordsBuilder(
                lake.settings,
                lake.store,
                lambda: nullcontext(lake),
                world.metrics,
                on_report=reports.append,
            )
            # In other cuts, with other starts, than messages were sent.
            world.take(flush_rows=100)
            world.take(flush_rows=37, builder=builder)
    return Both(files, topics, reports, world)


def test_records_stream__gives_the_tables_that_files_give(both: Both) -> None:
    by_files, by_topics = comparable(both.files), comparable(both.topics)
    for name, rows in by_files.items():
        assert by_topics[name] == rows, name
        assert rows, name


def test_records_stream__tells_what_became_of_the_rows(both: Both) -> None:
    assert len(both.reports) == 2
    told = {
        (s.labels["source"], s.labels["outcome"]): s.value
        for family in both.world.metrics.registry.collect()
        for s in family.samples
        if s.name == "lmslake_school_rows_total"
    }
    for source in SOURCES:
        for outcome in ("taken", "duplicates", "quarantined"):
            counts = [
                getattr(s, outcome) for r in both.reports for s in r.sources if s.source == source
            ]
            assert told[source, outcome] == sum(counts)
        undated = sum(s.undated for r in both.reports for s in r.sources if s.source == source)
        assert bool(undated) == (source not in ("students", "course_catalog"))
        assert undated == both.world.metrics.registry.get_sample_value(
            "lmslake_school_undated_rows_total", {"source": source}
        )
    newest = max(max(report.days) for report in both.reports)
    value = both.world.metrics.registry.get_sample_value(
        "lmslake_school_newest_day_timestamp_seconds"
    )
    assert value is not None
    assert value // 86_400 == newest.toordinal() - 719_163


def test_newest_rates__are_those_of_the_newest_day(both: Both) -> None:
    rows = rows_of(LocalStore(both.topics), "gold.class_rolling_performance")
    newest = max(row["date"] for row in rows)
    expected = {
        row["class_id"]: row["rolling_7d_attendance_rate"]
        for row in rows
        if row["date"] == newest and row["rolling_7d_attendance_rate"] is not None
    }
    assert expected
    assert newest_rates(LocalStore(both.topics)) == expected


def test_newest_rates__without_the_table(tmp_path: Path) -> None:
    assert newest_rates(LocalStore(tmp_path)) == {}
