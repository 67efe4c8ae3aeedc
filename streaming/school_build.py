"""Builds of school records for the stream, in one Spark session."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from boto3.exceptions import Boto3Error
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from lake.errors import LakeError
from lake.pipelines.records.build import RecordsReport, build_records
from lake.pipelines.records.contents import has_work
from lake.progress import Progress, silent
from lake.spark_process import is_running
from lake.storage import ObjectStore
from streaming.outages import STORE_FAULTS
from streaming.school_metrics import SchoolMetrics
from streaming.school_stream import BuilderLost

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake
    from lake.settings import Settings

OpenLake = Callable[[], AbstractContextManager["Lake"]]


class RecordsBuilder:
    """The build of `lmslake records build`, again and again; use it as a context.

    The lake is opened, with its Spark session, when something waits for the first time.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        open_lake: OpenLake,
        metrics: SchoolMetrics,
        progress: Progress = silent,
        on_report: Callable[[RecordsReport], None] = lambda report: None,
    ) -> None:
        self._settings, self._store, self._open_lake = settings, store, open_lake
        self._metrics, self._progress, self._on_report = metrics, progress, on_report
        self._opened = ExitStack()
        self._lake: Lake | None = None

    def __enter__(self) -> RecordsBuilder:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def build(self) -> None:
        """Build what waits. Raises LakeError."""
        try:
            report = self._build()
            if report is not None:
                self._metrics.count_build(report)
                self._metrics.note_classes(self._store)
        except (PySparkException, Py4JError, Boto3Error, *STORE_FAULTS) as error:
            said = (str(error) or type(error).__name__).strip().splitlines()[0]
            if self._lake is not None and not is_running(self._lake.spark):
                raise BuilderLost(
                    f"Spark has ended: {said}\n  Start the command again: it loses nothing."
                ) from error
            raise LakeError(f"The build cannot go on: {said}") from error
        if report is not None:
            self._on_report(report)

    def _build(self) -> RecordsReport | None:
        if not has_work(self._store, self._settings.risk):
            return None
        if self._lake is None:
            self._progress("starting Spark")
            self._lake = self._opened.enter_context(self._open_lake())
        return build_records(self._lake, self._settings.school, self._progress, self._settings.risk)
