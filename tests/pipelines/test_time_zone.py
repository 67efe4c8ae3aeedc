"""The machine's own time zone is nobody's business."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake.pipelines.build import build
from tests.laws.world import ingest
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import difference_from, four_days

Travel = Callable[[str], None]


@pytest.fixture
def travel() -> Iterator[Travel]:
    """Puts this process into a time zone until the test ends."""
    with pytest.MonkeyPatch.context() as patched:

        def to(zone: str) -> None:
            patched.setenv("TZ", zone)
            time.tzset()

        yield to
    time.tzset()


@pytest.mark.slow
def test_build__late_events_are_placed_alike_in_every_time_zone(
    opened: OpenLake, tmp_path: Path, travel: Travel
) -> None:
    lake = opened(tmp_path / "lake")
    lines = sorted(four_days())
    for number, zone in enumerate(["Asia/Kolkata", "America/New_York", "Pacific/Kiritimati"]):
        travel(zone)
        ingest(lake, tmp_path / str(number), lines[number::3])
        build(lake)
    difference = difference_from(lake, lines)
    assert not difference, difference
