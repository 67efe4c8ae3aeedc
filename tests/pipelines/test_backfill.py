"""Dates one by one, in any order and in any time zone, with a broken one among them."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake.pipelines.backfill import backfill
from lake.pipelines.build import build
from tests.laws.world import compared, ingest, tables_of
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import (
    DAYS,
    difference_from,
    four_days,
    object_of,
    shown,
    versions,
)

ODD_ORDER = [DAYS[2], DAYS[0], DAYS[3], DAYS[1]]
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
def test_backfill__odd_order_a_failed_date_and_a_reset_give_the_tables_of_one_build(
    opened: OpenLake, tmp_path: Path, travel: Travel
) -> None:
    """The machine's own time zone is nobody's business: each part runs in another one."""
    travel("Asia/Kolkata")
    lake = opened(tmp_path / "lake")
    ingest(lake, tmp_path / "files", four_days())
    cut, torn = object_of(lake, DAYS[0]), object_of(lake, DAYS[3])
    contents = {path: path.read_bytes() for path in (cut, torn)}
    cut.write_bytes(gzip.compress(gzip.decompress(contents[cut]).split(b"\n", 1)[1]))
    torn.write_bytes(contents[torn][:-20])
    told: list[str] = []

    outcome = backfill(lake, ODD_ORDER, progress=told.append)
    assert outcome.built == [DAYS[2], DAYS[1]]
    assert set(outcome.failed) == {DAYS[0], DAYS[3]}
    assert "the ledger says" in outcome.failed[DAYS[0]]
    assert "lmslake audit" in outcome.failed[DAYS[0]]
    assert "lmslake audit" in outcome.failed[DAYS[3]]
    assert [line for line in told if "[4/4]" in line]

    for path, content in contents.items():
        path.write_bytes(content)
    travel("America/New_York")
    outcome = backfill(lake, ODD_ORDER)
    assert (outcome.built, outcome.failed) == ([DAYS[0], DAYS[3]], {})
    assert outcome.unchanged == [DAYS[2], DAYS[1]]
    difference = difference_from(lake, four_days())
    assert not difference, difference

    before = tables_of(lake)
    travel("Pacific/Kiritimati")
    torn.unlink()
    outcome = backfill(lake, ODD_ORDER[1:3], reset=True)
    assert (outcome.built, list(outcome.failed)) == ([DAYS[0]], [DAYS[3]])
    torn.write_bytes(contents[torn])
    outcome = backfill(lake, ODD_ORDER[1:3], reset=True)
    assert (outcome.built, outcome.unchanged) == ([DAYS[3]], [DAYS[0]])
    found = compared(before, tables_of(lake))
    assert not found, shown(found)
    steady = versions(lake)
    assert build(lake) == []
    assert versions(lake) == steady


def test_command__reports_a_failed_date_and_exits_1(
    opened: OpenLake,
    from_shell: Callable[..., int],
    lake_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake = opened(lake_root)
    ingest(lake, tmp_path / "files", four_days()[-1:])
    (day,) = {row["date"] for row in lake.ledger.rows().to_pylist()}
    path = object_of(lake, day)
    content = path.read_bytes()
    path.write_bytes(gzip.compress(b""))
    assert from_shell("backfill", "--from", "2024-02-28", "--to", "2024-03-02") == 1
    shown = capsys.readouterr()
    assert "0 dates built, 3 had nothing to build, 1 failed." in shown.out
    assert "hold 0 records, the ledger says 1" in shown.err
    assert "the same command goes on" in shown.err
    assert not versions(lake, ["silver.events"])
    path.write_bytes(content)
    assert from_shell("backfill", "--from", "2024-02-28", "--to", "2024-03-02") == 0
    assert "1 dates built, 3 had nothing to build, 0 failed." in capsys.readouterr().out


def test_command__restart_belongs_to_reset(from_shell: Callable[..., int]) -> None:
    days = ("--from", "2024-02-28", "--to", "2024-03-02")
    assert from_shell("backfill", *days, "--restart") == 2
