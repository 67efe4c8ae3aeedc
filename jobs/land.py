"""`lmslake land`: files of school records from the landing zone to bronze."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from jobs.land_report import Tally
from jobs.long_running import log_to_stderr, stopping_on_signals
from lake.errors import LakeError
from lake.landing.naming import readable

if TYPE_CHECKING:
    from lake.landing.landing import Outcome
    from lake.landing.watching import LandingPlace, State
    from lake.landing.zone import Zone
    from lake.settings import Settings


@click.command()
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE…"
)
@click.option("--zone", metavar="PATH|s3a://…", help="Landing zone. Default: LMSLAKE_LANDING.")
@click.option("--once/--watch", default=True, help="Take what is there (default), or go on.")
@click.option("--source", "source_name", metavar="NAME", help="What the FILEs hold.")
def command(files: tuple[Path, ...], zone: str | None, once: bool, source_name: str | None) -> None:
    """Take files of school records to bronze, now or as they come.

    Put files into the zone, or into its folder of a source: students, attendance, assessments,
    students_enrollment, student_progress, course_catalog, support_tickets. Elsewhere the name says
    what a file holds: attendance_2025-09-01.csv. Taken are CSV (separated by , ; tab or |) and
    JSON in any common encoding, also .gz; extra columns are kept, in any order.

    A file is taken when it has not changed for LMSLAKE_LANDING_SETTLE_SECONDS, or at once where
    NAME.done lies beside it. All of its rows come into the table bronze.<source>, in one commit, as
    they were received; the file goes to processed/<date>/. A file that cannot be read whole adds
    nothing: it goes to failed/, and NAME.reason.json says why. A content that came before, under
    any name, adds nothing. FILEs that you name are read where they lie, and stay there.

    Ends with 1 where a file failed. --watch goes on until SIGTERM or Ctrl-C, which let it end the
    current file; it serves /metrics (files by outcome and reason, rows by source), /healthz and
    /readyz on LMSLAKE_LANDING_METRICS_PORT.

    \b
    Examples:
      lmslake land                                  what is in the landing zone now
      lmslake land --watch                          and what comes from now on
      lmslake land --zone s3a://school/incoming     another zone, here in a bucket
      lmslake land --source attendance export.csv   a file from elsewhere
      lmslake sql "SELECT * FROM bronze.landed_files"
    """
    from lake.settings import Settings

    if source_name and not files:
        raise click.UsageError("--source says what FILEs hold: name them.")
    if files and (zone or not once):
        raise click.UsageError("FILEs are taken where they lie, without --zone and --watch.")
    settings = Settings.from_env()
    if files:
        _land_files(settings, files, source_name)
        return
    place = _place(settings, zone)
    if once:
        _land_once(settings, place)
    else:
        _watch(settings, place)


def _place(settings: Settings, zone: str | None) -> LandingPlace:
    from lake.landing.reading import Limits
    from lake.landing.watching import LandingPlace
    from lake.storage import open_store

    opened = named_zone(settings, zone) if zone else _zone_of_settings(settings)
    store = open_store(settings)
    return LandingPlace(opened, store, Limits.from_settings(settings), settings.lock_wait)


def named_zone(settings: Settings, address: str) -> Zone:
    """The zone that --zone names. Raises UsageError, and LakeError where there is none."""
    from lake.landing.zone import open_zone
    from lake.settings import known_address

    try:
        known = known_address(address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--zone") from None
    return open_zone(known, settings, is_made=False)


def _zone_of_settings(settings: Settings) -> Zone:
    from lake.landing.zone import open_zone

    return open_zone(settings.landing_zone, settings, is_made=True)


def _land_files(settings: Settings, files: Sequence[Path], source_name: str | None) -> None:
    from lake.landing.bronze import Bronze
    from lake.landing.landing import Landing, land_given
    from lake.landing.reading import Limits
    from lake.landing.watching import LEASE
    from lake.leases import awaited_lease
    from lake.storage import open_store
    from schemas.records import SOURCES

    if source_name and source_name not in SOURCES:
        raise click.BadParameter(f"choose from {', '.join(SOURCES)}", param_hint="--source")
    source = SOURCES[source_name] if source_name else None
    tally = Tally()
    store = open_store(settings)
    with _readable_outages(), awaited_lease(store, LEASE, settings.lock_wait, _tell) as lease:
        landing = Landing(Bronze(store), lease, Limits.from_settings(settings))
        for outcome in land_given(landing, files, source):
            tally.add(outcome)
    tally.end()


def _land_once(settings: Settings, place: LandingPlace) -> None:
    from lake.landing.watching import land_once
    from lake.landing.zone import names_of

    tally = Tally()
    with _readable_outages():
        growing, look = land_once(place, settings.landing_settle_seconds, tally.add, _tell)
    if growing:
        click.echo(f"Still being written, left for the next time: {names_of(growing)}")
    if not tally.outcomes and not growing:
        click.echo(f"No file waits in {place.zone.address}.")
    for folder in look.other_folders:
        click.echo(f"Passed over folder {readable(folder)}/: no source is called that.")
    tally.end(place.zone.address)


def _watch(settings: Settings, place: LandingPlace) -> None:
    from lake.landing.watching import Watch
    from streaming.landing_metrics import LandingHealth, LandingMetrics
    from streaming.monitoring import monitored

    log_to_stderr()
    tally, metrics = Tally(), LandingMetrics()
    pause = max(settings.landing_poll_seconds, settings.landing_settle_seconds)
    health = LandingHealth(pause)
    watch = Watch(place, settings.landing_settle_seconds, settings.landing_poll_seconds)

    def add(outcome: Outcome) -> None:
        metrics.count(outcome)
        tally.add(outcome)

    def note(state: State) -> None:
        metrics.note(state)
        health.note(state)

    with (
        monitored(settings.metrics_host, settings.landing_metrics_port, metrics.registry, health),
        stopping_on_signals() as (_, call_at_stop),
    ):
        call_at_stop(watch.stop)
        _tell(f"Watching {place.zone.address}; Ctrl-C ends it.")
        watch.run(add, _tell, _is_outage, note)
    tally.end(place.zone.address, is_failure_told=True)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _is_outage(error: Exception) -> bool:
    """Whether a store or a disk failed, or another process is at work: it may be well later."""
    from boto3.exceptions import Boto3Error

    from lake.storage import LeaseHeld
    from streaming.outages import STORE_FAULTS

    return isinstance(error, (*STORE_FAULTS, Boto3Error, LeaseHeld))


@contextmanager
def _readable_outages() -> Iterator[None]:
    """Raises LakeError for what is no fault of a file."""
    try:
        yield
    except LakeError:
        raise
    except Exception as error:
        if not _is_outage(error):
            raise
        raise LakeError(
            f"The landing stopped: {(str(error) or type(error).__name__).splitlines()[0]}\n"
            "  What was landed stays so. Run the command again: it goes on where it stopped."
        ) from None


if __name__ == "__main__":
    run(command)
