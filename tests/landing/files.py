"""Files of school records that tests write, and what is read of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from deltalake import DeltaTable

from lake.delta_reading import delta_rows
from lake.landing.reading import Limits, Reading, open_reading
from lake.storage import ObjectStore
from schemas.derivations import arrow_schema
from schemas.records import SOURCES
from schemas.tables import TABLES

ATTENDANCE = ("attendance_id", "student_id", "attendance_date", "status", "created_at")
HEADER = ",".join(ATTENDANCE)
GOOD = f"{HEADER}\n1,s-1,2025-09-01,PRESENT,2025-09-01\n2,s-2,2025-09-01,ABSENT,2025-09-01\n"
ASSESSMENT = (
    '{"assessment_id": 7, "student_id": "s-1", "subject": "Art", "score": 12.50, '
    '"max_score": 2e1, "assessment_date": "2025-09-01", "created_at": null}'
)


class Row(NamedTuple):
    """A row as bronze keeps it; `extra` as an object."""

    fields: tuple[str | None, ...]
    extra: dict[str, str | None] | None
    defect: str | None
    row: int
    line: int | None


def reading(body: bytes, source: str = "attendance", name: str = "x", **limits: int) -> Reading:
    return open_reading(lambda: io.BytesIO(body), name, SOURCES[source], Limits(**limits))


def rows_read(opened: Reading) -> list[Row]:
    """All rows; checks that they are counted right."""
    rows: list[Row] = []
    for batch in opened.batches():
        size = len(batch)
        columns = [values or [None] * size for values in batch.fields]
        fields = zip(*columns, strict=True)
        lines: Sequence[int | None] = batch.lines or [None] * size
        numbers = range(batch.first_row, batch.first_row + size)
        parts = zip(fields, batch.extra, batch.defects, numbers, lines, strict=True)
        rows += [_row(*values) for values in parts]
    assert opened.counts.rows == len(rows)
    assert opened.counts.defects.total() == sum(row.defect is not None for row in rows)
    return rows


def read(
    body: bytes | str, source: str = "attendance", name: str = "x", **limits: int
) -> list[Row]:
    encoded = body.encode() if isinstance(body, str) else body
    return rows_read(reading(encoded, source, name, **limits))


def _row(fields: Any, extra: Any, defect: Any, row: Any, line: Any) -> Row:
    return Row(tuple(fields), None if extra is None else json.loads(extra), defect, row, line)


def table_rows(store: ObjectStore, name: str) -> list[dict[str, Any]]:
    """Rows of a declared table; none where it was never written."""
    uri, options = store.delta_uri(TABLES[name].path), store.storage_options or None
    if not DeltaTable.is_deltatable(uri, options):
        return []
    return delta_rows(
        DeltaTable(uri, storage_options=options), arrow_schema(TABLES[name])
    ).to_pylist()


def bronze_rows(store: ObjectStore, source: str = "attendance") -> list[Row]:
    """Rows of a source's table in the order of files and rows."""
    names = SOURCES[source].field_names
    found = sorted(
        table_rows(store, f"bronze.{source}"), key=lambda r: (r["_content_hash"], r["_row"])
    )
    return [
        _row([r[name] for name in names], r["_extra"], r["_defect"], r["_row"], r["_line"])
        for r in found
    ]
