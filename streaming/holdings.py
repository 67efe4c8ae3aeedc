"""The partitions of one archiver: what it holds of each, and which wait for their position."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from lake.raw_buffers import OriginBuffer
from streaming.options import ArchiveOptions
from streaming.records import KafkaRecord

Records = Mapping[TopicPartition, Sequence[KafkaRecord]]
Take = Callable[[OriginBuffer, KafkaRecord], None]


class Holdings:
    """A partition is in `buffers` while it is read, in `unopened` while its position is not known,
    and in neither when it is another archiver's."""

    def __init__(self, options: ArchiveOptions) -> None:
        self._options = options
        self._since: float | None = None
        self.buffers: dict[TopicPartition, OriginBuffer] = {}
        self.unopened: set[TopicPartition] = set()

    def take(self, records: Records, take: Take) -> dict[str, int]:
        """Hand the records to their buffers; gives the number of each topic."""
        taken: dict[str, int] = {}
        for partition, batch in records.items():
            buffer = self.buffers.get(partition)
            if buffer is None:
                continue  # not ours any more
            for record in batch:
                take(buffer, record)
            taken[partition.topic] = taken.get(partition.topic, 0) + len(batch)
        if taken and self._since is None:
            self._since = time.monotonic()
        return taken

    @property
    def records(self) -> int:
        return sum(buffer.records for buffer in self.buffers.values())

    @property
    def bytes(self) -> int:
        return sum(buffer.bytes for buffer in self.buffers.values())

    @property
    def is_due(self) -> bool:
        """Whether it is time for a flush, by age, count or size."""
        if self._since is None:
            return False
        options = self._options
        return (
            time.monotonic() - self._since >= options.flush_seconds
            or self.records >= options.flush_records
            or self.bytes >= options.flush_bytes
        )

    def flushed(self) -> None:
        """Nothing is held any more."""
        self._since = None

    def filled(self, among: Collection[TopicPartition] | None = None) -> list[OriginBuffer]:
        """Buffers that hold records."""
        return [
            buffer
            for partition, buffer in self.buffers.items()
            if buffer.records and (among is None or partition in among)
        ]

    def of_sources(self, app_ids: Collection[str]) -> list[TopicPartition]:
        """The partitions of these applications of the ledger."""
        return [p for p, buffer in self.buffers.items() if buffer.origin.app_id in app_ids]

    def open(self, partition: TopicPartition, buffer: OriginBuffer) -> None:
        """The position is known: the partition may be read."""
        self.buffers[partition] = buffer
        self.unopened.discard(partition)

    def reopen(self, partition: TopicPartition) -> bool:
        """Drop what is held; the position is to be read again. False where it is not read."""
        if self.buffers.pop(partition, None) is None:
            return False
        self.unopened.add(partition)
        return True

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """They are not ours any more."""
        for partition in partitions:
            self.buffers.pop(partition, None)
            self.unopened.discard(partition)

    def committed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the ledger holds, as the group's offsets."""
        return {
            partition: OffsetAndMetadata(buffer.committed_offset, "", -1)
            for partition, buffer in self.buffers.items()
        }
