"""`lmslake quarantine`: list, show and replay rejected records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from jobs.cli import run

if TYPE_CHECKING:
    from lake.ledger import Ledger
    from lake.quarantine import QuarantineRecord, ReplayReport, Selection
    from lake.settings import Settings
    from lake.silver_quarantine import SilverCount
    from lake.storage import ObjectStore
    from lake.validation import Limits

FILE_TOPICS = frozenset({"native", "xapi"})
SHOWN_BYTES = 2_000

Command = Callable[..., None]


@click.group()
def command() -> None:
    """List, show and replay rejected records.

    Every record that the lake refuses is kept as it was sent, with the reason. After a fix (a new
    schema version, another setting) a replay takes those that pass now. Of rows of school records
    `lmslake records quarantine` does the same.

    \b
    Examples:
      lmslake quarantine list
      lmslake quarantine show --reason schema_violation --limit 5
      lmslake quarantine replay --reason unknown_schema_version
    """


def _selecting(function: Command) -> Command:
    """The options that choose records."""
    for option in (
        click.option("--topic", "topics", multiple=True, help="Only this topic; repeatable."),
        click.option("--reason", "reasons", multiple=True, help="Only this reason; repeatable."),
        click.option(
            "--date",
            "dates",
            multiple=True,
            type=click.DateTime(["%Y-%m-%d"]),
            help="Only records rejected on this UTC day; repeatable.",
        ),
    ):
        function = option(function)
    return function


def _selection(
    topics: tuple[str, ...], reasons: tuple[str, ...], dates: tuple[datetime, ...]
) -> Selection:
    from lake.quarantine import Selection

    return Selection(frozenset(topics), frozenset(reasons), frozenset(day.date() for day in dates))


def _opened() -> tuple[Settings, ObjectStore, Ledger]:
    from lake.ledger import Ledger
    from lake.settings import Settings
    from lake.storage import existing_store

    settings = Settings.from_env()
    store = existing_store(settings)
    return settings, store, Ledger(store)


@command.command("list")
@_selecting
def list_counts(**chosen: Any) -> None:
    """Count the rejected records by topic, day of ingestion and reason.

    Below them, if there are any, the events that were valid but did not become rows of
    silver.events, by topic, day of the event and reason.
    """
    from lake.quarantine import quarantine_counts
    from lake.silver_quarantine import silver_counts

    settings, store, ledger = _opened()
    selection = _selection(**chosen)
    counts = quarantine_counts(ledger, selection)
    rejected = silver_counts(settings, store, selection)
    if not counts and not rejected:
        click.echo("Nothing lies in quarantine.")
        return
    if counts:
        _print_received(counts)
    if rejected:
        click.echo(f"{'topic':<16}{'event of':<13}{'reason (silver)':<26}{'events':>10}")
        for topic, day, reason, count in rejected:
            click.echo(f"{topic:<16}{day.isoformat():<13}{reason:<26}{count:>10,}")
        click.echo('Look at them:  lmslake sql "SELECT * FROM silver.quarantine LIMIT 5"')
        _print_way_back(rejected)


def _print_way_back(rejected: list[SilverCount]) -> None:
    """How events that broke an expectation are taken again; a lost conflict stays one."""
    from lake.silver_quarantine import days_set_aside

    if days := days_set_aside(rejected):
        click.echo(
            "After a fix, those that failed an expectation are taken again by\n"
            f"  lmslake backfill --from {days[0]} --to {days[-1]} --reset"
        )


def _print_received(counts: Sequence[tuple[str, date, str, int]]) -> None:
    click.echo(f"{'topic':<16}{'ingested on':<13}{'reason':<26}{'records':>10}")
    for topic, day, reason, count in counts:
        click.echo(f"{topic:<16}{day.isoformat():<13}{reason:<26}{count:>10,}")
    click.echo(f"{sum(count for *_, count in counts):>65,}")
    click.echo("Look at them:  lmslake quarantine show --limit 5")


@command.command("show")
@_selecting
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Whole records as JSON lines.")
def show(limit: int, as_json: bool, **chosen: Any) -> None:
    """Show rejected records: where they came from, what was wrong, what was sent.

    They are shown as they were sent: student identifiers included. Events that were valid but did
    not become rows of silver.events follow, without their bodies.
    """
    from itertools import islice

    import orjson

    from lake.quarantine import quarantined_records
    from lake.silver_quarantine import silver_rows

    settings, store, ledger = _opened()
    selection = _selection(**chosen)
    found = 0
    for record in islice(quarantined_records(store, ledger, selection), limit):
        found += 1
        click.echo(orjson.dumps(record).decode() if as_json else _shown(record))
    for row in silver_rows(settings, store, selection, limit - found):
        found += 1
        click.echo(orjson.dumps(row).decode() if as_json else _shown_silver(row))
    if not found and not as_json:
        click.echo("Nothing that fits lies in quarantine.")


def _shown_silver(row: Mapping[str, Any]) -> str:
    detail = _printable(str(row["detail"]))
    event_id = _printable(str(row["event_id"]))
    return (
        f"{row['topic']} {row['date']} {event_id}: {row['reason']}\n  {detail}\n  {row['raw_path']}"
    )


def _printable(text: str) -> str:
    """Control characters of a record must not reach the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _shown(record: QuarantineRecord) -> str:
    sent = str(record.get("raw") or record.get("raw_base64") or "")
    safe = _printable(sent[:SHOWN_BYTES])
    more = f" … ({len(sent):,} characters)" if len(sent) > SHOWN_BYTES else ""
    apart = f"\n  all of it: {record['raw_object']}" if "raw_object" in record else ""
    schema = f" [{record['schema']}]" if record.get("schema") else ""
    return (
        f"{record['topic']} {record['source'][:16]} offset {record['offset']}: "
        f"{record['reason']}{schema}\n  {record['detail']}\n  {safe}{more}{apart}"
    )


