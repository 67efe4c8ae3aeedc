"""The continuous query: new rows of the ledger, through the batch pipeline, into the tables."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

from lake.errors import LakeError
from lake.pipelines.build import build_objects
from lake.pipelines.build_pass import BuildReport
from lake.pipelines.received import RawObject, RawObjectFault
from lake.progress import Progress, silent
from lake.spark_process import is_running
from lake.storage import LeaseHeld
from streaming.ledger_stream import OBJECT_FIELDS, StreamOptions, drop_checkpoint, started_query
from streaming.outages import STORE_ERRORS
from streaming.query_metrics import ProgressListener, QueryHealth, StreamMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from lake.pipelines.opened import Lake

LONGEST_PAUSE_SECONDS = 60
FAULTS_BEFORE_NEW_CHECKPOINT = 3
# One more than it takes to give a broken checkpoint up.
ATTEMPTS_ONCE = FAULTS_BEFORE_NEW_CHECKPOINT + 1
POLL_SECONDS = 1
# Spark tells of a micro-batch a moment after its end.
LISTENER_SECONDS = 5.0
# How soon a quiet query sees that another process has built what was held.
SECONDS_BETWEEN_LOOKS = 30.0

# A lock comes free; a raw object that only Spark could not read was one of a store that was away.
PASSING = (LeaseHeld, RawObjectFault)

log = logging.getLogger(__name__)


class _OutsideError(Exception):
    """The query failed outside of our own function; the cause is Spark's error."""


class _StoppedError(Exception):
    """A micro-batch began after the end was asked for."""


class LakeStream:
    """Keeps silver, gold and features current until `stop`; with `once` up to now.

    Each micro-batch takes the raw objects of new ledger rows through the same build as the batch
    jobs. The checkpoint only says where in the ledger to go on: what is in the tables is decided
    by the journal, so a lost checkpoint, a repeated micro-batch and builds by others do no harm.
    """

    def __init__(
        self,
        lake: Lake,
        options: StreamOptions,
        metrics: StreamMetrics,
        health: QueryHealth,
        progress: Progress = silent,
        on_batch: Callable[[Sequence[BuildReport]], None] = lambda reports: None,
    ) -> None:
        self._lake, self._options = lake, options
        self._metrics, self._health = metrics, health
        self._progress, self._on_batch = progress, on_batch
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        # Who has it uses the journal: a micro-batch, or a look at what is held between two.
        self._batch = threading.Lock()
        self._looked = time.monotonic()
        self._outside_faults = 0

    def stop(self) -> None:
        """Ask for the end after the current micro-batch. For a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Run until `stop`; a store or a lock that is away is waited for.

        Raises LakeError where it cannot go on without a hand, and what `once` did not outlast.
        """
        stop: Any = stop_when_event_set(self._stopping)
        if self._options.once:
            stop |= stop_after_attempt(ATTEMPTS_ONCE)
        retrying = Retrying(
            retry=retry_if_exception(self._is_passing),
            wait=wait_random_exponential(max=LONGEST_PAUSE_SECONDS),
            sleep=sleep_using_event(self._stopping),
            stop=stop,
            before_sleep=self._note_failure,
            reraise=True,
        )
        listener = ProgressListener(self._metrics)
        self._lake.spark.streams.addListener(listener)
        try:
            retrying(self._run_query)
        except _StoppedError:
            pass
        except LakeError as error:
            # What a stop met while a lock was held is tried again at the next start.
            if not (self._stopping.is_set() and self._is_passing(error)):
                raise
        except (_OutsideError, PySparkException, Py4JError, *STORE_ERRORS) as error:
            if self._stopping.is_set():
                return
            if not is_running(self._lake.spark):
                raise
            raise LakeError(f"The query cannot go on: {_first_line(error)}") from error
        finally:
            if is_running(self._lake.spark):
                listener.is_told.wait(LISTENER_SECONDS)
                self._lake.spark.streams.removeListener(listener)

    def _is_passing(self, error: BaseException) -> bool:
        """Whether another attempt may help: not for what a user must mend, nor without Spark."""
        if isinstance(error, LakeError) and not isinstance(error, PASSING):
            return False
        return isinstance(error, Exception) and is_running(self._lake.spark)

    def _note_failure(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._metrics.restarts.inc()
        pause = state.next_action.sleep if state.next_action is not None else 0
        trace = error if self._lake.settings.stack_trace else None
        why = _first_line(error)
        log.warning("the query ended and goes on in %.0f s: %s", pause, why, exc_info=trace)
        self._outside_faults = self._outside_faults + 1 if isinstance(error, _OutsideError) else 0
        if self._outside_faults >= FAULTS_BEFORE_NEW_CHECKPOINT:
            # It only says where to go on; the journal knows what is in the tables.
            log.warning("the checkpoint is given up: the ledger is read from its start once")
            self._outside_faults = 0
            try:
                drop_checkpoint(self._lake)
            except (PySparkException, Py4JError) as fault:
                log.warning("the checkpoint could not be removed: %s", _first_line(fault))

    def _run_query(self) -> None:
        self._failure = None
        self._note_held()
        try:
            query = started_query(self._lake, self._options, self._process)
        except (PySparkException, Py4JError) as error:
            raise _OutsideError from error
        self._health.is_running = True
        try:
            self._wait(query)
        finally:
            self._health.is_running = False
            query.stop()

    def _wait(self, query: StreamingQuery) -> None:
        """Until the query ends or is to stop; its failure is raised as it was in Python."""
        while query.isActive:
            if self._stopping.is_set() and not query.status["isTriggerActive"]:
                return
            try:
                query.awaitTermination(POLL_SECONDS)
            except PySparkException:
                break
            self._look_between_batches()
        if self._failure is not None:
            raise self._failure
        if (error := query.exception()) is not None:
            raise _OutsideError from error

    def _look_between_batches(self) -> None:
        if not self._batch.acquire(blocking=False):
            return
        try:
            self._health.beat()
            if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
                self._note_held()
        except STORE_ERRORS as error:
            log.info("what is held could not be read: %s", error)
        finally:
            self._batch.release()

    def _process(self, rows: DataFrame, _: int) -> None:
        """One micro-batch. What fails here is tried again: the checkpoint stays where it was."""
        with self._batch:
            self._health.beat()
            try:
                if self._stopping.is_set():
                    raise _StoppedError
                self._build(rows.toArrow().to_pylist())
            except Exception as error:
                self._failure = error
                if not isinstance(error, _StoppedError):
                    self._metrics.batches.labels("failed").inc()
                raise
            finally:
                self._health.beat()

    def _build(self, rows: Sequence[Mapping[str, Any]]) -> None:
        objects = [RawObject(**{name: row[name] for name in OBJECT_FIELDS}) for row in rows]
        self._metrics.pending_objects.set(len(objects))
        reports = build_objects(self._lake, objects, self._progress)
        for report in reports:
            self._metrics.count_build(report)
        self._metrics.pending_objects.set(0)
        self._note_held()
        self._metrics.note_tables(self._lake.store)
        self._on_batch(reports)

    def _note_held(self) -> None:
        self._looked = time.monotonic()
        journal = self._lake.journal
        journal.refresh()
        paths = frozenset().union(*(build.paths for build in journal.held()))
        self._metrics.held_objects.set(len(paths))


def _first_line(error: BaseException | None) -> str:
    text = str(error.__cause__ or error) if error is not None else ""
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__
