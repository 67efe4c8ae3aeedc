"""What the continuous query tells: Prometheus metrics, liveness, readiness."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from pyspark.sql.streaming.listener import StreamingQueryListener

from lake.delta_reading import opened_table
from schemas.tables import EVENT_TABLES, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyspark.sql.streaming.listener import (
        QueryIdleEvent,
        QueryProgressEvent,
        QueryStartedEvent,
        QueryTerminatedEvent,
    )

    from lake.pipelines.build_pass import BuildReport
    from lake.storage import ObjectStore

PHASE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
# A backlog, or the wait for another build.
LONGEST_BATCH_SECONDS = 3_600.0
# What a stream writes. Those of bronze are its input.
LAYERS = ("silver.", "gold.", "features.")


class StreamMetrics:
    """All metrics of one continuous query, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._newest: datetime | None = None
        self.input_rows = Counter(
            "lmslake_stream_input_rows", "Rows of the ledger that were read.", registry=registry
        )
        self.batches = Counter(
            "lmslake_stream_batches",
            "Micro-batches by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.events = Counter(
            "lmslake_stream_events",
            "Records of raw objects that were taken: received, new in silver.events, quarantined.",
            ("kind",),
            registry=registry,
        )
        self.trigger_seconds = Histogram(
            "lmslake_stream_trigger_seconds",
            "Duration of micro-batches by phase, as Spark's listener tells it.",
            ("phase",),
            buckets=PHASE_BUCKETS,
            registry=registry,
        )
        self.build_seconds = Histogram(
            "lmslake_stream_build_seconds",
            "Duration of the builds of micro-batches by phase.",
            ("phase",),
            buckets=PHASE_BUCKETS,
            registry=registry,
        )
        self.newest_event_lag = Gauge(
            "lmslake_stream_newest_event_lag_seconds",
            "Age of the newest published event when gold was published.",
            registry=registry,
        )
        self.last_publication = Gauge(
            "lmslake_stream_last_publication_timestamp_seconds",
            "Time of the last micro-batch that was published.",
            registry=registry,
        )
        self.held_objects = Gauge(
            "lmslake_stream_held_objects",
            "Raw objects that a gate stopped and that wait for a retry: alert on more than 0.",
            registry=registry,
        )
        self.pending_objects = Gauge(
            "lmslake_stream_pending_objects",
            "Raw objects of the current micro-batch that are not in the tables yet.",
            registry=registry,
        )
        self.restarts = Counter(
            "lmslake_stream_restarts",
            "Times that the query was started again after a fault.",
            registry=registry,
        )
        table = ("table",)
        self.table_rows = Gauge("lmslake_table_rows", "Rows of a table.", table, registry=registry)
        self.table_files = Gauge(
            "lmslake_table_files", "Files of a table's current version.", table, registry=registry
        )
        self.table_version = Gauge(
            "lmslake_table_version", "Version of a table.", table, registry=registry
        )
        for kind in ("received", "new", "quarantined"):
            self.events.labels(kind)
        for outcome in ("published", "held", "failed"):
            self.batches.labels(outcome)

    def count_build(self, report: BuildReport) -> None:
        self.batches.labels("held" if report.fault else "published").inc()
        for phase, seconds in report.seconds.items():
            self.build_seconds.labels(phase).observe(seconds)
        if report.fault:
            return
        self.events.labels("received").inc(report.received_count)
        self.events.labels("new").inc(report.new_event_count)
        self.events.labels("quarantined").inc(report.quarantined_count)
        self.last_publication.set_to_current_time()
        # A micro-batch of late events alone makes the newest one no older.
        times = (report.newest_ts, self._newest)
        self._newest = max((ts for ts in times if ts is not None), default=None)
        if self._newest is not None:
            self.newest_event_lag.set((datetime.now(UTC) - self._newest).total_seconds())

    def note_tables(self, store: ObjectStore) -> None:
        """State of each table that the stream writes, from its log alone."""
        for name in streamed_tables():
            table = opened_table(store, TABLES[name])
            if table is None:
                continue
            records = table.get_add_actions(flatten=True).column("num_records").to_pylist()
            self.table_files.labels(name).set(len(records))
            self.table_rows.labels(name).set(sum(count or 0 for count in records))
            self.table_version.labels(name).set(table.version())


def streamed_tables() -> Sequence[str]:
    # Titles of chapters are loaded by hand.
    by_hand = ("silver.dim_chapters",)
    return [name for name in EVENT_TABLES if name.startswith(LAYERS) and name not in by_hand]


class QueryHealth:
    """Is the query running, and does it publish?"""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self.is_running = False

    def beat(self) -> None:
        self._beat = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._beat < LONGEST_BATCH_SECONDS

    @property
    def is_ready(self) -> bool:
        return self.is_alive and self.is_running


class ProgressListener(StreamingQueryListener):
    """Spark's own account of the query, as metrics. `is_told`: all of it was heard."""

    def __init__(self, metrics: StreamMetrics) -> None:
        self._metrics = metrics
        self.is_told = threading.Event()
        self.is_told.set()

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 - Spark's name
        self.is_told.clear()

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's name
        progress = event.progress
        self._metrics.input_rows.inc(progress.numInputRows)
        if progress.numInputRows:
            for phase, milliseconds in _durations(progress.durationMs.items()):
                self._metrics.trigger_seconds.labels(phase).observe(milliseconds / 1_000)

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 - Spark's name
        return None

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's name
        self.is_told.set()


def _durations(items: Iterable[tuple[str, int]]) -> Iterable[tuple[str, int]]:
    return ((phase, milliseconds) for phase, milliseconds in items if milliseconds >= 0)
