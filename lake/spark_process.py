"""Whether Spark's Java process runs, and what is said where it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lake.errors import LakeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JAVA_ENDED = (
    "Spark's Java process has ended: it was killed, or had too little memory "
    "(LMSLAKE_DRIVER_MEMORY).\n  Run the command again: it goes on where this one ended."
)


def is_running(spark: SparkSession) -> bool:
    """Whether the session's Java process answers, and its context was not stopped."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    try:
        return not spark.sparkContext._jsc.sc().isStopped()
    except (Py4JError, OSError):
        return False


@contextmanager
def stopped_at_end(spark: SparkSession) -> Iterator[None]:
    """Stops the session. Raises LakeError where its Java process ended before."""
    try:
        yield
    except LakeError:
        raise
    except Exception as error:
        if is_running(spark):
            raise
        raise LakeError(JAVA_ENDED) from error
    finally:
        # A process that has ended cannot be asked to stop.
        if is_running(spark):
            spark.stop()
