"""Is every record that Kafka acknowledged in the lake, once? By the producer's own list."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lake.ledger import Ledger, ledger_rows
from lake.quarantine import quarantined_records
from lake.query import connect
from lake.settings import Settings
from lake.storage import open_store

if TYPE_CHECKING:
    import duckdb

    from lake.ledger import LedgerRow

Partition = tuple[str, int]
SHOWN = 5


@dataclass
class Verdict:
    """`lost` and `doubled` name records, `faults` say what else is wrong."""

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.faults)

    def __str__(self) -> str:
        examples = [*self.lost[:SHOWN], *self.doubled[:SHOWN], *self.faults]
        counts = (
            f"{self.acknowledged:,} records acknowledged, {len(self.lost):,} lost, "
            f"{len(self.doubled):,} doubled, {len(self.faults):,} other faults"
        )
        return "\n".join([counts, *(f"  {example}" for example in examples)])


def check_lake(settings: Settings, acknowledged: Path, has_stream: bool) -> Verdict:
    """Hold the producer's own list against raw, silver and gold. Everything must be at rest.

    `acknowledged` has lines of topic, partition, offset, event_id, separated by tabs.
    """
    verdict = Verdict()
    store = open_store(settings)
    ledger = Ledger(store)
    rows = ledger_rows(ledger.rows(is_quarantine=None))
    sent: dict[Partition, dict[int, str]] = defaultdict(dict)
    for line in acknowledged.read_text().splitlines():
        topic, partition, offset, event_id = line.split("\t")
        if int(offset) in sent[topic, int(partition)]:
            verdict.faults.append(f"{topic}/{partition} {offset} was acknowledged twice")
        sent[topic, int(partition)][int(offset)] = event_id
        verdict.acknowledged += 1
    # What a replay has moved to raw was counted with its flush.
    check_spans([row for row in rows if not row.replaces], sent, verdict)
    for record in quarantined_records(store, ledger):
        sent[record["topic"], record["partition"]].pop(record["offset"], None)
    connection = connect(settings)
    try:
        ids = sorted({i for offsets in sent.values() for i in offsets.values()})
        connection.execute(
            "CREATE TEMP TABLE sent AS SELECT unnest($ids) AS event_id", {"ids": ids}
        )
        _check_raw(
            connection, [store.delta_uri(r.path) for r in rows if not r.is_quarantine], verdict
        )
        if has_stream:
            _check_silver_and_gold(connection, verdict)
    finally:
        connection.close()
    return verdict


def check_spans(
    rows: list[LedgerRow], sent: dict[Partition, dict[int, str]], verdict: Verdict
) -> None:
    """Each acknowledged offset lies in one span, and each offset of a span has its record."""
    spans: dict[Partition, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row in rows:
        spans[row.topic, row.partition][row.flush_first_offset, row.flush_last_offset] += (
            row.record_count
        )
        if row.flush_gap_count:
            verdict.faults.append(f"{row.path}: {row.flush_gap_count} offsets were passed over")
    for (topic, partition), offsets in sent.items():
        times: Counter[int] = Counter()
        for (first, last), count in spans[topic, partition].items():
            times.update(range(first, last + 1))
            if count != last - first + 1:
                verdict.faults.append(f"{topic}/{partition} {first} … {last} holds {count} records")
        verdict.lost += [f"{topic}/{partition} {o} is in no span" for o in offsets if not times[o]]
        verdict.doubled += [
            f"{topic}/{partition} {o} is in {n} spans" for o, n in times.items() if n > 1
        ]


def _check_raw(connection: duckdb.DuckDBPyConnection, files: list[str], verdict: Verdict) -> None:
    """Each event that was not refused is in a raw object."""
    verdict.lost += _ids(
        connection,
        "SELECT event_id || ' is not in raw' FROM sent ANTI JOIN ("
        "SELECT json_extract_string(line, '$.event_id') AS event_id FROM read_csv($files, "
        "columns = {'line': 'VARCHAR'}, header = false, delim = '\x1e', quote = '', escape = '', "
        "compression = 'gzip', auto_detect = false, strict_mode = false)) USING (event_id)",
        {"files": files},
    )


def _check_silver_and_gold(connection: duckdb.DuckDBPyConnection, verdict: Verdict) -> None:
    verdict.lost += _ids(
        connection,
        "SELECT event_id || ' is not in silver' FROM sent "
        "ANTI JOIN (SELECT event_id FROM silver.events UNION ALL "
        "SELECT event_id FROM silver.quarantine) USING (event_id)",
    )
    verdict.doubled += _ids(
        connection,
        "SELECT event_id || ' is in silver ' || count(*) || ' times' FROM silver.events "
        "GROUP BY event_id HAVING count(*) > 1",
    )
    answer = connection.execute(
        "SELECT (SELECT count(*) FROM silver.events), "
        "(SELECT coalesce(sum(events_count), 0) FROM gold.student_daily_activity)"
    ).fetchone()
    assert answer is not None
    if answer[0] != answer[1]:
        verdict.faults.append(f"silver has {answer[0]:,} events, gold counts {answer[1]:,}")


def _ids(
    connection: duckdb.DuckDBPyConnection, query: str, values: dict[str, list[str]] | None = None
) -> list[str]:
    return [row[0] for row in connection.execute(query, values).fetchall()]
