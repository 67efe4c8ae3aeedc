"""The raw gate's numbers: what the ledger's rows of some dates say, without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.expectations import Expectation, named_checks
from schemas.table import Check, Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Events of a topic that is read all the time are minutes old; a day means a backlog or a clock.
FRESH_HOURS = 24
FLUSH = ["topic", "source", "partition", "flush_first_offset", "flush_last_offset"]


def summarise_objects(
    table: Table, objects: pa.Table, max_quarantined_share: float
) -> tuple[dict[str, float], list[tuple[Expectation, float]]]:
    """Summary of the ledger's declared checks, and the raw zone's own expectations.

    Objects may be those of some dates only: then a flush is seen in part, and its records are
    at most as many as its offsets. That they are exactly as many is proved by `lmslake audit`.
    """
    rows = objects.to_pandas()
    summary: dict[str, float] = {"row_count": len(rows)}
    for name, check in named_checks(table).items():
        if check.rule == "unique":
            summary[name] = int(rows.duplicated(list(check.columns)).sum())
        elif check.is_row_rule:
            summary[name] = int(_broken(rows, check).sum())
    # A replay's rows hold records that their flush has counted as quarantined before.
    received = rows[rows["replaces"].isna()]
    return summary, [
        _records_fit_offsets(received),
        _flushes_fit(received),
        _quarantined_share(rows, max_quarantined_share),
        _freshness(received),
    ]


def _broken(rows: pd.DataFrame, check: Check) -> pd.Series:
    column = rows[check.columns[0]]
    match check.rule:
        case "not_null":
            return column.isna()
        case "between":
            low = column < check.minimum if check.minimum is not None else column.isna() & False
            high = column > check.maximum if check.maximum is not None else column.isna() & False
            return low | high
        case "in_set":
            return column.notna() & ~column.isin(check.values)
        case "matches":
            return column.notna() & ~column.astype("string").str.fullmatch(check.pattern)
        case "ordered":
            return column > rows[check.columns[1]]
    raise ValueError(f"{check.name} is a check on batches")


def _records_fit_offsets(received: pd.DataFrame) -> tuple[Expectation, float]:
    offsets = received["last_offset"] - received["first_offset"] + 1
    name = "records_fit_offsets"
    meaning = "an object holds at most one record per offset of its range"
    return Expectation(name, meaning, name, 0, 0), float((received["record_count"] > offsets).sum())


def _flushes_fit(received: pd.DataFrame) -> tuple[Expectation, float]:
    sums = received.groupby(FLUSH, as_index=False)["record_count"].sum()
    offsets = sums["flush_last_offset"] - sums["flush_first_offset"] + 1
    name = "flush_records_add_up"
    meaning = "the objects of a flush hold at most one record per offset of the flush"
    return Expectation(name, meaning, name, 0, 0), float((sums["record_count"] > offsets).sum())


def _freshness(received: pd.DataFrame) -> tuple[Expectation, float]:
    """Of topics alone: files may be history."""
    of_topics = received[received["source"].fillna("").str.contains("/")]
    behind = of_topics["ingested_at"].max() - of_topics["max_ts"].max()
    name = "hours_behind"
    meaning = f"the newest event of topics arrived within {FRESH_HOURS} hours"
    wanted = Expectation(name, meaning, name, None, FRESH_HOURS, "warn")
    hours = behind.total_seconds() / 3600 if len(of_topics) else 0.0
    return wanted, 0.0 if hours != hours else hours


def _quarantined_share(rows: pd.DataFrame, limit: float) -> tuple[Expectation, float]:
    records = rows["record_count"].sum()
    quarantined = rows.loc[rows["is_quarantine"].fillna(False).astype(bool), "record_count"].sum()
    name = "quarantined_share"
    meaning = f"at most {limit:.0%} of the records are in quarantine"
    wanted = Expectation(name, meaning, name, 0, limit, "warn")
    return wanted, float(quarantined / records) if records else 0.0
