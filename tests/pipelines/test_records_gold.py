"""Gold of school records against a recompute in plain Python, however the files came."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

import pytest

from jobs.build import print_progress
from lake.pipelines.records.build import build_records
from lake.school import Delivery, School, write_school
from lake.transforms.records.risk import RiskRules
from tests.oracle.records import Limits
from tests.pipelines.conftest import OpenLake
from tests.pipelines.records_world import GOLD, expected_gold, gold_of, land, versions_of

# The made-up students do well: milder rules than anybody's fire often enough to be tried.
RULES = RiskRules(
    attendance_below=0.93, attendance_days=6, absences_in_a_row=2, score_below=70.0,
    assessments=4, score_drop=8.0,
)  # fmt: skip
LIMITS = Limits(**asdict(RULES))
SOURCES = ("students", "attendance", "assessments")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=30, days=60)


@pytest.fixture(scope="module")
def at_once(school: School, opened: OpenLake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("at-once")
    lake = opened(root)
    land(root, school, _deliveries(school))
    assert build_records(lake, progress=print_progress, rules=RULES) is not None
    return root


def _deliveries(school: School) -> list[Delivery]:
    return [d for d in school.deliveries if not d.fails and d.source in SOURCES]


def _batches(school: School, seed: int, count: int) -> list[list[Delivery]]:
    rng = random.Random(seed)
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
    lake = opened(tmp_path)
    for batch in _batches(school, seed=3, count=2):
        land(tmp_path, school, batch)
        assert build_records(lake, progress=print_progress, rules=RULES) is not None
        assert gold_of(tmp_path) == expected_gold(tmp_path, LIMITS)
    assert gold_of(tmp_path) == gold_of(at_once)


def test_build_records__rederives_gold_by_other_rules(at_once: Path, opened: OpenLake) -> None:
    """The last test of this lake."""
    report = build_records(opened(at_once), progress=print_progress, rederive=True)
    assert report is not None
    assert {told.name for told in report.gold} == {"gold.student_risk_monitor"}
    assert gold_of(at_once) == expected_gold(at_once)