@command.command("replay")
@_selecting
@click.option(
    "--max-event-age",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Age limit of events; by default none for files, LMSLAKE_MAX_EVENT_AGE_DAYS for topics.",
)
def replay_records(max_event_age: int | None, **chosen: Any) -> None:
    """Check rejected records again under today's schemas and settings; take those that pass.

    They leave quarantine and take the normal way. Replaying twice adds nothing. Events that failed
    an expectation of silver lie in raw already: a build takes them again, see what it prints.
    """
    from lake.quarantine import replay
    from lake.silver_quarantine import silver_counts

    settings, store, ledger = _opened()
    selection = _selection(**chosen)
    report = replay(
        store,
        ledger,
        selection,
        _limits_of(settings, max_event_age),
        settings.max_record_bytes,
    )
    _print_replay(report)
    _print_way_back(silver_counts(settings, store, selection))


def _limits_of(settings: Settings, max_event_age: int | None) -> Callable[[str], Limits]:
    from lake.validation import Limits

    def limits_of(topic: str) -> Limits:
        days = max_event_age
        if days is None and topic not in FILE_TOPICS:
            days = settings.max_event_age_days
        age = None if days is None else timedelta(days=days)
        return Limits(settings.max_clock_skew, age)

    return limits_of


def _print_replay(report: ReplayReport) -> None:
    if not report.tried:
        click.echo("Nothing that fits lies in quarantine.")
        return
    click.echo(
        f"{report.tried:,} record{'' if report.tried == 1 else 's'} checked again: "
        f"{report.passed:,} now in raw, "
        f"{report.failed.total():,} stay in quarantine."
    )
    for reason, count in report.failed.most_common():
        click.echo(f"  {reason:<24}{count:>10,}")
    if report.passed:
        first, last = min(report.dates).isoformat(), max(report.dates).isoformat()
        click.echo(f"Next:  lmslake build --from {first} --to {last}")


if __name__ == "__main__":
    run(command)
