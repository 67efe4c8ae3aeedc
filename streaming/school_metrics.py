"""What the stream of school records tells: Prometheus metrics, liveness, readiness."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lake.delta_reading import dates_predicate, days_of, delta_rows, opened_table
from schemas.derivations import arrow_schema
from schemas.tables import TABLES

if TYPE_CHECKING:
    from lake.landing.bronze import LandedFile
    from lake.pipelines.records.build import RecordsReport
    from lake.storage import ObjectStore

BUILD_BUCKETS = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
ROLLING = "gold.class_rolling_performance"
ROLLING_RATE = "rolling_7d_attendance_rate"
OUTCOMES = ("taken", "superseded", "duplicates", "quarantined", "held")
# Of the store's clients, which try for minutes; and of a build that has a backlog, or waits.
LONGEST_SILENCE_SECONDS = 300.0
LONGEST_BUILD_SECONDS = 3_600.0


class SchoolMetrics:
    """All metrics of one stream of school records, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        partition = ("topic", "partition")
        self.received = Counter(
            "lmslake_school_messages", "Messages taken from Kafka.", ("topic",), registry=registry
        )
        self.landed = Counter(
            "lmslake_school_landed_rows", "Rows committed to bronze.", ("topic",), registry=registry
        )
        self.defects = Counter(
            "lmslake_school_defects", "Those of them with a _defect.", ("topic",), registry=registry
        )
        self.lost = Counter(
            "lmslake_school_lost_offsets",
            "Offsets that expired in the broker before they were taken: alert on more than 0.",
            partition,
            registry=registry,
        )
        self.stale = Counter(
            "lmslake_school_stale_flushes",
            "Flushes of what another process had taken already.",
            registry=registry,
        )
        self.lag = Gauge(
            "lmslake_school_lag", "Offsets that are not in bronze yet.", partition,
            registry=registry,
        )  # fmt: skip
        self.held_rows = Gauge(
            "lmslake_school_buffered_rows", "Rows that are not committed yet.", registry=registry
        )
        self.kafka_up = Gauge(
            "lmslake_school_kafka_up", "1 unless Kafka is away.", registry=registry
        )
        self.store_up = Gauge(
            "lmslake_school_store_up", "1 unless the store is away.", registry=registry
        )
        self.builds = Counter(
            "lmslake_school_builds", "Builds by outcome.", ("outcome",), registry=registry
        )
        self.build_seconds = Histogram(
            "lmslake_school_build_seconds",
            "Duration of a build.",
            buckets=BUILD_BUCKETS,
            registry=registry,
        )
        self.rows = Counter(
            "lmslake_school_rows",
            "Rows of files and of topics by what builds made of them.",
            ("source", "outcome"),
            registry=registry,
        )
        self.quarantined = Counter(
            "lmslake_school_quarantined_rows",
            "Those of them that builds quarantined, by reason.",
            ("source", "reason"),
            registry=registry,
        )
        self.undated = Counter(
            "lmslake_school_undated_rows",
            "Those of them with a date whose day and month cannot be told: LMSLAKE_DATE_ORDER.",
            ("source",),
            registry=registry,
        )
        self.newest_day = Gauge(
            "lmslake_school_newest_day_timestamp_seconds",
            "Start of the newest day whose facts a build has changed.",
            registry=registry,
        )
        self.attendance_rate = Gauge(
            "lmslake_school_attendance_rate_7d",
            "Share of present students over seven days, by the newest day with classes.",
            ("class_id",),
            registry=registry,
        )
        self._newest = date.min
        self.kafka_up.set(1)
        self.store_up.set(1)
        for outcome in ("published", "failed"):
            self.builds.labels(outcome)

    def count_landed(self, topic: str, landed: LandedFile) -> None:
        self.landed.labels(topic).inc(landed.row_count)
        self.defects.labels(topic).inc(landed.defect_count)

    def count_build(self, report: RecordsReport) -> None:
        self.builds.labels("published").inc()
        self.build_seconds.observe(report.seconds)
        for told in report.sources:
            for outcome in OUTCOMES:
                self.rows.labels(told.source, outcome).inc(getattr(told, outcome))
            self.undated.labels(told.source).inc(told.undated)
            for reason, count in told.reasons.items():
                self.quarantined.labels(told.source, reason).inc(count)
        self._newest = max([self._newest, *report.days])
        if report.days:
            start = datetime.combine(self._newest, datetime.min.time(), UTC)
            self.newest_day.set(start.timestamp())

    def note_classes(self, store: ObjectStore) -> None:
        """The rolling rates of the newest day, from that day's files alone."""
        rates = newest_rates(store)
        self.attendance_rate.clear()
        for class_id, rate in rates.items():
            self.attendance_rate.labels(class_id).set(rate)


def newest_rates(store: ObjectStore) -> dict[str, float]:
    """Class to its share of present students over seven days; classes without any left out."""
    declared = TABLES[ROLLING]
    table = opened_table(store, declared)
    if table is None or not (days := days_of(table)):
        return {}
    wanted = arrow_schema(declared, ("class_id", ROLLING_RATE))
    rows = delta_rows(table, wanted, dates_predicate("date", days[-1:])).to_pylist()
    return {row["class_id"]: row[ROLLING_RATE] for row in rows if row[ROLLING_RATE] is not None}


class SchoolHealth:
    """Is the loop alive, and does it do its work?"""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self.is_reading = False
        self.is_building = False
        self.is_built = True

    def beat(self) -> None:
        self._beat = time.monotonic()

    @property
    def is_alive(self) -> bool:
        longest = LONGEST_BUILD_SECONDS if self.is_building else LONGEST_SILENCE_SECONDS
        return time.monotonic() - self._beat < longest

    @property
    def is_ready(self) -> bool:
        return self.is_alive and self.is_reading and self.is_built
