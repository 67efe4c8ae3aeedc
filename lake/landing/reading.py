"""A file's bytes as rows of its source: what kind of file it is, and its rows in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake.landing.delimited import Delimited, open_delimited
from lake.landing.json_records import JsonRecords, open_json
from lake.landing.rows import Batch, Counts
from lake.landing.text import Open, Text, find_text
from schemas.records import Source

if TYPE_CHECKING:
    from lake.settings import Settings

GZ = ".gz"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read at most: bytes of a file's text, characters of one value."""

    file_bytes: int = 4 << 30
    value_characters: int = 1_000_000

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        return cls(settings.landing_max_file_bytes, settings.max_record_bytes)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that can be read. `counts` are complete once all batches were taken."""

    encoding: str
    rows: Delimited | JsonRecords
    counts: Counts = field(default_factory=Counts)

    @property
    def delimiter(self) -> str | None:
        """What separates the fields; None for JSON."""
        return self.rows.delimiter

    def batches(self) -> Iterator[Batch]:
        """All rows of the file, in order; once.

        Raises FileFault where they cannot all be read: then no row of the file counts.
        """
        return self.rows.batches(self.counts)


def open_reading(open_bytes: Open, name: str, source: Source, limits: Limits) -> Reading:
    """Look at the file as far as is needed to read its rows as those of the source.

    open_bytes gives the file's bytes from their start, as often as it is called. Whether it is
    JSON or has separators, its content says; the name is asked where that is neither. Raises
    FileFault.
    """
    text = find_text(open_bytes, limits.file_bytes)
    opened = open_json if _is_json(text, name, source) else open_delimited
    return Reading(text.encoding, opened(text, source, limits.value_characters))


def _is_json(text: Text, name: str, source: Source) -> bool:
    with text.open() as stream:
        start = stream.read(1 << 12).lstrip()
    if start[:1] in ("[", "{"):
        return True
    bare = name.lower().removesuffix(GZ)
    return source.format == "json" and bare.endswith((".json", ".jsonl", ".ndjson"))
