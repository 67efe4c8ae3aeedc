"""What a build leaves behind in its Spark session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lake.pipelines.build import build
from lake.pipelines.event_rows import KEPT
from tests.laws.world import ingest
from tests.pipelines.lakes import four_days

if TYPE_CHECKING:
    from tests.pipelines.conftest import OpenLake


def test_build__leaves_no_cached_frame(opened: OpenLake, tmp_path: Path) -> None:
    lake = opened(tmp_path / "lake")
    lines = four_days()
    for number in range(2):
        ingest(lake, tmp_path / f"files{number}", lines[number::2])
        assert build(lake)
        kept = lake.spark.sparkContext._jsc.getPersistentRDDs().values()
        assert KEPT not in [rows.name() for rows in kept], f"after build {number + 1}"
