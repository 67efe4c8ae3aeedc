"""The made-up school's files read with Python's own csv and json, to hold its truth against."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from lake.school import Delivery, School
from schemas.records.sources import SOURCES, Source

Cells = dict[str, str | None]


@dataclass(frozen=True)
class Read:
    """A file: its text, its header (CSV), and its rows as field → cell, extra columns by name."""

    text: str
    header: list[str]
    rows: list[Cells]


def plain_bytes(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def read(school: School, delivery: Delivery) -> Read:
    """A file that is not to be refused."""
    assert delivery.source is not None
    assert delivery.encoding is not None
    source = SOURCES[delivery.source]
    text = plain_bytes((school.folder / delivery.name).read_bytes()).decode(delivery.encoding)
    if source.format == "json":
        return Read(text, [], [_cells(source, item) for item in _elements(text)])
    assert delivery.delimiter is not None
    lines = io.StringIO(text.removeprefix(f"sep={delivery.delimiter}\r\n"), newline="")
    table = [
        row for row in csv.reader(lines, delimiter=delivery.delimiter, strict=True) if any(row)
    ]
    header = table[0]
    names = [_field(source, name) for name in header]
    return Read(text, header, [dict(zip(names, row, strict=False)) for row in table[1:]])


def _elements(text: str) -> list[Any]:
    if text.startswith("["):
        elements: list[Any] = json.loads(text)
        return elements
    if text.startswith('{"assessments"'):
        (wrapped,) = json.loads(text).values()
        return list(wrapped)
    return [json.loads(line) for line in text.splitlines()]


def _cells(source: Source, item: object) -> Cells:
    if not isinstance(item, dict):
        return {}
    texts = {name: value if value is None else str(value) for name, value in item.items()}
    return {_field(source, name): value for name, value in texts.items()}


@cache
def _field(source: Source, name: str) -> str:
    """The field that a header's name means; an extra column keeps its own."""
    spelled = re.sub(r"[\s/-]+", "_", name.strip().lower())
    named = (f.name for f in source.fields if spelled in (f.name, *f.aliases))
    return next(named, name)
