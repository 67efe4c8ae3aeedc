"""School records from files to silver: the tables equal what is true, however the files came.

LMSLAKE_TEST_SEED draws another school and other orders.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.build import print_progress
from lake.pipelines.records.build import RecordsReport, build_records
from lake.pipelines.records.places import PARENTS
from lake.school import Delivery, School, write_school
from lake.storage_local import LocalStore
from schemas.tables import TABLES
from tests.pipelines.conftest import OpenLake
from tests.pipelines.crashing import CrashError, CrashingTables
from tests.pipelines.records_world import (
    COMPARED,
    CONTACTS,
    GOLD,
    OF_SPELLING,
    SEED,
    TRUE_TABLES,
    asides_of,
    gold_of,
    identifiers,
    land,
    rows_of,
    tables_of,
    true_asides,
    true_directory,
    true_flags,
    true_rows,
    versions_of,
)


@dataclass
class Built:
    """A lake with the whole school in it."""

    root: Path
    reports: list[RecordsReport]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=40, days=20, seed=SEED)


@pytest.fixture(scope="module")
def at_once(school: School, opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """All files in one build, in an order of their own."""
    root = tmp_path_factory.mktemp("at-once")
    return _built(root, school, opened, [_shuffled(school, 1)])


def _shuffled(school: School, turn: int) -> list[Delivery]:
    """The files that are no failures, in an order of each turn."""
    deliveries = [delivery for delivery in school.deliveries if not delivery.fails]
    random.Random(f"{SEED}/{turn}").shuffle(deliveries)
    return deliveries


def _built(root: Path, school: School, opened: OpenLake, batches: list[list[Delivery]]) -> Built:
    lake = opened(root)
    built = Built(root, [])
    for batch in batches:
        land(root, school, batch)
        if report := build_records(lake, progress=print_progress):
            built.reports.append(report)
    return built


@pytest.mark.parametrize("name", TRUE_TABLES)
def test_build_records__gives_what_is_true(school: School, at_once: Built, name: str) -> None:
    expected = true_rows(school, name)
    columns = expected[0].keys()
    found = [{c: row[c] for c in columns} for row in rows_of(LocalStore(at_once.root), name)]
    assert found == expected


@pytest.mark.parametrize("name", TRUE_TABLES)
def test_build_records__flags_what_it_cannot_read(
    school: School, at_once: Built, name: str
) -> None:
    found: dict[tuple[Any, ...], list[str]] = {}
    for row in rows_of(LocalStore(at_once.root), name):
        flags = [f for f in row["quality_flags"] if f.partition(":")[2] not in OF_SPELLING]
        if flags:
            found[tuple(row[key] for key in TABLES[name].keys)] = flags
    assert found == true_flags(school, name)


def test_build_records__sets_aside_what_it_must(school: School, at_once: Built) -> None:
    quarantined, held = true_asides(school)
    store = LocalStore(at_once.root)
    for name, expected in (
        ("silver.records_quarantine", quarantined),
        ("silver.records_held", held),
    ):
        assert asides_of(store, school, name) == expected


def test_build_records__counts_every_row(school: School, at_once: Built) -> None:
    (report,) = at_once.reports
    for told in report.sources:
        true = school.truth.counts[told.source]
        assert (
            told.rows, told.taken, told.duplicates, told.superseded, told.quarantined, told.held
        ) == (
            true.rows, true.distinct, true.duplicates, true.superseded, true.quarantined, true.held
        ), told.source  # fmt: skip


def test_student_directory__has_the_newest_particulars(school: School, at_once: Built) -> None:
    rows = rows_of(LocalStore(at_once.root), "restricted.student_directory")
    found = {row["student_hash"]: {name: row[name] for name in CONTACTS} for row in rows}
    assert found == true_directory(school)


def test_build_records__has_no_identifier_in_silver_and_gold(
    school: School, at_once: Built
) -> None:
    secrets = identifiers(school.rows)
    store = LocalStore(at_once.root)
    for name in (*COMPARED, *GOLD):
        if TABLES[name].layer not in ("silver", "gold"):
            continue
        for row in rows_of(store, name):
            assert secrets.isdisjoint(str(value) for value in row.values()), name


def test_build_records__again_changes_nothing(at_once: Built, opened: OpenLake) -> None:
    before = versions_of(at_once.root)
    assert build_records(opened(at_once.root)) is None
    assert versions_of(at_once.root) == before


def test_build_records__is_the_same_in_any_order(
    school: School, at_once: Built, opened: OpenLake, tmp_path: Path
) -> None:
    """Here most of everybody and of every course comes last: until then most rows are held."""
    deliveries = _shuffled(school, 2)
    parents = [d for d in deliveries if d.source in PARENTS]
    others = [d for d in deliveries if d.source not in PARENTS]
    batches = [others[::2] + parents[::3], others[1::2] + parents[1::3] + parents[2::3]]
    built = _built(tmp_path, school, opened, batches)
    assert tables_of(built.root) == tables_of(at_once.root)
    assert gold_of(built.root) == gold_of(at_once.root)
    assert any(told.released for report in built.reports for told in report.sources)


def test_build_records__survives_its_end_between_any_two_tables(
    school: School, at_once: Built, opened: OpenLake, tmp_path: Path
) -> None:
    deliveries = _shuffled(school, 4)
    half = len(deliveries) // 2
    _built(tmp_path, school, opened, [deliveries[:half]])
    land(tmp_path, school, deliveries[half:])
    lake = opened(tmp_path)
    crashes = 0
    while True:
        # A repeated build writes what is missing only: each crash comes some tables later.
        lake.tables = CrashingTables(lake.tables, writes_left=7)
        try:
            assert build_records(lake, progress=print_progress) is not None
            break
        except CrashError:
            crashes += 1
    assert crashes >= 2
    assert tables_of(tmp_path) == tables_of(at_once.root)
    assert gold_of(tmp_path) == gold_of(at_once.root)
