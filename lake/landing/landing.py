"""A file of the landing zone, from its bytes to its rows in bronze and its place afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lake.landing.bronze import Bronze, FirstLanding, LandedFile, Origin
from lake.landing.faults import BronzeChangedError, FileFault
from lake.landing.naming import FAILED, PROCESSED, REASON, readable, source_of
from lake.landing.reading import Limits, Reading, open_reading
from lake.landing.zone import FileChanged, Zone, ZoneFile, free_key
from lake.sources import sha256_of

if TYPE_CHECKING:
    from lake.storage import Lease
    from schemas.records import Source

Kind = Literal["landed", "known", "failed", "left"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    landed: its rows are in bronze now; known: its content was landed before, see `first`; failed:
    refused as a whole, see `fault`; left: where it is, see `note`.
    """

    name: str
    kind: Kind
    source: str | None = None
    content_hash: str = ""
    rows: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    encoding: str = ""
    delimiter: str | None = None
    extra_columns: tuple[str, ...] = ()
    first: FirstLanding | None = None
    fault: FileFault | None = None
    note: str = ""
    is_trouble: bool = False

    @property
    def is_good(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.kind != "failed" and not self.is_trouble


class Landing:
    """Lands files one after the other, under the lease `land`."""

    def __init__(self, bronze: Bronze, lease: Lease, limits: Limits) -> None:
        self._bronze = bronze
        self._lease = lease
        self._limits = limits
        self._landed = bronze.landed()

    def land(
        self, path: Path, name: str, source: Source, check: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Put the rows of the file into the source's table, unless its content was landed before.

        name: under which it was delivered. check: called before anything is committed, to raise
        where the file was changed meanwhile. Raises FileFault, after which the tables are as they
        were, and LakeError.
        """
        content_hash = hash_of(path)
        check()
        if first := self._landed.get(content_hash):
            return Outcome(name, "known", source.name, content_hash, first=first)
        is_committed = self._bronze.has_rows_of(source.name, content_hash)
        reading = open_reading(lambda: path.open("rb"), name, source, self._limits)
        if is_committed:
            # A landing that was killed after the commit: what it would have noted is counted anew.
            for _ in reading.batches():
                pass
        else:
            self._add_rows(reading, source, Origin(content_hash, name, datetime.now(UTC)), check)
        self._note(path, name, source, content_hash, reading)
        return Outcome(
            name,
            "landed",
            source.name,
            content_hash,
            reading.counts.rows,
            reading.counts.defects,
            reading.encoding,
            reading.delimiter,
            tuple(reading.counts.extra_columns),
        )

    def _add_rows(
        self, reading: Reading, source: Source, origin: Origin, check: Callable[[], None]
    ) -> None:
        def check_all() -> None:
            check()
            self._lease.check()

        self._bronze.add_rows(source.name, origin, reading.batches(), check_all)

    def _note(
        self, path: Path, name: str, source: Source, content_hash: str, reading: Reading
    ) -> None:
        self._lease.check()
        counts = reading.counts
        landed = LandedFile(
            content_hash=content_hash,
            source=source.name,
            file_name=name,
            bytes=path.stat().st_size,
            row_count=counts.rows,
            encoding=reading.encoding,
            delimiter=reading.delimiter,
            defect_count=counts.defects.total(),
            extra_columns=list(counts.extra_columns),
            landed_at=datetime.now(UTC),
        )
        self._bronze.note_landed(landed)
        self._landed[content_hash] = FirstLanding(name, landed.landed_at)


def land_given(landing: Landing, paths: Iterable[Path], source: Source | None) -> Iterator[Outcome]:
    """Land files where they lie, and leave them there. Raises LakeError."""
    for path in paths:
        try:
            yield landing.land(path, readable(path.name), source or source_of("", path.name))
        except FileFault as fault:
            yield Outcome(path.name, "failed", source.name if source else None, fault=fault)
        except OSError as error:
            yield _left(path.name, f"cannot be read: {error.strerror or error}", is_trouble=True)


def land_zone_file(landing: Landing, zone: Zone, file: ZoneFile) -> Outcome:
    """Land a file of the zone and move it to processed/, or to failed/ with its reason.

    A file that is gone, changes or cannot be read stays where it is, and so does one for which
    the tables were changed by another process. Raises LakeError.
    """
    try:
        with zone.fetched(file) as path:
            outcome = _landed_or_failed(landing, zone, file, path)
        _put_away(zone, file, outcome)
    except FileNotFoundError:
        return _left(file.key, "is gone")
    except FileChanged:
        return _left(file.key, "is being changed; left for the next look")
    except BronzeChangedError as error:
        return _left(file.key, f"{str(error).splitlines()[0]} Left for the next look")
    except PermissionError as error:
        return _left(file.key, f"cannot be read or moved: {error.strerror}", is_trouble=True)
    return outcome


def _landed_or_failed(landing: Landing, zone: Zone, file: ZoneFile, path: Path) -> Outcome:
    source: Source | None = None
    try:
        source = source_of(file.folder, file.name)
        return landing.land(path, readable(file.name), source, lambda: zone.check(file))
    except FileFault as fault:
        name = source.name if source else None
        return Outcome(file.name, "failed", name, hash_of(path), fault=fault)


def _put_away(zone: Zone, file: ZoneFile, outcome: Outcome) -> None:
    if outcome.fault is None:
        folder = f"{PROCESSED}/{datetime.now(UTC).date().isoformat()}"
        zone.move(file, free_key(zone, folder, file.name, outcome.content_hash))
        return
    zone.check(file)
    target = free_key(zone, FAILED, file.name, outcome.content_hash)
    # The reason first: nothing lies in failed/ without one, wherever this is stopped.
    zone.put(f"{target}{REASON}", _reason(outcome, outcome.fault))
    zone.move(file, target)


def _reason(outcome: Outcome, fault: FileFault) -> bytes:
    said = {
        "file": outcome.name,
        "content_hash": outcome.content_hash,
        "source": outcome.source,
        "reason": fault.reason,
        "detail": fault.detail,
        "line": fault.line,
        "column": fault.column,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(said, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _left(name: str, note: str, *, is_trouble: bool = False) -> Outcome:
    return Outcome(name, "left", note=note, is_trouble=is_trouble)


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return sha256_of(file)
