"""Whether the objects of the raw zone and its quarantine are what the ledger says."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

import orjson

from lake.ledger import LedgerRow

if TYPE_CHECKING:
    from lake.audit_sources import SourceKey
    from lake.storage import ObjectStore

LARGE = b'"raw_object":'


def object_faults(
    store: ObjectStore, rows: Sequence[LedgerRow], compared: Set[str]
) -> Iterator[str]:
    """What differs between the objects and their ledger rows.

    The objects at the paths `compared` are read by the comparison with silver; the others, those
    in quarantine and those that wait for a build, are read here, in bounded memory.
    """
    for row in rows:
        if not store.exists(row.path):
            yield f"{row.path}: the object is gone ({row.record_count} records)"
        elif (size := store.size(row.path)) != row.bytes:
            yield f"{row.path}: {size} bytes, the ledger says {row.bytes}"
        elif row.path not in compared:
            yield from _content_faults(store, row)


def _content_faults(store: ObjectStore, row: LedgerRow) -> Iterator[str]:
    count, digest, apart = 0, 0, []
    try:
        with store.open(row.path) as body, gzip.open(body) as lines:
            for line in lines:
                count += 1
                if row.id_digest is not None:
                    event_id = str(orjson.loads(line)["event_id"])
                    digest += int.from_bytes(hashlib.sha256(event_id.encode()).digest()[:8])
                elif LARGE in line:
                    apart.append(orjson.loads(line).get("raw_object"))
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, KeyError, TypeError) as error:
        yield f"{row.path}: the object is damaged: {error}"
        return
    if count != row.record_count:
        yield f"{row.path}: holds {count} records, the ledger says {row.record_count}"
    if row.id_digest is not None and str(digest % 2**64) != row.id_digest:
        yield f"{row.path}: the digest of its event ids is not the ledger's"
    for path in apart:
        if path and not store.exists(path):
            yield f"{path}: the object is gone (a large record in quarantine)"


def note_faults(
    noted: Iterable[tuple[str, str, int]], ends: Mapping[SourceKey, int]
) -> Iterator[str]:
    """Files that were taken to their end and end elsewhere by the ledger.

    noted: topic, source and records of these files (one that is not among them was interrupted);
    ends: the offset after the last one of each source.
    """
    for topic, source, records in noted:
        if (end := ends.get((topic, source, 0), 0)) != records:
            yield (
                f"{topic} source {source[:16]}: the file has {records} records, "
                f"the ledger knows {end} of them"
            )
