"""A session may do many builds: what one leaves in Spark's cache, every later one pays for."""

from __future__ import annotations

from pathlib import Path

from lake.pipelines.build import build
from tests.laws.world import ingest
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import four_days


def test_build__leaves_nothing_cached(opened: OpenLake, tmp_path: Path) -> None:
    lake = opened(tmp_path / "lake")
    lines = four_days()
    # the second build meets history, moves rows and has losers of conflicts
    for number in range(2):
        ingest(lake, tmp_path / str(number), lines[number::2])
        assert build(lake)
        assert lake.spark._jsparkSession.sharedState().cacheManager().isEmpty()
