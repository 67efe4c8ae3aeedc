"""Files of events into the raw zone: every record validated, kept once, committed per flush."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import orjson

from lake.ledger import Ledger
from lake.raw import RawWriter
from lake.raw_objects import Origin
from lake.settings import Settings
from lake.sources import SourceFile, SourceRecord, opened_source
from lake.storage import ObjectStore
from lake.timestamps import to_microseconds
from lake.validation import Accepted, Limits, MapRecord, Rejected, Validator
from lake.xapi import looks_like_statement, native_event

Format = Literal["auto", "native", "xapi"]
MAPPINGS: dict[str, MapRecord | None] = {"native": None, "xapi": native_event}
RECORDS_BETWEEN_REPORTS = 10_000
RECORDS_LOOKED_AT = 100
SOURCES = "events/_sources"


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How files are read. `dry_run` validates and counts, and writes nothing."""

    format: Format = "auto"
    limits: Limits = field(default_factory=Limits)
    flush_records: int = 200_000
    max_record_bytes: int = 1_000_000
    dry_run: bool = False

    @classmethod
    def from_settings(cls, settings: Settings, **changes: object) -> IngestOptions:
        """The options that the settings ask for; files of history carry no age limit."""
        options = cls(
            limits=Limits(max_clock_skew=settings.max_clock_skew),
            flush_records=settings.flush_records,
            max_record_bytes=settings.max_record_bytes,
        )
        return replace(options, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class FileReport:
    """What became of one file. `records` are all of it; raw and quarantined those of this run."""

    name: str
    source: str
    topic: str
    records: int = 0
    committed_before: int = 0
    raw: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def is_known(self) -> bool:
        """Whether an earlier run had taken all of it."""
        return self.records > 0 and self.committed_before == self.records


Progress = Callable[[FileReport], None]


class _Sink(Protocol):
    """What `RawWriter` offers to a file."""

    @property
    def next_offset(self) -> int: ...

    def accept(self, offset: int, event: Accepted) -> None: ...

    def reject(
        self,
        offset: int,
        rejected: Rejected,
        raw: bytes,
        recorded_at: datetime,
        large: BinaryIO | None,
    ) -> None: ...

    def flush(self) -> int: ...


def ingest_files(
    store: ObjectStore,
    ledger: Ledger,
    paths: Sequence[Path],
    options: IngestOptions,
    on_progress: Progress = lambda report: None,
) -> list[FileReport]:
    """Take the files one after the other; each is exactly once in the lake, however often it
    is given and wherever an earlier run was stopped. `on_progress` is called while records are
    taken and once at the end of each file. Raises LakeError where a file cannot be read or
    another process takes the same content.
    """
    reports = []
    for path in paths:
        with opened_source(path) as source:
            report = _ingest_source(store, ledger, source, options, on_progress)
        on_progress(report)
        reports.append(report)
    if not options.dry_run:
        ledger.compact()
    return reports


def _ingest_source(
    store: ObjectStore,
    ledger: Ledger,
    source: SourceFile,
    options: IngestOptions,
    on_progress: Progress,
) -> FileReport:
    topic = detected_format(source, options) if options.format == "auto" else options.format
    origin = Origin(topic, source.sha256)
    report = FileReport(source.name, source.sha256, topic)
    completed = completed_records(store, ledger, origin)
    if completed is not None:
        report.records = report.committed_before = completed
        return report
    writer: _Sink = (
        _NoWriter() if options.dry_run else RawWriter(store, ledger, origin, options.flush_records)
    )
    report.committed_before = writer.next_offset
    _take_records(source, writer, options, report, on_progress)
    if not options.dry_run:
        _note_completed(store, origin, report)
    return report


def _take_records(
    source: SourceFile,
    writer: _Sink,
    options: IngestOptions,
    report: FileReport,
    on_progress: Progress,
) -> None:
    recorded_at = datetime.now(UTC)
    recorded_us = to_microseconds(recorded_at)
    check = Validator(options.limits, MAPPINGS[report.topic]).check_at
    start = writer.next_offset
    accept = writer.accept
    for record in source.records(options.max_record_bytes):
        offset, raw, error, large = record
        report.records = offset + 1
        if offset >= start:
            checked = check(raw, recorded_us) if error is None else Rejected(*error)
            if isinstance(checked, Accepted):
                accept(offset, checked)
                report.raw += 1
            else:
                writer.reject(offset, checked, raw, recorded_at, large)
                report.quarantined[checked.reason] += 1
        if large is not None:
            large.close()
        if report.records % RECORDS_BETWEEN_REPORTS == 0:
            on_progress(report)
    writer.flush()


def detected_format(source: SourceFile, options: IngestOptions) -> str:
    """`xapi` or `native`, by the first record of the file that is a JSON object."""
    records = source.records(options.max_record_bytes)
    first_records: list[SourceRecord] = list(islice(records, RECORDS_LOOKED_AT))
    for record in first_records:
        try:
            value = orjson.loads(record.raw)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            return "xapi" if looks_like_statement(value) else "native"
    return "native"


def completion_key(origin: Origin) -> str:
    """Object that says a file was taken to its end."""
    return f"{SOURCES}/{origin.topic}/{origin.source}.json"


def completed_records(store: ObjectStore, ledger: Ledger, origin: Origin) -> int | None:
    """Number of records of a file that was taken to its end, None where it was not.

    The note saves reading the file again; it counts only where the ledger agrees with it.
    """
    key = completion_key(origin)
    if not store.exists(key):
        return None
    records = int(orjson.loads(store.get(key))["records"])
    committed = ledger.resume_offset(origin.topic, origin.source, origin.partition)
    return records if records == committed else None


def noted_sources(store: ObjectStore) -> Iterator[tuple[str, str, int]]:
    """(topic, source, records) of every file that was taken to its end."""
    for key in store.list(SOURCES):
        topic, name = key.split("/")[-2:]
        yield topic, name.removesuffix(".json"), int(orjson.loads(store.get(key))["records"])


def _note_completed(store: ObjectStore, origin: Origin, report: FileReport) -> None:
    note = {
        "name": report.name,
        "records": report.records,
        "completed_at": datetime.now(UTC).isoformat(),
    }
    store.put(completion_key(origin), orjson.dumps(note))


class _NoWriter:
    """Takes records and writes nothing."""

    next_offset = 0

    def accept(self, offset: int, event: Accepted) -> None:
        return None

    def reject(
        self,
        offset: int,
        rejected: Rejected,
        raw: bytes,
        recorded_at: datetime,
        large: BinaryIO | None,
    ) -> None:
        return None

    def flush(self) -> int:
        return 0
