"""`lmslake stream-demo`: a campus from Kafka to gold, live, with an audit at the end."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from lake.errors import LakeError

if TYPE_CHECKING:
    from jobs.stream_demo_services import DemoFolder
    from lake.settings import Settings
    from streaming.demo_processes import Child
    from streaming.demo_view import DemoView

QUIRKS = ("--late", "0.002", "--duplicates", "0.01", "--broken", "0.005")
PRODUCER_END_SECONDS = 60.0
STREAM_END_SECONDS = 600.0
CATCH_UP_SECONDS = 900.0
# From the end of a build until its metrics tell of it.
SETTLE_SECONDS = 2.0
EXAMPLE = (
    "SELECT date, count(*) AS students, sum(total_sessions) AS sessions "
    "FROM gold.student_daily_activity GROUP BY date ORDER BY date DESC LIMIT 5"
)


@click.command("stream-demo")
@click.option(
    "--rate",
    type=click.FloatRange(1),
    default=200.0,
    show_default=True,
    help="Made-up records per second.",
)
@click.option(
    "--seconds", type=click.FloatRange(1), help="End after so long; without it at Ctrl-C."
)
@click.option("--kafka", metavar="HOST:PORT", help="Brokers to use instead of one of its own.")
@click.option(
    "--lake",
    "uri",
    metavar="ROOT",
    help="A lake to use instead of one in a MinIO of its own: a folder or s3a://bucket/prefix; "
    "its key is in LMSLAKE_PSEUDONYM_KEY_FILE, else the demo's.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("stream-demo-data"),
    show_default=True,
    help="Where data, keys and logs of the demo are; it is made where it does not exist.",
)
@click.option("--stay", is_flag=True, help="Keep broker and store after the audit, until Ctrl-C.")
def command(
    rate: float, seconds: float | None, kafka: str | None, uri: str | None, folder: Path, stay: bool
) -> None:
    """Watch a campus go from Kafka to gold, live, and audit what arrived.

    Starts a Kafka broker and a MinIO (`make services` installs them once), then `lmslake produce`,
    `lmslake archive` and `lmslake stream` as processes of their own, and prints a line per second:

    \b
      acked/s, acked  records that Kafka acknowledged to the producer
      lag             records of Kafka that are not in the raw zone yet
      raw             events in the raw zone; quarantined: refused, each with a reason
      newest          age of the newest event when gold was published
      sessions        rows of silver.sessions; student days: of gold.student_daily_activity

    Some records are late, sent twice or broken on purpose. At Ctrl-C, or after --seconds, the
    producer ends; the others take all that is left, then the audit proves that every record is in
    the lake once. Exit code 0 only where it does. A second Ctrl-C ends everything at once. Start it
    again to go on with the same broker and lake; remove the folder to start over.

    \b
      lmslake stream-demo --seconds 60
      lmslake stream-demo --rate 1000 --stay
      lmslake stream-demo --kafka localhost:9092 --lake s3a://bucket/demo
    """
    from jobs.stream_demo_services import prepared_folder, started_services, write_environment

    demo = prepared_folder(folder)
    with _asked_to_end() as ending, ExitStack() as stack:
        settings = started_services(stack, demo, kafka, uri)
        write_environment(demo, settings)
        _print_start(demo, settings)
        is_clean = _run(stack, demo, settings, rate, seconds, ending)
        _print_next(demo, stay)
        if stay:
            ending.clear()
            ending.wait()
    if not is_clean:
        raise LakeError(f"The audit found differences: see above. The logs: {demo.folder}/logs")


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """An event that a signal sets; the next signal is a KeyboardInterrupt, so that all is ended."""
    ending = threading.Event()

    def ask(*_: object) -> None:
        if ending.is_set():
            raise KeyboardInterrupt
        ending.set()

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, ask) for name in names}
    try:
        yield ending
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _run(
    stack: ExitStack,
    demo: DemoFolder,
    settings: Settings,
    rate: float,
    seconds: float | None,
    ending: threading.Event,
) -> bool:
    """Produce, archive and build until it is asked to end; then whether the audit is clean."""
    from jobs.stream_demo_services import process_environment
    from streaming.consumer import KafkaOptions
    from streaming.demo_processes import Child
    from streaming.demo_view import DemoView
    from streaming.producer import ensure_topics

    ensure_topics(KafkaOptions.from_settings(settings), list(settings.topics), create=True)
    environment = process_environment(settings)

    def child(name: str, *arguments: str) -> Child:
        started = Child(name, arguments, environment, demo.logs)
        stack.callback(started.kill)
        return started

    archive = child("archive")
    stream = child("stream", "--interval", "5")
    acknowledged_file = str(demo.acknowledged)
    produce = child("produce", "--rate", str(rate), "--acknowledged", acknowledged_file, *QUIRKS)
    view = DemoView(settings, demo.acknowledged)
    end = float("inf") if seconds is None else time.monotonic() + seconds
    while not ending.is_set() and time.monotonic() < end:
        click.echo(view.line())
        _check(archive, stream, produce)
        ending.wait(1.0)
    # From here on one more signal ends everything.
    ending.set()
    click.echo("The producer ends; the others take what is left.")
    produce.end(PRODUCER_END_SECONDS)
    _catch_up(view, archive, stream)
    archive.end(PRODUCER_END_SECONDS)
    stream.end(STREAM_END_SECONDS)
    return _audit(environment, view)


def _check(*children: Child) -> None:
    for child in children:
        child.check()


def _catch_up(view: DemoView, *children: Child) -> None:
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while not view.has_taken_all():
        click.echo(view.line())
        _check(*children)
        if time.monotonic() > deadline:
            raise LakeError(
                f"Not all was taken within {CATCH_UP_SECONDS:.0f} s.\n"
                "  See the logs; `lmslake stream-demo` goes on with what is left."
            )
        time.sleep(1.0)
    time.sleep(SETTLE_SECONDS)
    click.echo(view.line())


def _audit(environment: dict[str, str], view: DemoView) -> bool:
    """Run `lmslake audit`; prints its last line, or all of it where it found differences."""
    click.echo("The audit reads everything again …")
    program = str(Path(sys.executable).with_name("lmslake"))
    done = subprocess.run(
        [program, "audit"], env=environment, capture_output=True, text=True, check=False
    )
    is_clean = done.returncode == 0
    lines = done.stdout.strip().splitlines()
    click.echo(f"{view.acknowledged:,} records were acknowledged in this run.")
    for line in lines[-1:] if is_clean else [*lines, *done.stderr.splitlines()]:
        click.echo(line)
    return is_clean


def _print_start(demo: DemoFolder, settings: Settings) -> None:
    click.echo(f"Broker {settings.kafka_bootstrap_servers}, lake {settings.root}")
    click.echo(f"Logs: {demo.logs}. Ctrl-C ends the producer and audits. In another terminal:\n")
    click.echo(f"  . {shlex.quote(str(demo.environment_file))}")
    click.echo(f'  lmslake sql "{EXAMPLE}"\n')


def _print_next(demo: DemoFolder, stay: bool) -> None:
    if stay:
        click.echo("Broker and store stay until Ctrl-C. In another terminal:\n")
        click.echo(f"  . {shlex.quote(str(demo.environment_file))}")
        click.echo(f'  lmslake sql "{EXAMPLE}"')
        click.echo("  lmslake tables\n  lmslake quarantine list")
        return
    click.echo("Next, copy and paste:\n")
    program = shlex.quote(str(Path(sys.executable).with_name("lmslake")))
    folder = shlex.quote(str(demo.folder))
    click.echo(
        f"  {program} stream-demo --folder {folder} --seconds 20 --stay   # and look into it"
    )


if __name__ == "__main__":
    run(command)
