"""Rejected records: counted, shown, and taken again after a schema or a setting has changed."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import orjson

from lake.errors import LakeError
from lake.ingest import MAPPINGS
from lake.ledger import Ledger, LedgerRow, StaleWriterError, reason_counts
from lake.raw_buffers import EXPIRED
from lake.raw_objects import EventBuffer, GzipLines, Origin, put_lines
from lake.storage import ObjectStore
from lake.timestamps import from_microseconds
from lake.validation import Accepted, Limits, Rejected, Validator

QuarantineRecord = dict[str, Any]

# Nothing was received that could be checked again.
WITHOUT_CONTENT = frozenset({"corrupt_compression", "tombstone", EXPIRED})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rejected records are meant; an empty part means all."""

    topics: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    dates: frozenset[date] = frozenset()

    def takes_object(self, row: LedgerRow) -> bool:
        """Whether an object may hold records that are meant."""
        return (
            (not self.topics or row.topic in self.topics)
            and (not self.dates or row.date in self.dates)
            and (not self.reasons or not self.reasons.isdisjoint(reason_counts(row)))
        )

    def takes(self, record: QuarantineRecord) -> bool:
        """Whether a record of such an object is meant."""
        return not self.reasons or record["reason"] in self.reasons


@dataclass(slots=True)
class ReplayReport:
    """What a replay did: records that passed, records that still fail by reason."""

    objects: int = 0
    tried: int = 0
    passed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dates: set[date] = field(default_factory=set)


def quarantine_counts(
    ledger: Ledger, selection: Selection | None = None
) -> list[tuple[str, date, str, int]]:
    """(topic, day of ingestion, reason, records) of what lies in quarantine now, in order."""
    selection = selection or Selection()
    counts: Counter[tuple[str, date, str]] = Counter()
    for row in ledger.live_quarantine():
        if selection.takes_object(row):
            for reason, count in reason_counts(row).items():
                if not selection.reasons or reason in selection.reasons:
                    counts[row.topic, row.date, reason] += count
    return [(*key, count) for key, count in sorted(counts.items())]


def quarantined_records(
    store: ObjectStore, ledger: Ledger, selection: Selection | None = None
) -> Iterator[QuarantineRecord]:
    """Rejected records as they are kept, object by object in the order of their paths."""
    selection = selection or Selection()
    for row in ledger.live_quarantine():
        if selection.takes_object(row):
            yield from filter(selection.takes, _records_of(store, row.path))


def raw_bytes(record: QuarantineRecord) -> bytes:
    """What was sent (its beginning, for a record that is stored apart)."""
    if "raw_base64" in record:
        return base64.b64decode(record["raw_base64"])
    return str(record["raw"]).encode()


def replay(
    store: ObjectStore,
    ledger: Ledger,
    selection: Selection,
    limits_of: Callable[[str], Limits],
    max_record_bytes: int,
    on_object: Callable[[ReplayReport], None] = lambda report: None,
) -> ReplayReport:
    """Hold the selected records against today's schemas and limits and take those that pass.

    One quarantine object is retired by one commit: its passing records become raw objects, all
    others go into a new quarantine object, and every new row says what it replaces, so the
    counts stay provable. An object of which nothing passes stays as it is. Interrupted and
    repeated it takes nothing twice. `limits_of` gives the limits of a topic. A record's time is
    held against the time at which it was first received.
    """
    report = ReplayReport()
    validators: dict[str, Validator] = {}
    for row in ledger.live_quarantine():
        if not selection.takes_object(row):
            continue
        validator = validators.get(row.topic)
        if validator is None:
            validator = Validator(limits_of(row.topic), MAPPINGS.get(row.topic))
            validators[row.topic] = validator
        attempt = _Replay(store, row, selection, validator, max_record_bytes)
        attempt.run(report)
        _commit(ledger, attempt, report)
        on_object(report)
    return report


def _commit(ledger: Ledger, attempt: _Replay, report: ReplayReport) -> None:
    if not attempt.passed:
        return
    app_id = f"replay/{attempt.row.path}"
    try:
        ledger.append(attempt.put(), app_id, 1, None)
    except StaleWriterError:
        raise LakeError(
            f"Another process replays the same records ({attempt.row.path}).\n"
            "  Run the command again when it has ended: nothing is taken twice."
        ) from None
    report.objects += 1
    report.passed += attempt.passed
    report.dates |= attempt.days


