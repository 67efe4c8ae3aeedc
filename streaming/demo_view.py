"""What the processes of the stream demo have done so far, a line per second."""

from __future__ import annotations

import time
from pathlib import Path

from lake.errors import LakeError
from lake.ledger import Ledger, ledger_rows
from lake.pipelines.journal import Journal
from lake.pipelines.pending import has_work
from lake.settings import Settings
from lake.storage import open_store
from streaming.demo_processes import AcknowledgedFile, scraped

LINES_PER_HEADING = 20
HEADING = (
    "  time  acked/s      acked        lag        raw   quarantined    newest   sessions"
    "  student days"
)


class DemoView:
    """Reads the metrics of archiver and stream, and the file of acknowledged records."""

    def __init__(self, settings: Settings, acknowledged_file: Path) -> None:
        self._settings = settings
        self._store = open_store(settings)
        self._file = AcknowledgedFile(acknowledged_file)
        self._began = self._then = time.monotonic()
        self._lines = self._before = 0

    @property
    def acknowledged(self) -> int:
        """Records that Kafka had acknowledged when it was last looked at."""
        return self._file.count

    def line(self) -> str:
        """The state of this moment; the headings above it now and then. `-`: not known yet."""
        count, now = self._file.read(), time.monotonic()
        rate = (count - self._before) / max(now - self._then, 1e-9)
        self._before, self._then = count, now
        archive = scraped(self._settings.metrics_port)
        stream = scraped(self._settings.stream_metrics_port)
        rejected = (
            archive.total("lmslake_archiver_quarantined_total"),
            stream.total("lmslake_stream_events_total", kind="quarantined"),
        )
        newest = stream.total("lmslake_stream_newest_event_lag_seconds")
        tables = ("silver.sessions", "gold.student_daily_activity")
        sessions, days = (stream.total("lmslake_table_rows", table=name) for name in tables)
        cells = (
            f"{now - self._began:4.0f} s",
            f"{rate:7,.0f}",
            f"{count:9,}",
            _cell(archive.total("lmslake_archiver_lag"), 9),
            _cell(archive.total("lmslake_archiver_archived_total"), 9),
            _cell(sum(number or 0 for number in rejected), 12),
            f"{newest:6.1f} s" if newest else f"{'-':>8}",
            _cell(sessions, 9),
            _cell(days, 12),
        )
        heading = f"{HEADING}\n" if self._lines % LINES_PER_HEADING == 0 else ""
        self._lines += 1
        return heading + "  ".join(cells)

    def has_taken_all(self) -> bool:
        """Whether each acknowledged record is in the ledger, and each object of it in the tables.

        Raises LakeError where a gate holds objects back.
        """
        if scraped(self._settings.metrics_port).total("lmslake_archiver_lag") != 0:
            return False
        stream = scraped(self._settings.stream_metrics_port)
        if self._file.read() and stream.total("lmslake_table_rows") is None:
            return False  # it has not published yet, or not told so
        ledger, journal = Ledger(self._store), Journal(self._store)
        archived: dict[tuple[str, int], int] = {}
        for row in ledger_rows(ledger.rows(is_quarantine=None)):
            key = row.topic, row.partition
            archived[key] = max(archived.get(key, -1), row.flush_last_offset)
        if any(archived.get(key, -1) < last for key, last in self._file.highest.items()):
            return False
        if held := journal.held():
            raise LakeError(
                f"A gate holds {sum(len(build.paths) for build in held)} raw objects back.\n"
                "  Why: lmslake held list"
            )
        return not has_work(ledger, journal)


def _cell(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width},.0f}"
