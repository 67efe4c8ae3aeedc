"""A small lake of files in tests: what it holds, and whether it keeps the law of conservation."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from lake.ingest import FileReport, IngestOptions, ingest_files
from lake.ledger import Ledger, ledger_rows
from lake.quarantine import quarantined_records
from lake.storage import ObjectStore
from lake.storage_local import LocalStore


class RawZone:
    """A store, its ledger, and what readers of them see."""

    def __init__(self, store: ObjectStore | Path) -> None:
        self.store = LocalStore(store) if isinstance(store, Path) else store
        self.ledger = Ledger(self.store)

    def ingest(self, *paths: Path, **options: Any) -> list[FileReport]:
        return ingest_files(self.store, self.ledger, list(paths), IngestOptions(**options))

    def lines(self) -> Counter[bytes]:
        """All raw lines that the ledger knows."""
        found: Counter[bytes] = Counter()
        for row in ledger_rows(self.ledger.rows()):
            body = self.store.get(row.path)
            lines = gzip.decompress(body).splitlines()
            assert (len(lines), len(body)) == (row.record_count, row.bytes)
            ids = [orjson.loads(line)["event_id"] for line in lines]
            digests = (int(hashlib.sha256(i.encode()).hexdigest()[:16], 16) for i in ids)
            assert row.id_digest == str(sum(digests) % 2**64)
            found.update(lines)
        return found

    def quarantined(self) -> list[dict[str, Any]]:
        return list(quarantined_records(self.store, self.ledger))

    def check_conservation(self, records: dict[str, int]) -> None:
        """Law 1 from the ledger alone; `records` is the number of records of each source."""
        rows = ledger_rows(self.ledger.rows(is_quarantine=None))
        by_path = {row.path: row for row in rows}
        replaced: Counter[str] = Counter()
        flushes: dict[tuple[str, int, int], int] = {}
        for row in rows:
            if row.replaces:
                replaced[row.replaces] += row.record_count
            else:
                key = (row.source, row.flush_first_offset, row.flush_last_offset)
                flushes[key] = flushes.get(key, 0) + row.record_count
        for path, count in replaced.items():
            assert by_path[path].record_count == count
        ends: dict[str, int] = dict.fromkeys(records, 0)
        for (source, first, last), count in sorted(flushes.items()):
            assert first == ends[source]
            assert count == last - first + 1
            ends[source] = last + 1
        assert ends == records


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A valid page view."""
    return {
        "event_id": f"e-{number}",
        "student_id": f"s-{number % 3}",
        "event_type": "page_view",
        "timestamp": f"2025-11-{10 + number % 4:02d}T08:30:00.000Z",
        **changes,
    }


def write_lines(path: Path, records: list[Any]) -> Path:
    """JSON lines of the records; bytes are written as they are."""
    lines = [r if isinstance(r, bytes) else orjson.dumps(r) for r in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