class _Replay:
    """One quarantine object on its way into new objects."""

    def __init__(
        self,
        store: ObjectStore,
        row: LedgerRow,
        selection: Selection,
        validator: Validator,
        max_record_bytes: int,
    ) -> None:
        self.row = row
        self.passed = 0
        self._store, self._selection = store, selection
        self._validator, self._max_record_bytes = validator, max_record_bytes
        self._events: dict[date, EventBuffer] = {}
        self._rest = GzipLines()
        self._rest_offsets: tuple[int, int] = (0, 0)
        self._reasons: Counter[str] = Counter()

    @property
    def days(self) -> set[date]:
        """Days of the events that passed."""
        return set(self._events)

    def run(self, report: ReplayReport) -> None:
        """Check every selected record of the object."""
        for record in _records_of(self._store, self.row.path):
            offset = int(record["offset"])
            if not self._selection.takes(record):
                self._keep(offset, record)
                continue
            report.tried += 1
            checked = self._checked(record)
            if isinstance(checked, Accepted):
                self.passed += 1
                day = checked.date
                if day not in self._events:
                    self._events[day] = EventBuffer(offset, checked.ts_us)
                self._events[day].add(offset, checked)
            else:
                report.failed[checked.reason] += 1
                self._keep(offset, {**record, **_verdict(checked)})

    def _checked(self, record: QuarantineRecord) -> Accepted | Rejected:
        if record["reason"] in WITHOUT_CONTENT:
            return Rejected(record["reason"], record["detail"])
        raw = raw_bytes(record)
        if "raw_object" in record:
            if record["raw_bytes"] > self._max_record_bytes:
                return Rejected("too_large", record["detail"])
            raw = self._store.get(record["raw_object"])
        return self._validator.check(raw, datetime.fromisoformat(record["recorded_at"]))

    def _keep(self, offset: int, record: QuarantineRecord) -> None:
        first = self._rest_offsets[0] if self._rest.count else offset
        self._rest_offsets = (first, offset)
        self._reasons[record["reason"]] += 1
        self._rest.add(orjson.dumps(record))

    def put(self) -> list[LedgerRow]:
        """Put the new objects; gives the rows that retire the old one."""
        origin = Origin(self.row.topic, self.row.source, self.row.partition)
        now = datetime.now(UTC)
        rows = []
        for day, buffer in sorted(self._events.items()):
            span, count = buffer.span, buffer.lines.count
            path, size = put_lines(self._store, "raw", origin, day, span, buffer.lines)
            rows.append(
                replace(
                    self._new_row(path, span, size, count, now),
                    date=day,
                    min_ts=from_microseconds(buffer.min_us),
                    max_ts=from_microseconds(buffer.max_us),
                    is_quarantine=False,
                    reasons=None,
                    id_digest=buffer.id_digest,
                )
            )
        if self._reasons:
            span, day = self._rest_offsets, self.row.date
            path, size = put_lines(self._store, "quarantine", origin, day, span, self._rest)
            reasons = orjson.dumps(dict(sorted(self._reasons.items()))).decode()
            row = self._new_row(path, span, size, self._reasons.total(), now)
            rows.append(replace(row, reasons=reasons))
        return rows

    def _new_row(
        self, path: str, span: tuple[int, int], size: int, count: int, now: datetime
    ) -> LedgerRow:
        return replace(
            self.row,
            path=path,
            first_offset=span[0],
            last_offset=span[1],
            record_count=count,
            bytes=size,
            ingested_at=now,
            replaces=self.row.path,
        )


def _verdict(rejected: Rejected) -> QuarantineRecord:
    return {"reason": rejected.reason, "detail": rejected.detail, "schema": rejected.schema}


def _records_of(store: ObjectStore, path: str) -> Iterator[QuarantineRecord]:
    with store.open(path) as compressed, gzip.GzipFile(fileobj=compressed) as lines:
        for line in lines:
            yield orjson.loads(line)


def replayable(counts: Sequence[tuple[str, date, str, int]]) -> int:
    """Records that a replay can try."""
    return sum(count for _, _, reason, count in counts if reason not in WITHOUT_CONTENT)
