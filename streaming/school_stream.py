"""School records from topics to the tables of silver and gold, without end or once."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from boto3.exceptions import Boto3Error
from kafka import TopicPartition
from kafka.errors import KafkaError

from lake.errors import LakeError
from lake.ledger import StaleWriterError
from lake.storage import LeaseHeld
from streaming.consumer import is_unavailable, refused, unreachable
from streaming.outages import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, STORE_FAULTS, Outage
from streaming.school import SchoolReader
from streaming.school_metrics import SchoolHealth, SchoolMetrics

POLL_SECONDS = 0.5
FAILURES_ONCE = 3
# A lock that another landing holds comes free.
PASSING = (*STORE_FAULTS, Boto3Error, LeaseHeld)

log = logging.getLogger(__name__)


class Builder(Protocol):
    """Takes what is in bronze to the tables behind it."""

    def build(self) -> None:
        """Take what waits, if anything does. Raises BuilderLost where a new process is needed,
        LakeError where a later attempt may succeed."""


class BuilderLost(LakeError):  # noqa: N818 - what is, not a fault of the program
    """What builds has ended under us."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """interval_seconds: from one build to the next, for which messages are read. once: one round
    up to what is in Kafka at its start, then the end."""

    interval_seconds: float = 60.0
    once: bool = False


class SchoolStream:
    """Reads for an interval, commits, builds, and reads on: one thing at a time, in one thread.

    Nothing is kept that a new process would not find in the tables, so it may be killed anywhere.
    """

    def __init__(
        self,
        reader: SchoolReader,
        builder: Builder | None,
        rounds: Rounds,
        servers: str,
        metrics: SchoolMetrics,
        health: SchoolHealth,
    ) -> None:
        self._reader, self._builder, self._rounds = reader, builder, rounds
        self._servers = servers
        self._metrics, self._health = metrics, health
        self._kafka, self._store = Outage(f"Kafka at {servers}"), Outage("The store of the lake")
        self._stopping = threading.Event()
        self._build_fault = ""

    def stop(self) -> None:
        """Ask for the end: what is held is committed, a build that runs is finished."""
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`, or one round. Raises LakeError where it cannot go on without a hand."""
        try:
            while True:
                self._read()
                if self._builder is not None and not self._stopping.is_set():
                    self._build(self._builder)
                if self._rounds.once or self._stopping.is_set():
                    return
        finally:
            self._health.is_reading = False
            self._reader.disconnect()

    def _read(self) -> None:
        """Take messages for one round, and commit them."""
        deadline = time.monotonic() + self._rounds.interval_seconds
        ends: dict[TopicPartition, int] | None = None
        failures = 0
        while True:
            self._health.beat()
            is_over = self._stopping.is_set() or (
                not self._rounds.once and time.monotonic() >= deadline
            )
            if is_over and not self._reader.is_open:
                return
            try:
                ends, is_done = self._take(ends, is_over)
            except Exception as error:
                self._note(error)
                failures += 1
                if self._rounds.once and failures >= FAILURES_ONCE:
                    raise self._given_up(error) from None
                longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**failures)
                self._stopping.wait(random.uniform(0, longest))
                continue
            failures = 0
            if is_done:
                return

    def _take(
        self, ends: dict[TopicPartition, int] | None, is_over: bool
    ) -> tuple[dict[TopicPartition, int] | None, bool]:
        """One step of a round; gives where it is to end, with `once`, and whether it has."""
        reader = self._reader
        if not reader.is_open:
            reader.open()
        if self._rounds.once and ends is None:
            ends = reader.ends()
        if not is_over:
            reader.poll(POLL_SECONDS)
        is_done = is_over or (ends is not None and reader.has_reached(ends))
        if is_done or reader.is_due:
            reader.flush()
        self._kafka.ends()
        self._store.ends()
        self._metrics.kafka_up.set(1)
        self._metrics.store_up.set(1)
        self._health.is_reading = True
        return ends, is_done

    def _note(self, error: Exception) -> None:
        """Note what comes and goes, after which all is opened anew. Raises everything else."""
        if isinstance(error, StaleWriterError):
            log.warning("another process has taken the same messages; reading on behind it")
            self._metrics.stale.inc()
        elif isinstance(error, KafkaError):
            if not is_unavailable(error):
                refused(error, self._servers)
            self._kafka.begins(error)
            self._metrics.kafka_up.set(0)
            self._health.is_reading = False
            self._reader.disconnect()
        elif isinstance(error, PASSING):
            self._store.begins(error)
            self._metrics.store_up.set(0)
            self._health.is_reading = False
        else:
            raise error
        self._reader.forget()

    def _given_up(self, error: Exception) -> LakeError:
        if isinstance(error, LakeError):
            return error
        if isinstance(error, KafkaError):
            return unreachable(error, self._servers)
        return LakeError(
            f"The store of the lake does not answer: {_first_line(error)}\n"
            "  What was committed stays. Run the command again: it goes on where it stopped."
        )

    def _build(self, builder: Builder) -> None:
        self._health.is_building = True
        self._health.beat()
        try:
            builder.build()
        except LakeError as error:
            self._metrics.builds.labels("failed").inc()
            if self._rounds.once or isinstance(error, BuilderLost):
                raise
            if str(error) != self._build_fault:
                log.error("nothing was built, trying again after each round: %s", error)
            self._health.is_built, self._build_fault = False, str(error)
        else:
            self._health.is_built, self._build_fault = True, ""
        finally:
            self._health.is_building = False
            self._health.beat()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
