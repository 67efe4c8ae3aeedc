"""What `lmslake land --watch` tells: Prometheus metrics, liveness, readiness."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from lake.landing.landing import Outcome
    from lake.landing.watching import State

# A file of the greatest size, or another landing that holds the lock, takes no longer.
LONGEST_LOOK_SECONDS = 3_600.0
# Beyond the pause between two looks.
LONGEST_SILENCE_SECONDS = 60.0


class LandingMetrics:
    """All metrics of one watched landing zone, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.files = Counter(
            "lmslake_landing_files",
            "Files by what became of them: landed, known, failed (with the reason), left.",
            ("outcome", "reason"),
            registry=registry,
        )
        self.rows = Counter(
            "lmslake_landing_rows", "Rows committed to bronze.", ("source",), registry=registry
        )
        self.defects = Counter(
            "lmslake_landing_defects", "Those of them with a _defect.", ("source",),
            registry=registry,
        )  # fmt: skip
        self.last_look = Gauge(
            "lmslake_landing_last_look_timestamp_seconds",
            "When the zone was last looked at, and all in it taken that could be.",
            registry=registry,
        )
        self.store_up = Gauge(
            "lmslake_landing_store_up", "1 unless the zone or the lake is away.", registry=registry
        )
        self.store_up.set(1)
        for kind in ("landed", "known"):
            self.files.labels(kind, "")

    def count(self, outcome: Outcome) -> None:
        reason = outcome.fault.reason if outcome.fault else ""
        self.files.labels(outcome.kind, reason).inc()
        if outcome.kind == "landed" and outcome.source:
            self.rows.labels(outcome.source).inc(outcome.rows)
            self.defects.labels(outcome.source).inc(outcome.defects.total())

    def note(self, state: State) -> None:
        if state == "well":
            self.last_look.set_to_current_time()
        if state != "looking":
            self.store_up.set(state == "well")


class LandingHealth:
    """Is the watch alive, and does it do its work? pause_seconds: between two looks."""

    def __init__(self, pause_seconds: float) -> None:
        self._longest_wait = pause_seconds + LONGEST_SILENCE_SECONDS
        self._since = time.monotonic()
        self._state: State = "looking"
        self._is_well = False

    def note(self, state: State) -> None:
        self._since, self._state = time.monotonic(), state
        if state != "looking":
            self._is_well = state == "well"

    @property
    def is_alive(self) -> bool:
        longest = LONGEST_LOOK_SECONDS if self._state == "looking" else self._longest_wait
        return time.monotonic() - self._since < longest

    @property
    def is_ready(self) -> bool:
        return self.is_alive and self._is_well
