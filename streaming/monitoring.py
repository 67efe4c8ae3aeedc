"""What long-running processes tell about themselves: Prometheus metrics, liveness, readiness."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from lake.errors import LakeError
from lake.ledger import LedgerRow, reason_counts

FLUSH_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# The loop beats several times a second, also while a store or a broker is away.
LONGEST_SILENCE_SECONDS = 60.0
StartResponse = Callable[..., Any]


class ArchiverMetrics:
    """All metrics of one archiver, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counted: dict[str, Any] = {"registry": self.registry}
        partition = ("topic", "partition")
        self.records = Counter(
            "lmslake_archiver_records", "Records taken from Kafka.", ("topic",), **counted
        )
        self.archived = Counter(
            "lmslake_archiver_archived", "Events committed to raw.", ("topic",), **counted
        )
        self.quarantined = Counter(
            "lmslake_archiver_quarantined",
            "Records committed to quarantine.",
            ("topic", "reason"),
            **counted,
        )
        self.lost = Counter(
            "lmslake_archiver_lost_offsets",
            "Offsets that expired in the broker before they were archived.",
            partition,
            **counted,
        )
        self.stale = Counter(
            "lmslake_archiver_stale_flushes",
            "Flushes of a partition that another archiver had taken over.",
            partition,
            **counted,
        )
        self.lag = Gauge(
            "lmslake_archiver_lag", "Offsets not yet in the ledger.", partition, **counted
        )
        self.buffered_records = Gauge(
            "lmslake_archiver_buffered_records", "Records not yet committed.", **counted
        )
        self.buffered_bytes = Gauge("lmslake_archiver_buffered_bytes", "Bytes of them.", **counted)
        self.flush_seconds = Histogram(
            "lmslake_archiver_flush_seconds",
            "Time of a flush, waiting for an absent store included.",
            buckets=FLUSH_BUCKETS,
            **counted,
        )
        self.last_commit = Gauge(
            "lmslake_archiver_last_commit_timestamp_seconds", "Time of the last commit.", **counted
        )
        self.store_up = Gauge("lmslake_archiver_store_up", "1 unless the store is away.", **counted)
        self.kafka_up = Gauge("lmslake_archiver_kafka_up", "1 unless Kafka is away.", **counted)
        self.store_up.set(1)
        self.kafka_up.set(1)

    def count_committed(self, rows: Iterable[LedgerRow]) -> tuple[int, int]:
        """Count the rows of a commit; gives the events and the records in quarantine."""
        events = rejected = 0
        for row in rows:
            if not row.is_quarantine:
                self.archived.labels(row.topic).inc(row.record_count)
                events += row.record_count
            for reason, count in reason_counts(row).items():
                self.quarantined.labels(row.topic, reason).inc(count)
                rejected += count
        self.last_commit.set_to_current_time()
        return events, rejected


class Health:
    """Is the loop alive, and does it do its work?"""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self.is_assigned = False
        self.is_flushing_well = True
        self.is_kafka_up = True

    def beat(self) -> None:
        self._beat = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._beat < LONGEST_SILENCE_SECONDS

    @property
    def is_ready(self) -> bool:
        return self.is_alive and self.is_assigned and self.is_flushing_well and self.is_kafka_up


class Alive(Protocol):
    """What liveness and readiness are asked of."""

    @property
    def is_alive(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...


class MonitoringServer:
    """/metrics, /healthz and /readyz over HTTP, in threads of their own."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Alive) -> None:
        metrics_app = make_wsgi_app(registry)

        def answer(environment: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
            path = environment.get("PATH_INFO", "")
            if path == "/metrics":
                return metrics_app(environment, start)
            checks = {"/healthz": health.is_alive, "/readyz": health.is_ready}
            if path not in checks:
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"/metrics /healthz /readyz\n"]
            is_good = checks[path]
            status = "200 OK" if is_good else "503 Service Unavailable"
            start(status, [("Content-Type", "text/plain")])
            return [b"ok\n" if is_good else b"not now\n"]

        try:
            self._server = make_server(
                host, port, answer, server_class=_Server, handler_class=_QuietHandler
            )
        except OSError as error:
            raise LakeError(
                f"/metrics cannot listen on {host}:{port}: {error.strerror or error}\n"
                "  Set LMSLAKE_METRICS_PORT (of `lmslake stream` LMSLAKE_STREAM_METRICS_PORT, of "
                "`lmslake records stream`\n  LMSLAKE_SCHOOL_METRICS_PORT, of `lmslake land "
                "--watch` LMSLAKE_LANDING_METRICS_PORT) to a free port,\n  or to 0 for none."
            ) from None
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def monitored(host: str, port: int, registry: CollectorRegistry, health: Alive) -> Iterator[None]:
    """Serve metrics and health meanwhile; port 0 serves none. Raises LakeError."""
    if port == 0:
        yield
        return
    server = MonitoringServer(host, port, registry, health)
    try:
        yield
    finally:
        server.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return None
