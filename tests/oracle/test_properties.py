"""What must hold of any history, checked on the oracle alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.table import Table
from schemas.tables import TABLES
from tests.generators import Arrival, History, arrivals, histories, lines_of, named
from tests.oracle import Row, Rules, recompute

RULES = Rules(key=b"a key of sixteen bytes")
ELSEWHERE = {"ip_geo", "detail"}
few = settings(max_examples=40, deadline=None)


def counted(rows: list[Row]) -> Counter[str]:
    return Counter(map(repr, rows))


def declared(table: Table) -> set[str]:
    lineage = {c.name for c in table.columns if c.is_lineage} - {"_body_hash"}
    return set(table.column_names) - lineage - ELSEWHERE


@few
@given(histories())
def test_recompute__rows_are_the_declared_ones(history: History) -> None:
    for name, rows in recompute(lines_of(history), RULES).items():
        table = TABLES[name]
        required = [c.name for c in table.columns if not c.nullable and c.name in declared(table)]
        assert len({tuple(row[key] for key in table.keys) for row in rows}) == len(rows), name
        for row in rows:
            assert set(row) == declared(table), name
            assert [key for key in required if row[key] is None] == [], name
            assert [c for c in table.checks if breaks(row, c)] == [], name


def breaks(row: Row, check: Any) -> bool:
    values = [row[column] for column in check.columns]
    if None in values:
        return False
    if check.rule == "between":
        low, high = check.minimum, check.maximum
        return (low is not None and values[0] < low) or (high is not None and values[0] > high)
    return bool(check.rule == "ordered" and values[0] > values[1])


@few
@given(histories(), arrivals())
def test_recompute__order_and_repetition_change_nothing(history: History, arrival: Arrival) -> None:
    lines = lines_of(history)
    arrived = [
        line for batch in arrival.batches(lines, []) for content in batch.files for line in content
    ]
    assert set(arrived) == set(lines)
    expected, found = recompute(lines, RULES), recompute(arrived, RULES)
    for name, rows in expected.items():
        assert counted(found[name]) == counted(rows), name


@few
@given(histories())
def test_recompute__every_body_is_an_event_or_in_quarantine(history: History) -> None:
    lines = lines_of(history)
    tables = recompute(lines, RULES)
    kept = Counter(row["_body_hash"] for row in tables["silver.events"])
    lost = Counter(row["_body_hash"] for row in tables["silver.quarantine"])
    assert kept + lost == Counter(dict.fromkeys(kept | lost, 1))
    assert (kept + lost).total() == len(set(lines))


@few
@given(st.lists(histories(12), min_size=2, max_size=3))
def test_recompute__histories_in_their_own_names_do_not_meet(parts: list[History]) -> None:
    own = [lines_of(named(history, f"h{n}")) for n, history in enumerate(parts)]
    together = recompute([line for lines in own for line in lines], RULES)
    apart = [recompute(lines, RULES) for lines in own]
    for name, rows in together.items():
        if name == "features.student_features":  # The lake's newest day bounds everybody's.
            continue
        assert counted(rows) == counted([row for tables in apart for row in tables[name]]), name


@few
@given(histories())
def test_recompute__totals_agree_between_tables(history: History) -> None:
    tables = recompute(lines_of(history), RULES)
    daily, sessions = tables["gold.student_daily_activity"], tables["silver.sessions"]
    assert sum(d["total_sessions"] for d in daily) == len(sessions)
    assert sum(d["events_count"] for d in daily) == len(tables["silver.events"])
    assert sum(s["events_count"] for s in sessions) == len(tables["silver.events"])
    spent = sum(round(d["total_time_spent_seconds"] * 1e6) for d in daily)
    assert spent == sum(round(s["session_duration_seconds"] * 1e6) for s in sessions)
    chapters = tables["gold.student_chapter_progress"]
    engaged = tables["gold.chapter_engagement"]
    assert sum(p["visits_count"] for p in chapters) == sum(e["visits_count"] for e in engaged)
