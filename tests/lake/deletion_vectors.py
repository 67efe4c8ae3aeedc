"""Rows hidden by deletion vectors, without Spark: the commit that a MERGE would make."""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from lake.maintenance.table_state import B85, Z85
from lake.storage import ObjectStore
from schemas.table import Table

MAGIC = 1_681_511_377
NO_RUN_CONTAINERS = 12_346


def hide_rows(
    store: ObjectStore, table: Table, version: int, rows: Mapping[str, Sequence[int]]
) -> str:
    """Commit version + 1 of a table, which hides rows (by number, below 65,536) of its files.

    Every file must have been added without a vector. Returns the path of the vectors' file.
    """
    uuid = uuid4()
    name = f"deletion_vector_{uuid}.bin"
    text = base64.b85encode(uuid.bytes).translate(bytes.maketrans(B85, Z85)).decode()
    body = b"\x01"
    actions: list[dict[str, Any]] = [{"commitInfo": {"operation": "MERGE"}}]
    adds = _adds(store, table)
    for path, numbers in rows.items():
        bitmap = _bitmap(sorted(numbers))
        vector = {
            "storageType": "u",
            "pathOrInlineDv": text,
            "offset": len(body),
            "sizeInBytes": len(bitmap),
            "cardinality": len(numbers),
        }
        body += struct.pack(">i", len(bitmap)) + bitmap + struct.pack(">I", zlib.crc32(bitmap))
        add = adds[path]
        removed = {key: add[key] for key in ("path", "partitionValues", "size")}
        times = {"deletionTimestamp": time.time_ns() // 1_000_000, "extendedFileMetadata": True}
        actions.append({"remove": {**removed, **times, "dataChange": True}})
        stats = {**json.loads(add["stats"]), "tightBounds": False}
        actions.append({"add": {**add, "stats": json.dumps(stats), "deletionVector": vector}})
    store.put(f"{table.path}/{name}", body)
    commit = "\n".join(json.dumps(action) for action in actions).encode()
    store.put(f"{table.path}/_delta_log/{version + 1:020d}.json", commit)
    return name


def _bitmap(numbers: Sequence[int]) -> bytes:
    """A RoaringBitmapArray of one bitmap with one array container."""
    return (
        struct.pack("<iqi", MAGIC, 1, 0)
        + struct.pack("<iiHHi", NO_RUN_CONTAINERS, 1, 0, len(numbers) - 1, 16)
        + struct.pack(f"<{len(numbers)}H", *numbers)
    )


def _adds(store: ObjectStore, table: Table) -> dict[str, dict[str, Any]]:
    found = {}
    for key in store.list(f"{table.path}/_delta_log"):
        if key.endswith(".json"):
            for line in store.get(key).splitlines():
                if add := json.loads(line).get("add"):
                    found[add["path"]] = add
    return found
