"""Where a partition goes on: by the ledger, held against what the broker still has."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from lake.errors import LakeError
from lake.raw_buffers import EXPIRED, OriginBuffer
from lake.raw_objects import Origin
from lake.validation import Rejected

log = logging.getLogger(__name__)


def origin_of(cluster: str, topic: str, partition: int, generation: int = 1) -> Origin:
    """A partition in the ledger; a topic's generations are sources of their own."""
    suffix = "" if generation == 1 else f"#{generation}"
    return Origin(topic, f"{cluster}/{topic}{suffix}", partition)


def opened_buffer(origin: Origin, committed: int | None, begin: int, end: int) -> OriginBuffer:
    """The buffer that takes the partition's records from where the ledger ends.

    `committed` is the last offset in the ledger (None: nothing is); `begin` and `end` are the
    broker's first offset and the one after its last. Offsets between the ledger and `begin` are
    lost: that is said aloud, and the buffer begins with one record for quarantine that stands
    for them. Raises LakeError where the ledger is ahead of the broker.
    """
    if committed is None:
        if begin > 0:
            log.warning(
                "%s partition %d: archived for the first time; offsets 0 … %d had expired before",
                origin.topic,
                origin.partition,
                begin - 1,
            )
        return OriginBuffer(origin, None, begin)
    if committed + 1 > end:
        raise LakeError(
            f"Topic {origin.topic} partition {origin.partition} ends at offset {end}, but the "
            f"ledger holds records up to {committed}.\n"
            "  Was the topic deleted and made again, or is this another cluster?\n"
            f"  Made again: give it the next generation, LMSLAKE_KAFKA_TOPICS=…,{origin.topic}#2. "
            "What was archived stays.\n"
            "  Another cluster: set LMSLAKE_KAFKA_BOOTSTRAP_SERVERS right."
        )
    buffer = OriginBuffer(origin, committed)
    if committed + 1 < begin:
        _note_expired(buffer, committed + 1, begin - 1)
    return buffer


def _note_expired(buffer: OriginBuffer, first: int, last: int) -> None:
    origin = buffer.origin
    count = last - first + 1
    log.error(
        "LOST: %s partition %d: offsets %d … %d (%d) expired in the broker before they were "
        "archived; the topic's retention is too short for the time that the archiver was away",
        origin.topic,
        origin.partition,
        first,
        last,
        count,
    )
    detail = f"offsets {first} … {last} ({count}) expired before they were archived"
    more = {"first_lost_offset": first, "last_lost_offset": last, "lost_count": count}
    now = datetime.now(UTC)
    buffer.reject(first, Rejected(EXPIRED, detail), b"", now, more, last_offset=last)
