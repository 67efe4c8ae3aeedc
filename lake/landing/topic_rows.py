"""Messages of Kafka as rows of records: whatever a message is, it is one row."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import TYPE_CHECKING

from lake.landing.bronze import LandedFile, Origin, record_batch
from lake.landing.faults import FileFault
from lake.landing.json_records import NOT_AN_OBJECT, RowMapping
from lake.landing.json_window import Window
from lake.landing.rows import Counts, Extra, Pending, Values
from schemas.derivations import arrow_schema
from schemas.records import SOURCES
from schemas.tables.records import RECORDS

if TYPE_CHECKING:
    import pyarrow as pa

EXPIRED = "expired_in_broker"
# The member by which a sender says that its row was not well-formed, and the code it may have.
DEFECT_MEMBER = "_defect"
SENT_DEFECT = "ragged_row"
# Before the topic in what stands for a file's name.
TOPIC = "kafka:"
# Names in _extra of what is no text. A header's own `#…` are followed by a number.
AS_BASE64 = "#base64"
KEY = "#key"
FRAME = struct.Struct(">qii")
NONE = -1


@dataclass(frozen=True, slots=True)
class TopicPart:
    """A partition of a topic that holds records of a source. cluster: Kafka's id of itself."""

    cluster: str
    topic: str
    partition: int
    source: str

    @property
    def app_id(self) -> str:
        """The application whose version, in Delta, is the last offset that a table holds."""
        return f"topic/{self.cluster}/{self.topic}/{self.partition}"

    def name(self, first: int, last: int) -> str:
        """What stands for a file's name: `kafka:school.students/0/100-250`."""
        return f"{TOPIC}{self.topic}/{self.partition}/{first}-{last}"


def is_of_topic(file_name: str) -> bool:
    """Whether it stands for a range of messages: no file has a `/` in its name."""
    return file_name.startswith(TOPIC) and "/" in file_name


class TopicBuffer:
    """Rows of one partition since its last commit: one content, whose offsets run on.

    committed: the last offset in bronze, None where there is none. Offsets come in ascending
    order; those that are passed over hold no message. Whatever a message is, it becomes one row.
    """

    def __init__(self, part: TopicPart, committed: int | None, max_characters: int) -> None:
        self.part, self.committed = part, committed
        self.rows = self.bytes = 0
        self.first = self.last = NONE
        self._max_characters = max_characters
        self._counts = Counts()
        self._mapping = RowMapping(SOURCES[part.source], self._counts)
        self._pending = Pending()
        self._nothing: Values = (None,) * len(SOURCES[part.source].fields)
        self._hash = hashlib.sha256()

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take a message."""
        self._pending.add(*self._row(key, value))
        sizes = (NONE if body is None else len(body) for body in (key, value))
        self._advance(offset, offset, FRAME.pack(offset, *sizes) + (key or b"") + (value or b""))

    def note_lost(self, first: int, last: int) -> None:
        """Take the one row that stands for offsets that the broker removed before they came."""
        defect = f"{EXPIRED}: offsets {first} … {last} ({last - first + 1})"
        self._pending.add(self._nothing, None, defect)
        self._advance(first, last, b"lost" + struct.pack(">qq", first, last))

    def batch(self, ingested_at: datetime) -> tuple[pa.RecordBatch, LandedFile]:
        """All rows for bronze, and what is noted of them; once."""
        batch = self._pending.batch(range(len(self._nothing)), self._counts)
        name = self.part.name(self.first, self.last)
        where = "\0".join((self.part.cluster, name))
        content_hash = hashlib.sha256(where.encode() + b"\0" + self._hash.digest()).hexdigest()
        landed = LandedFile(
            content_hash=content_hash,
            source=self.part.source,
            file_name=name,
            bytes=self.bytes,
            row_count=self._counts.rows,
            encoding="utf-8",
            delimiter=None,
            defect_count=self._counts.defects.total(),
            extra_columns=list(self._counts.extra_columns),
            landed_at=ingested_at,
        )
        schema = arrow_schema(RECORDS[self.part.source])
        return record_batch(schema, batch, Origin(content_hash, name, ingested_at)), landed

    def _advance(self, first: int, last: int, frame: bytes) -> None:
        before = self.committed if self.last == NONE else self.last
        if before is not None and first <= before:
            raise ValueError(f"offset {first} was taken before")
        self.first = first if self.first == NONE else self.first
        self.last = last
        self.rows += 1
        self.bytes += len(frame)
        self._hash.update(frame)

    def _row(
        self, key: bytes | None, value: bytes | None
    ) -> tuple[Values, Extra | None, str | None]:
        if value is None:
            extra: Extra = {}
            if key is not None:
                extra[KEY] = key.decode("utf-8", "backslashreplace")
            return self._nothing, extra, f"{NOT_AN_OBJECT}: tombstone"
        try:
            text = value.decode("utf-8-sig")
        except UnicodeDecodeError:
            extra = {AS_BASE64: base64.b64encode(value).decode()}
            return self._nothing, extra, f"{NOT_AN_OBJECT}: not_utf8"
        window = Window(StringIO(text, newline=""), self._max_characters)
        try:
            parsed, raw = window.value("the message")
            window.expect_end("the message")
        except FileFault as fault:
            return self._nothing, {"": text}, f"{NOT_AN_OBJECT}: {fault.reason}"
        fields, named, defect = self._mapping.row(parsed, raw)
        sent = named and named.get(DEFECT_MEMBER)
        if named and sent and sent.partition(":")[0] == SENT_DEFECT:
            del named[DEFECT_MEMBER]
            defect = sent
        return fields, named, defect
