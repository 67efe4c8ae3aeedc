"""A gate that fails: what readers see stays, the command says why, and a fix is enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lake.pipelines import silver
from lake.pipelines.build import build
from lake.pipelines.event_rows import EVENTS
from schemas.table import at_least_rows, between
from schemas.tables import TABLES
from tests.laws.world import TABLE_NAMES, compared, ingest, tables_of
from tests.pipelines.conftest import OpenLake
from tests.pipelines.lakes import difference_from, four_days, shown, versions

DERIVED = [name for name in TABLE_NAMES if name.startswith(("gold.", "features."))]


@pytest.mark.slow
def test_build__a_failed_gate_leaves_the_tables_and_exits_1(
    opened: OpenLake,
    from_shell: Callable[..., int],
    lake_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lake = opened(lake_root)
    lines = sorted(four_days())
    ingest(lake, tmp_path / "first", lines[::2])
    build(lake)
    tables, before = tables_of(lake), versions(lake)
    ingest(lake, tmp_path / "second", lines[1::2])

    # at silver: nothing at all is published
    strict = replace(EVENTS, checks=(between("gap_before_seconds", maximum=1.0),))
    with monkeypatch.context() as patched:
        patched.setattr(silver, "EVENTS", strict)
        assert from_shell("build") == 1
    message = capsys.readouterr().err
    assert "Error: The gate stopped silver.events for 2024-02-28 to 2024-03-02" in message
    assert "between(gap_before_seconds)" in message
    assert "gap_before_seconds is at most 1" in message
    assert "lmslake sql" in message
    assert "Traceback" not in message
    assert versions(lake) == before
    assert not lake.journal.unfinished()
    found = compared(tables, tables_of(lake))
    assert not found, shown(found)

    # at gold: the table that failed and those after it stay
    daily = TABLES["gold.student_daily_activity"]
    with monkeypatch.context() as patched:
        patched.setitem(TABLES, daily.name, replace(daily, checks=(at_least_rows(1_000_000),)))
        assert from_shell("build") == 1
    message = capsys.readouterr().err
    assert "The gate stopped gold.student_daily_activity" in message
    now = versions(lake)
    assert {name: now[name] for name in DERIVED} == {name: before[name] for name in DERIVED}
    # with a note that the next build goes by
    lake.journal.refresh()
    assert lake.journal.unfinished()

    assert from_shell("build") == 0
    said = capsys.readouterr()
    assert "repairing" in said.err
    difference = difference_from(lake, lines)
    assert not difference, difference
    results = lake.spark.read.format("delta").load(lake.tables.path("bronze.gate_results"))
    stopped = {row.table_name for row in results.where("outcome = 'stopped'").collect()}
    assert stopped == {"silver.events", daily.name}
