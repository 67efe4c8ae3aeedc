"""The audit of sources: spans that chain, offsets that are accounted for, and ranges lost."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime

import pytest

from lake.audit_outcome import Audit
from lake.audit_sources import check_sources
from lake.ledger import LedgerRow

NOW = datetime(2025, 12, 1, 12, tzinfo=UTC)


def row(first: int, last: int, count: int, gaps: int | None = 0, source: str = "c/t") -> LedgerRow:
    path = f"events/raw/t/date=2025-12-01/{source}-{first}-{last}-{count}"
    span = (first, last, first, last, count, 9)
    return LedgerRow(
        "t", source, 0, date(2025, 12, 1), path, *span, NOW, NOW, NOW, False, None, "5", None, gaps
    )


def faults(*rows: LedgerRow) -> list[str]:
    outcome = Audit()
    check_sources(rows, outcome)
    return outcome.faults


def test_check_sources__whole_chains() -> None:
    assert faults(row(5, 9, 5), row(10, 19, 4, 6)) == []
    assert faults(row(0, 9, 10, None, "a" * 64)) == []


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([row(0, 9, 10), row(12, 19, 8)], "offsets 10 … 11 are missing"),
        ([row(0, 9, 10), row(8, 19, 12)], "offsets 8 … 9 are doubled"),
        ([row(0, 19, 20), row(5, 9, 5)], "offsets 5 … 9 are doubled"),
        ([row(0, 9, 9)], "the flush 0 … 9 holds 9 records, its offsets say 10"),
        ([row(0, 9, 9, 2)], "holds 9 records and passes over 2, its offsets say 10"),
        ([row(3, 9, 7, None, "a" * 64)], "offsets 0 … 2 are missing"),
        ([row(0, 9, 8, 2, "a" * 64)], "the flush 0 … 9 of a file passes over 2 records"),
    ],
)
def test_check_sources__finds(rows: list[LedgerRow], fault: str) -> None:
    (found,) = faults(*rows)
    assert fault in found


def test_check_sources__names_what_expired() -> None:
    lost = dataclasses.replace(
        row(10, 19, 1, 9), is_quarantine=True, reasons='{"expired_in_broker":1}'
    )
    outcome = Audit()
    check_sources([row(0, 9, 10), lost, row(20, 21, 2)], outcome)
    (fault,) = outcome.faults
    assert "offsets 10 … 19 (10) are lost" in fault
    assert (outcome.received, outcome.rejected) == (12, 0)
