"""Gold of school records against a recompute in plain Python, however the files came.

LMSLAKE_TEST_SEED draws another school and other batches.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import pytest

from jobs.build import print_progress
from lake.pipelines.identity import other_conventions
from lake.pipelines.records.build import build_records
from lake.pipelines.records.contents import has_work
from lake.school import Delivery, School, write_school
from lake.storage_local import LocalStore
from lake.transforms.records.conventions import Conventions
from lake.transforms.records.risk import RiskRules
from tests.oracle.records import Limits
from tests.pipelines.conftest import OpenLake
from tests.pipelines.records_world import (
    GOLD,
    SEED,
    expected_gold,
    gold_of,
    land,
    versions_of,
)

# The made-up students do well: milder rules than anybody's fire often enough to be tried.
RULES = RiskRules(
    attendance_below=0.93, attendance_days=6, absences_in_a_row=2, score_below=70.0,
    assessments=4, score_drop=8.0,
)  # fmt: skip
LIMITS = Limits(**asdict(RULES))
SOURCES = ("students", "attendance", "assessments")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=30, days=60, seed=SEED)


@pytest.fixture(scope="module")
def at_once(school: School, opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("at-once")
    lake = opened(root)
    land(root, school, _deliveries(school))
    assert build_records(lake, progress=print_progress, rules=RULES) is not None
    return root


def _deliveries(school: School) -> list[Delivery]:
    return [d for d in school.deliveries if not d.fails and d.source in SOURCES]


def _batches(school: School, count: int) -> list[list[Delivery]]:
    rng = random.Random(SEED)
    batches: list[list[Delivery]] = [[] for _ in range(count)]
    for delivery in _deliveries(school):
        rng.choice(batches).append(delivery)
    return batches


@pytest.mark.parametrize("name", GOLD)
def test_gold__is_what_silver_says(at_once: Path, name: str) -> None:
    assert gold_of(at_once)[name] == expected_gold(at_once, LIMITS)[name]


def test_gold__has_cases_of_everything(at_once: Path) -> None:
    """A table without rows would equal any other."""
    gold = gold_of(at_once)
    assert {row["rule"] for row in gold["gold.student_risk_monitor"]} == {
        "low_attendance", "absent_in_a_row", "low_scores", "falling_scores"
    }  # fmt: skip
    assert any(row["since"] < row["as_of_date"] for row in gold["gold.student_risk_monitor"])
    trends = gold["gold.grade_level_trends"]
    assert any(row["avg_score_change"] for row in trends)
    assert any(row["avg_score"] is None for row in gold["gold.class_daily_performance"])


def test_build_records__rederives_gold_without_a_change(at_once: Path, opened: OpenLake) -> None:
    before = versions_of(at_once, GOLD)
    lake = opened(at_once)
    assert build_records(lake, rules=RULES) is None
    report = build_records(lake, progress=print_progress, rules=RULES, rederive=True)
    assert report is not None
    assert report.gold == []
    assert versions_of(at_once, GOLD) == before


def test_build_records__batches_give_the_same_gold(
    school: School, at_once: Path, opened: OpenLake, tmp_path: Path
) -> None:
    """The second comes under other rules: days that it does not touch are judged by them, too."""
    lake = opened(tmp_path)
    ruled = ((RiskRules(), Limits()), (RULES, LIMITS))
    for batch, (rules, limits) in zip(_batches(school, count=2), ruled, strict=True):
        land(tmp_path, school, batch)
        assert build_records(lake, progress=print_progress, rules=rules) is not None
        assert gold_of(tmp_path) == expected_gold(tmp_path, limits)
    assert gold_of(tmp_path) == gold_of(at_once)


def test_build_records__judges_all_days_by_other_rules(at_once: Path, opened: OpenLake) -> None:
    """Without a new file, and once. The last test of this lake."""
    lake, told = opened(at_once), list[str]()
    store = LocalStore(at_once)
    assert has_work(store, RiskRules())
    report = build_records(lake, progress=told.append)
    assert report is not None
    assert any("rules of risk were changed" in text for text in told)
    assert {published.name for published in report.gold} == {"gold.student_risk_monitor"}
    assert gold_of(at_once) == expected_gold(at_once)
    assert not has_work(store, RiskRules())
    assert build_records(lake) is None


def test_other_conventions__are_told_from_then_on(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert other_conventions(store, Conventions()) == []
    assert other_conventions(store, Conventions()) == []
    changed = Conventions(date_order="dmy", locations={"NYC": "New York"})
    names = ["LMSLAKE_DATE_ORDER", "LMSLAKE_LOCATIONS"]
    assert other_conventions(store, changed) == names
    # There are rows of both in the lake, whichever is in force now.
    assert other_conventions(store, Conventions()) == names
