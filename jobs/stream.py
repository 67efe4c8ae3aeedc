"""`lmslake stream`: keep silver, gold and features current."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobs.build import print_progress, print_reports
from jobs.cli import run
from jobs.long_running import awaited_store, log_to_stderr, stopping_on_signals

if TYPE_CHECKING:
    from lake.pipelines.build_pass import BuildReport


def print_batch(reports: Sequence[BuildReport]) -> None:
    if reports:
        print_reports(reports)


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds from the start of one micro-batch to the next.",
)
@click.option("--once", is_flag=True, help="End when all that is in the ledger now is taken.")
@click.option(
    "--flushes",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Files of the ledger (flushes) that one micro-batch takes at most.",
)
def command(interval: float, once: bool, flushes: int) -> None:
    """Keep silver, gold and features current while raw events arrive.

    Reads the ledger of the raw zone as a stream and takes new objects through the same build as
    `lmslake build`, behind the same gates; the tables are those that a build of everything would
    give. `build`, `backfill`, `quarantine replay` and `maintain` may run meanwhile: each waits for
    the other. What a gate stops is held, the rest goes on: `lmslake held list`.

    SIGTERM and Ctrl-C end it after the current micro-batch; a second one ends it at once, which
    loses nothing: the next start goes on. While the store is away the query waits.

    \b
    Settings (all: lmslake settings):
      LMSLAKE_STREAM_METRICS_PORT   /metrics, /healthz and /readyz
      LMSLAKE_LOCK_WAIT_MINUTES     how long it waits for another build

    \b
    Examples:
      lmslake stream                      without end, a micro-batch every 10 s
      lmslake stream --interval 60        fewer, larger micro-batches and files
      lmslake stream --once               up to now, then end: for a scheduler
      spark-submit --properties-file $(lmslake spark-conf) jobs/stream.py
    """
    from lake.pipelines.opened import open_lake
    from lake.settings import Settings
    from streaming.ledger_stream import StreamOptions
    from streaming.monitoring import monitored
    from streaming.query import LakeStream
    from streaming.query_metrics import QueryHealth, StreamMetrics

    settings = Settings.from_env()
    settings.key()
    log_to_stderr()
    metrics, health = StreamMetrics(), QueryHealth()
    options = StreamOptions(interval, flushes, once)
    with (
        monitored(settings.metrics_host, settings.stream_metrics_port, metrics.registry, health),
        stopping_on_signals() as (stopping, call_at_stop),
    ):
        store = awaited_store(settings, stopping, once=once, beat=health.beat)
        if store is None:
            return
        print_progress("starting Spark")
        with open_lake(settings, "lmslake stream", grows=not once, store=store) as lake:
            stream = LakeStream(lake, options, metrics, health, print_progress, print_batch)
            call_at_stop(stream.stop)
            print_progress("waiting for raw objects")
            stream.run()


if __name__ == "__main__":
    run(command)
