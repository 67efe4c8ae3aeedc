"""`lmslake held`: builds of the continuous query that a gate stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from jobs.build import print_progress, print_reports
from jobs.cli import run


@click.group()
def command() -> None:
    """List and retry what a gate stopped while `lmslake stream` ran.

    The continuous query sets the raw objects of such a micro-batch aside and goes on. They are
    safe in the raw zone; `lmslake audit` shows them as pending.
    """


@command.command("list")
def list_held() -> None:
    """Show what is held: build, since when, how many objects, which days, and why.

    Exit code 0, also where something is held.
    """
    from lake.pipelines.journal import Journal
    from lake.settings import Settings
    from lake.storage import existing_store

    held = Journal(existing_store(Settings.from_env())).held()
    for build in held:
        # What the raw gate or a damaged object stopped was stopped before it was known what it
        # would touch: the days of its objects.
        days = ", ".join(sorted(map(str, build.touched.dates)) or sorted(_days(build.paths)))
        click.echo(f"{build.build_id}  since {build.at:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"  {len(build.paths):,} raw objects; days: {days}")
        for line in build.reason.splitlines():
            click.echo(f"  | {line}")
    if held:
        click.echo("After a fix: lmslake held retry")
    else:
        click.echo("Nothing is held.")


def _days(paths: Iterable[str]) -> set[str]:
    """The days in the names of raw objects."""
    return set(re.findall(r"(?<=/date=)[\d-]+(?=/)", "\n".join(paths)))


@command.command()
@click.argument("build_ids", metavar="[BUILD]...", nargs=-1)
def retry(build_ids: tuple[str, ...]) -> None:
    """Build what is held again: all of it, or the builds named.

    Exit code 0: all of it is in the tables; 1: a gate stopped something again, which stays held.
    """
    from lake.pipelines.build import retry_held
    from lake.pipelines.journal import Journal
    from lake.pipelines.opened import open_lake
    from lake.settings import Settings
    from lake.storage import existing_store

    settings = Settings.from_env()
    settings.key()
    held = Journal(existing_store(settings)).held()
    if not build_ids and not held:
        click.echo("Nothing is held.")
        return
    print_progress("starting Spark")
    with open_lake(settings, "lmslake held") as lake:
        reports = retry_held(lake, build_ids or None, progress=print_progress)
    print_reports(reports)
    if any(report.fault for report in reports):
        raise SystemExit(1)


if __name__ == "__main__":
    run(command)
