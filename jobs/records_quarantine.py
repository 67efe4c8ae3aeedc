"""`lmslake records quarantine`: rows of school records that were set aside."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import click

from jobs.build import print_progress
from schemas.records import SOURCES

if TYPE_CHECKING:
    from lake.pipelines.records.build import RecordsReport
    from lake.records_quarantine import AsideCount, AsideRow, RecordsSelection
    from lake.settings import Settings

SHOWN_CHARACTERS = 2_000
# Reasons that are named after a build.
TOP_REASONS = 5
NOTHING = "Nothing that fits is set aside."

Command = Callable[..., None]


@click.group("quarantine")
def command() -> None:
    """List, show and replay rows of school records that silver did not take, or took undated.

    Quarantined rows cannot be cleaned (docs/cleaning-rules.md says what each reason means), held
    ones wait for their student or course. Undated ones are in the tables, without a date whose day
    and month cannot be told apart. All of them are in bronze, as they were received.

    \b
    Examples:
      lmslake records quarantine list
      lmslake records quarantine show --source attendance --limit 5
      LMSLAKE_DATE_ORDER=dmy lmslake records quarantine replay --reason ambiguous_date
    """


def _selecting(function: Command) -> Command:
    """The options that choose rows."""
    for option in (
        click.option(
            "--source",
            "sources",
            multiple=True,
            type=click.Choice(list(SOURCES)),
            metavar="NAME",
            help="Only this source; repeatable.",
        ),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            help="Only this reason (field:flag, or flag for that of any field); repeatable.",
        ),
    ):
        function = option(function)
    return function


def _selection(sources: tuple[str, ...], reasons: tuple[str, ...]) -> RecordsSelection:
    from lake.records_quarantine import RecordsSelection

    return RecordsSelection(frozenset(sources), frozenset(reasons))


@command.command("list")
@_selecting
def list_counts(**chosen: Any) -> None:
    """Count the rows that are set aside or undated by source and reason."""
    from lake.records_quarantine import aside_counts
    from lake.settings import Settings

    counts = aside_counts(Settings.from_env(), _selection(**chosen))
    if not counts:
        click.echo(NOTHING)
        return
    _print_counts(counts)
    click.echo("Look at them:  lmslake records quarantine show --limit 5")


def _print_counts(counts: Collection[AsideCount]) -> None:
    click.echo(f"{'source':<21}{'reason':<38}{'':<12}{'rows':>10}")
    for count in counts:
        click.echo(f"{count.source:<21}{count.reason:<38}{count.place:<12}{count.rows:>10,}")
    click.echo(f"{sum(count.rows for count in counts):>81,}")


@command.command("show")
@_selecting
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Whole rows as JSON lines.")
def show(limit: int, as_json: bool, **chosen: Any) -> None:
    """Show rows that are set aside or undated: reason, file and line, and what stood there.

    They are shown as they were received: names and student identifiers included.
    """
    from dataclasses import asdict

    import orjson

    from lake.records_quarantine import aside_rows
    from lake.settings import Settings

    rows = aside_rows(Settings.from_env(), _selection(**chosen), limit)
    for row in rows:
        click.echo(orjson.dumps(asdict(row)).decode() if as_json else _shown(row))
    if not rows and not as_json:
        click.echo(NOTHING)


def _shown(row: AsideRow) -> str:
    import json

    from lake.landing.naming import readable

    text = json.dumps(row.values, ensure_ascii=False)
    # Control characters of a row must not reach the terminal.
    safe = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:SHOWN_CHARACTERS])
    more = f" … ({len(text):,} characters)" if len(text) > SHOWN_CHARACTERS else ""
    detail = f" ({readable(row.detail)})" if row.detail else ""
    return f"{readable(row.at)}: {row.source} {row.reason}{detail}, {row.place}\n  {safe}{more}"


@command.command("replay")
@_selecting
def replay(**chosen: Any) -> None:
    """Judge quarantined rows again under today's settings, and take those that pass.

    For use after a convention was set or extended: LMSLAKE_DATE_ORDER, LMSLAKE_PRESENCE_WORDS.
    The rows are read again from bronze and go through the build of `lmslake records build`, with
    files that wait for it. Those that pass leave quarantine, and silver and gold follow; others
    stay, with today's reason. Undated rows are read again, too, once LMSLAKE_DATE_ORDER is set, and
    move to their days. Replaying twice adds nothing. One that was killed is finished by the same
    command, or by the next build.

    Held rows need no replay: the build that takes their student or course takes them. Nor does one
    help where two rows of a register contradict each other (conflicting_version).

    \b
    Examples:
      LMSLAKE_DATE_ORDER=dmy lmslake records quarantine replay --reason ambiguous_date
      lmslake records quarantine replay --source attendance --reason status:unknown_value

    Exit code 0: replayed, or nothing to do; 1: a gate stopped a table, or another fault.
    """
    from jobs.records import build_landed, print_report
    from lake.records_quarantine import again_of, aside_counts, kept_sources
    from lake.settings import Settings

    settings, selection = Settings.from_env(), _selection(**chosen)
    kept = kept_sources(settings) if settings.school.date_order else ()
    again = again_of(aside_counts(settings, selection), selection, kept)
    if not again:
        click.echo("Nothing that fits lies in quarantine and can be judged again.")
        return
    report = build_landed(print_progress, again=again)
    if report is None:
        return
    print_report(report)
    judged = sum(told.replayed for told in report.sources)
    reread = sum(told.reread for told in report.sources)
    click.echo(
        f"{judged:,} row{'' if judged == 1 else 's'} judged again: {report.let_go:,} left "
        f"quarantine, {judged - report.let_go:,} stay. {reread:,} read again for their dates."
    )
    if judged > report.let_go and (counts := aside_counts(settings, selection)):
        _print_counts(counts)


def print_asides(settings: Settings, report: RecordsReport) -> None:
    """Say of which reasons most rows of the build's files were set aside, and where one stands."""
    from lake.landing.naming import readable
    from lake.records_quarantine import RecordsSelection, aside_counts, examples

    if not (report.contents and any(told.quarantined or told.held for told in report.sources)):
        return
    counts = aside_counts(settings, RecordsSelection(contents=report.contents))
    top = sorted(counts, key=lambda count: -count.rows)[:TOP_REASONS]
    for count, row in zip(top, examples(settings, top), strict=True):
        what = f"{count.source} {count.reason}"
        example = f" e.g. {readable(row.at)}" if row else ""
        click.echo(f"  {count.rows:>8,} {count.place:<12}{what:<50}{example}")
    if len(counts) > len(top):
        more = len(counts) - len(top)
        click.echo(f"  and {more:,} more reasons:  lmslake records quarantine list")
    click.echo("Look at them:  lmslake records quarantine show --limit 5")
