"""The first part of law 1: what entered is in raw or in quarantine once, by the ledger alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake.ledger import LedgerRow, reason_counts
from lake.raw_buffers import EXPIRED

if TYPE_CHECKING:
    from lake.audit_outcome import Audit


# Topic, source, partition.
SourceKey = tuple[str, str, int]


@dataclass
class _Flush:
    """One flush of one source as its ledger rows tell it."""

    records: int = 0
    gaps: int = 0


def check_sources(rows: Sequence[LedgerRow], outcome: Audit) -> dict[SourceKey, int]:
    """The flushes of each source chain, and each accounts for every offset of its span.

    Returns the offset after the last one of each source.
    """
    sources: dict[SourceKey, dict[tuple[int, int], _Flush]] = defaultdict(
        lambda: defaultdict(_Flush)
    )
    replaced: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.replaces:
            replaced[row.replaces] += row.record_count
            continue
        flush = sources[row.topic, row.source, row.partition][
            row.flush_first_offset, row.flush_last_offset
        ]
        flush.records += row.record_count
        flush.gaps = row.flush_gap_count or 0
        if EXPIRED in reason_counts(row):
            outcome.faults.append(
                f"{_source_name(row.topic, row.source, row.partition)}: offsets "
                f"{row.first_offset} … {row.last_offset} "
                f"({row.last_offset - row.first_offset + 1}) are lost: they expired in the broker "
                "before they were archived"
            )
        else:
            outcome.received += row.record_count
    for key, flushes in sources.items():
        outcome.faults.extend(_chain_faults(_source_name(*key), is_broker(key[1]), flushes))
    outcome.sources = len(sources)
    counts = {
        row.path: row.record_count
        for row in rows
        if row.is_quarantine and EXPIRED not in reason_counts(row)
    }
    outcome.rejected = sum(n for path, n in counts.items() if path not in replaced)
    for path, count in replaced.items():
        if counts.get(path) != count:
            outcome.faults.append(
                f"{path}: held {counts.get(path, 0)} rejected records, its replay {count}"
            )
    return {key: max(last for _, last in flushes) + 1 for key, flushes in sources.items()}


def is_broker(source: str) -> bool:
    """Whether a source is a topic of a cluster, and not a file (named by its content's digest)."""
    return "/" in source


def _source_name(topic: str, source: str, partition: int) -> str:
    return f"{topic} source {source[:16]} partition {partition}"


def _chain_faults(
    name: str, is_topic: bool, flushes: dict[tuple[int, int], _Flush]
) -> Iterator[str]:
    """What is wrong with the flushes of one source.

    Only Kafka's offsets may have gaps, and begin where retention has left them.
    """
    expected = None if is_topic else 0
    for (first, last), flush in sorted(flushes.items()):
        if expected is not None and first != expected:
            if first > expected:
                yield f"{name}: offsets {expected} … {first - 1} are missing"
            else:
                yield f"{name}: offsets {first} … {min(expected - 1, last)} are doubled"
        if flush.records + flush.gaps != last - first + 1:
            passed_over = f" and passes over {flush.gaps}" if flush.gaps else ""
            yield (
                f"{name}: the flush {first} … {last} holds {flush.records} records{passed_over}, "
                f"its offsets say {last - first + 1}"
            )
        if flush.gaps and not is_topic:
            yield f"{name}: the flush {first} … {last} of a file passes over {flush.gaps} records"
        expected = last + 1 if expected is None else max(expected, last + 1)
