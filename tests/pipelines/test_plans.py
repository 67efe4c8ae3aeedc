"""What Spark makes of the expensive steps: one parse of each line, one shuffle by student."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from lake.gates.keys import has_unique_keys
from lake.pipelines.pending import raw_objects
from lake.pipelines.silver import received_events, valid_events
from lake.transforms.activity import (
    chapter_engagement,
    chapter_progress,
    daily_activity,
    question_attempts,
    question_summary,
    video_views,
)
from lake.transforms.sessions import sessions_of
from schemas.tables import TABLES
from tests.laws.world import ingest
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import four_days
from tests.transforms.frames import events

if TYPE_CHECKING:
    from collections.abc import Callable


def operators(frame: DataFrame) -> list[str]:
    """Names of the physical operators down to cached frames, from the plan's text."""
    plan = frame._jdf.queryExecution().executedPlan().toString()
    found: list[str] = []
    cached_depth: int | None = None
    for line in plan.splitlines():
        operator = line.lstrip(" :+-*")
        depth = len(line) - len(operator)
        if cached_depth is not None and depth > cached_depth:
            continue
        cached_depth = depth if operator.startswith("InMemoryTableScan") else None
        found.append(operator.split(" ", 1)[0])
    return found


@pytest.fixture(scope="module")
def by_student(spark: SparkSession) -> Iterator[DataFrame]:
    """Events as a build caches them."""
    frame = events(spark, [{}]).repartition(4, "student_hash").persist()
    frame.count()
    yield frame
    frame.unpersist()


def test_valid_events__parse_each_line_once(opened: OpenLake, tmp_path: Path) -> None:
    lake = opened(tmp_path / "lake")
    ingest(lake, tmp_path / "files", four_days()[:10])
    received = received_events(lake, raw_objects(lake.ledger, None))
    plan = valid_events(received, Observation())._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("from_json") == 1


@pytest.mark.parametrize("aggregate", [video_views, question_attempts, sessions_of])
def test_aggregates_of_events__need_no_shuffle(
    aggregate: Callable[[DataFrame], DataFrame], by_student: DataFrame
) -> None:
    found = operators(aggregate(by_student))
    assert "InMemoryTableScan" in found
    assert "Exchange" not in found


@pytest.mark.parametrize("aggregate", [daily_activity, chapter_progress])
def test_aggregates_with_videos__need_no_shuffle(
    aggregate: Callable[[DataFrame, DataFrame], DataFrame], by_student: DataFrame
) -> None:
    videos = video_views(by_student).persist()
    videos.count()
    found = operators(aggregate(by_student, videos))
    videos.unpersist()
    assert "Union" in found
    assert "Exchange" not in found


def test_gold__has_its_keys_once_by_its_plans(by_student: DataFrame) -> None:
    """Where a plan proves it, no job counts keys."""
    videos = video_views(by_student)
    progress, attempts = chapter_progress(by_student, videos), question_attempts(by_student)
    made = {
        "gold.student_daily_activity": daily_activity(by_student, videos),
        "gold.student_chapter_progress": progress,
        "gold.chapter_engagement": chapter_engagement(progress),
        "gold.student_question_attempts": attempts,
        "gold.question_attempts_summary": question_summary(attempts),
    }
    for name, rows in made.items():
        assert has_unique_keys(rows, TABLES[name].keys), name
