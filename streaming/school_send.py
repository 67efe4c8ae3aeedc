"""Rows of files of school records as messages, as a school's own system would send them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from lake.landing.faults import FileFault
from lake.landing.json_records import NOT_AN_OBJECT
from lake.landing.naming import source_of
from lake.landing.reading import Limits, Reading, open_reading
from lake.landing.rows import Batch
from lake.landing.topic_rows import DEFECT_MEMBER
from schemas.records import Source
from streaming.traffic import Record

NO_EVENT = "-"


def checked_source(path: Path, source: Source | None, limits: Limits) -> tuple[Source, int]:
    """What the file holds, and its number of rows. Raises FileFault where it cannot be read whole.

    source: None where its name says what it holds.
    """
    known = source or source_of("", path.name)
    reading = _opened(path, known, limits)
    for _ in reading.batches():
        pass
    return known, reading.counts.rows


def messages_of(path: Path, source: Source, topic: str, limits: Limits) -> Iterator[Record]:
    """A message for each row of a file that was checked, in order.

    It is an object of the row's values as text, so that bronze gets of it what it would get of the
    file; the key is the student, or what else names the record. A row that is not well-formed says
    so in a member; what is no object in the file is sent as it stands there.
    """
    key = "student_id" if "student_id" in source.field_names else source.keys[0]
    for batch in _opened(path, source, limits).batches():
        for values, extra, defect in _rows(batch):
            if defect == NOT_AN_OBJECT:
                yield Record(topic, None, str(extra[""]).encode(), NO_EVENT, source.name)
                continue
            named = list(zip(source.field_names, values, strict=True))
            identity = dict(named)[key]
            yield Record(
                topic,
                identity.encode() if identity else None,
                # Fields first: an extra column may have the name of one.
                _object([*([(DEFECT_MEMBER, defect)] if defect else []), *named, *extra.items()]),
                NO_EVENT,
                source.name,
            )


def _object(members: Sequence[tuple[str, str | None]]) -> bytes:
    """The JSON object of the members, also of those whose name comes twice."""
    texts = (orjson.dumps(name) + b":" + orjson.dumps(value) for name, value in members)
    return b"{" + b",".join(texts) + b"}"


def _rows(
    batch: Batch,
) -> Iterator[tuple[Sequence[str | None], dict[str, str | None], str | None]]:
    nothing = [None] * len(batch)
    columns = [nothing if values is None else values for values in batch.fields]
    for values, extra, defect in zip(
        zip(*columns, strict=True), batch.extra, batch.defects, strict=True
    ):
        yield values, orjson.loads(extra or "{}"), defect


def _opened(path: Path, source: Source, limits: Limits) -> Reading:
    try:
        return open_reading(lambda: path.open("rb"), path.name, source, limits)
    except OSError as error:
        raise FileFault("unreadable_file", f"cannot be read: {error.strerror or error}") from None
