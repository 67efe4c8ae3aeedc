"""Laws 2 and 3: the tables follow from the set of raw events, and a repeated job changes nothing.

A build costs seconds, so that hundreds of generated histories share one lake, each in names of
its own. LMSLAKE_TEST_SEED draws others; a failure shows the smallest history that differs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pydantic import SecretStr
from pyspark.sql import SparkSession

from lake import limits
from lake.pipelines.build import build
from lake.pipelines.opened import Lake, open_lake
from lake.settings import Settings
from tests.generators import Arrival, arrivals, histories, sample
from tests.laws.world import TABLE_NAMES, Tables, World, arrive, compared, ingest, tables_of
from tests.oracle import Rules

SEED = int(os.environ.get("LMSLAKE_TEST_SEED", "20240229"))
HISTORIES = 150
KEY = "a key of sixteen bytes and more"

AT_ONCE = Arrival(("pending",))
# The first build sees parts of sessions and losers of conflicts; then come two days that share
# sessions, the later one first; the rest comes in several files and waits for the last build.
IN_PARTS = Arrival(
    ("pending", "day_by_day", "none"),
    files_per_batch=2,
    repeated=0.3,
    reversed_days=True,
    only_days=frozenset({date(2024, 2, 29), date(2024, 3, 1)}),
    seed=SEED,
)

OpenLake = Callable[..., Lake]


@pytest.fixture(scope="module")
def world() -> World:
    return World(tuple(sample(histories(30), HISTORIES, SEED)), Rules(key=KEY.encode()))


@pytest.fixture(scope="module")
def opened(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLake]:
    """Opens a new lake by name."""
    with ExitStack() as stack:

        def open_new(name: str, gap_minutes: int = 30) -> Lake:
            settings = Settings(
                root=str(tmp_path_factory.mktemp(name)),
                pseudonym_key=SecretStr(KEY),
                session_gap_minutes=gap_minutes,
            )
            return stack.enter_context(open_lake(settings, "laws", spark=spark))

        yield open_new


@pytest.fixture(scope="module")
def at_once(
    opened: OpenLake, world: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, Tables]:
    lake = opened("at_once")
    arrive(lake, world, AT_ONCE, tmp_path_factory.mktemp("at_once_files"))
    return lake, tables_of(lake)


@pytest.fixture(scope="module")
def in_parts(
    opened: OpenLake, world: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, Tables]:
    lake = opened("in_parts")
    arrive(lake, world, IN_PARTS, tmp_path_factory.mktemp("in_parts_files"))
    return lake, tables_of(lake)


def versions(lake: Lake) -> dict[str, int]:
    return {name: DeltaTable(lake.tables.path(name)).version() for name in TABLE_NAMES}


def test_build__one_arrival_gives_what_the_oracle_gives(
    world: World, at_once: tuple[Lake, Tables]
) -> None:
    found = compared(world.expected, at_once[1])
    assert not found, world.complaint("lake and oracle", found)


def test_build__arrival_in_parts_gives_what_the_oracle_gives(
    world: World, in_parts: tuple[Lake, Tables]
) -> None:
    found = compared(world.expected, in_parts[1])
    assert not found, world.complaint("lake and oracle", found)


def test_build__two_arrivals_give_the_same_rows(
    world: World, at_once: tuple[Lake, Tables], in_parts: tuple[Lake, Tables]
) -> None:
    # Here also the columns that the oracle does not know, such as the country.
    found = compared(at_once[1], in_parts[1])
    assert not found, world.complaint("lake at once and in parts", found)


def test_build__nothing_new_changes_no_table(
    world: World, in_parts: tuple[Lake, Tables], tmp_path: Path
) -> None:
    lake, _ = in_parts
    before = versions(lake)
    for number, batch in enumerate(IN_PARTS.batches(world.lines, world.days)):
        ingest(lake, tmp_path / str(number), *batch.files)
    assert build(lake) == []
    assert build(lake, world.days) == []
    assert versions(lake) == before


def test_build__reset_gives_the_same_rows(world: World, in_parts: tuple[Lake, Tables]) -> None:
    lake, before = in_parts
    build(lake, world.days, reset=True)
    found = compared(before, tables_of(lake))
    assert not found, world.complaint("before and after a reset", found)


# Much data takes other ways than the lakes above: who writes, and whose rows are derived anew.
WAYS = {
    "much": ("COLLECTED_ROWS", "COPIED_ROWS", "FEW_ROWS", "SEARCHED_ROWS", "WHOLE_DAY_ROWS"),
    "much_of_few_days": ("WHOLE_DAY_ROWS",),
}


@pytest.mark.slow
# Arrivals of one batch and of several; a build day by day is seven.
@pytest.mark.parametrize(
    ("number", "way", "gap_minutes"), [(4, "much", 30), (7, "much_of_few_days", 12)]
)
def test_build__any_arrival_gives_what_the_oracle_gives(
    number: int,
    way: str,
    gap_minutes: int,
    opened: OpenLake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in WAYS[way]:
        monkeypatch.setattr(limits, name, 0)
    drawn = sample(histories(30), 60, SEED + 1 + number)
    world = World(tuple(drawn), Rules(KEY.encode(), gap=timedelta(minutes=gap_minutes)))
    arrival = sample(arrivals(), 10, SEED + number)[-1]
    lake = opened(f"drawn_{number}", gap_minutes)
    arrive(lake, world, arrival, tmp_path)
    found = compared(world.expected, tables_of(lake))
    assert not found, world.complaint(str(arrival), found)
