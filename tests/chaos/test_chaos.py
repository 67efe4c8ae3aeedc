"""Law 4 for the whole platform: everything is killed in turn, and nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.ledger import LedgerRow
from tests.chaos.checking import Verdict, check_spans
from tests.chaos.harness import Plan
from tests.chaos.run import summary, survive

pytestmark = [pytest.mark.services, pytest.mark.slow]

SEED = 20_250_411


def test_plan__same_seed_strikes_the_same() -> None:
    plan = Plan(seconds=600, rate=1_000, kills=25, seed=SEED)
    strikes = plan.strikes()
    assert strikes == plan.strikes()
    assert [s.at for s in strikes] == sorted(s.at for s in strikes)
    assert 0 < strikes[0].at < strikes[-1].at < 600
    counts = Counter(s.kind for s in strikes)
    assert counts.pop("zombie") == 1
    assert counts.total() == 25
    assert set(counts) == {"archiver", "stream", "broker", "store"}
    assert max(counts.values()) - min(counts.values()) <= 1


def span(first: int, last: int, records: int | None = None) -> LedgerRow:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return LedgerRow(
        "video", "cluster/video", 2, now.date(), f"events/{first}", first, last, first, last,
        last - first + 1 if records is None else records, 1, now, now, now, False, None, "0",
    )  # fmt: skip


def test_check_spans__finds_what_is_lost_and_doubled() -> None:
    verdict = Verdict()
    sent = {("video", 2): {3: "a", 12: "b", 25: "c"}}
    check_spans([span(0, 9), span(10, 19), span(20, 29)], sent, verdict)
    assert verdict.is_good
    check_spans([span(0, 9), span(9, 19), span(30, 39, records=8)], sent, verdict)
    assert verdict.lost == ["video/2 25 is in no span"]
    assert verdict.doubled == ["video/2 9 is in 2 spans"]
    assert verdict.faults == ["video/2 30 … 39 holds 8 records"]


def test_platform__killed_piece_by_piece_loses_nothing(tmp_path: Path) -> None:
    plan = Plan(seconds=60, rate=150, kills=4, seed=SEED, late=0.01)
    running, verdict = survive(plan, tmp_path)
    told = summary(running, verdict)
    print(told)
    assert verdict.is_good, told
    assert verdict.acknowledged > 1_000
    assert len(running.recoveries) == 5
    assert all(recovery.seconds is not None for recovery in running.recoveries)
