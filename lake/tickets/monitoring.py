"""What labelling tells about itself, as Prometheus metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, write_to_textfile

from lake.errors import LakeError
from lake.tickets.labels import Answer

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)


class TicketMetrics:
    """All metrics of one run; in a registry of their own, unless one is given."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        counted: dict[str, Any] = {"registry": self.registry}
        self.labelled = Counter(
            "lmslake_tickets_labelled",
            "Tickets labelled; fallback_reason is empty where nothing failed.",
            ("answered_by", "fallback_reason"),
            **counted,
        )
        self.requests = Counter(
            "lmslake_tickets_requests",
            "Requests to the model: ok, or what was wrong.",
            ("outcome",),
            **counted,
        )
        self.request_seconds = Histogram(
            "lmslake_tickets_request_seconds",
            "Time of one request.",
            buckets=SECONDS,
            **counted,
        )
        self.batch_seconds = Histogram(
            "lmslake_tickets_batch_seconds",
            "Time until the tickets of one request were answered, repetitions and waits included.",
            buckets=SECONDS,
            **counted,
        )
        self.tokens = Counter(
            "lmslake_tickets_tokens",
            "Tokens sent and received, as the server reported them or as estimated.",
            ("counted",),
            **counted,
        )
        self.last_run = Gauge(
            "lmslake_tickets_last_run_timestamp_seconds", "When the last run ended.", **counted
        )

    def count(self, answer: Answer) -> None:
        self.labelled.labels(answer.answered_by, answer.fallback_reason or "").inc()

    def write(self, path: Path) -> None:
        """For the textfile collector of Prometheus' node exporter. Raises LakeError."""
        self.last_run.set_to_current_time()
        try:
            write_to_textfile(str(path), self.registry)
        except OSError as error:
            raise LakeError(
                f"The metrics cannot be written to {path}: {error.strerror}\n"
                "  The labels are in the table. Give --metrics-file a folder that exists."
            ) from None
