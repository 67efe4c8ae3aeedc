"""`lmslake tickets`: what support tickets are about."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.settings import Settings
    from lake.storage import ObjectStore
    from lake.tickets.labelling import Classify, LabelReport
    from lake.tickets.model import Model
    from lake.tickets.monitoring import TicketMetrics

RULES_AT_ONCE = 1_000
SHOWN = ("category", "urgency", "sentiment", "answered_by", "classifier", "fallback_reason")


@click.group()
def command() -> None:
    """Label support tickets: category, urgency and sentiment.

    Labels are in silver.ticket_labels, without any text. They are estimates, and no other table is
    computed from them.
    """


@command.command()
@click.option("--again", is_flag=True, help="Label every ticket anew, whoever labelled it.")
@click.option(
    "--retry-fallbacks",
    is_flag=True,
    help="Also those that the rules labelled because the model failed.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the newest first.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write Prometheus metrics of the run there (*.prom, textfile collector).",
)
def label(again: bool, retry_fallbacks: bool, limit: int | None, metrics_file: Path | None) -> None:
    """Label tickets that are new or whose text changed.

    Rules do it: words in five languages, the same text has the same labels. With an endpoint set,
    a language model is asked, some tickets at a time, and the rules answer wherever it fails;
    `answered_by` and `fallback_reason` say so. It is sent subject and text (2,000 characters of
    each) without names, e-mail addresses, telephone numbers and ids; a name that the directory
    does not know, written in small letters, cannot be recognised.

    A text is labelled once: newer rules, or another model, do not label it anew before --again.
    Running again changes no row. A run may be killed: it keeps its labels every minute.

    \b
    Settings (all: lmslake settings):
      LMSLAKE_TICKET_MODEL_URL                 as in https://api.groq.com/openai/v1
      LMSLAKE_TICKET_MODEL                     name of the model
      LMSLAKE_TICKET_MODEL_KEY                 else GROQ_API_KEY or OPENAI_API_KEY
      LMSLAKE_TICKET_MODEL_MAX_TOKENS_PER_RUN  the cost cap

    \b
    Examples:
      lmslake records build && lmslake tickets label
      lmslake tickets label --again --limit 50     try a model on the newest
      lmslake tickets label --metrics-file /var/lib/node_exporter/lmslake_tickets.prom

    Exit code 0: labelled, also where the model failed; 1: another fault.
    """
    from datetime import UTC, datetime

    from lake.settings import Settings
    from lake.storage import existing_store
    from lake.tickets.labelling import Choice, label_tickets
    from lake.tickets.monitoring import TicketMetrics

    settings = Settings.from_env()
    key = settings.key()
    _check_folder(metrics_file)
    # What the model's server answers is told on stderr as it happens.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    metrics = TicketMetrics()
    store = existing_store(settings)
    model = _configured_model(settings, metrics)
    if retry_fallbacks and model is None:
        raise LakeError(
            "--retry-fallbacks needs a model, and none is set.\n"
            "  Set LMSLAKE_TICKET_MODEL_URL, LMSLAKE_TICKET_MODEL and a key."
        )
    classify, batch = _classifier(store, settings, model)
    choice = Choice(again, retry_fallbacks, limit)
    report = label_tickets(
        store, key, classify, batch, choice, datetime.now(UTC), metrics, settings.lock_wait, _tell
    )
    if metrics_file is not None:
        metrics.write(metrics_file)
    print_report(report)
    if model is not None:
        click.echo(f"tokens: {model.spending.spent:,} of {model.spending.limit:,}")


def _configured_model(settings: Settings, metrics: TicketMetrics) -> Model | None:
    from lake.tickets.endpoint import configured_endpoint
    from lake.tickets.model import Model, ModelOptions

    endpoint = configured_endpoint(settings, os.environ)
    if endpoint is None or settings.ticket_model is None:
        return None
    options = ModelOptions(
        name=settings.ticket_model,
        batch=settings.ticket_model_batch,
        attempts=settings.ticket_model_attempts,
        max_tokens=settings.ticket_model_max_tokens_per_run,
    )
    return Model(endpoint, options, metrics)


def _classifier(
    store: ObjectStore, settings: Settings, model: Model | None
) -> tuple[Classify, int]:
    """Who labels, and how many tickets at once."""
    from lake.tickets.labelling import ByRules, by_model

    if model is None:
        return ByRules(), RULES_AT_ONCE
    school = settings.school
    return by_model(store, model, school.student_prefix, school.phone_region), model.options.batch


def _check_folder(metrics_file: Path | None) -> None:
    """Before the work, not after it."""
    if metrics_file is not None and not metrics_file.parent.is_dir():
        raise LakeError(
            f"There is no folder {metrics_file.parent} for the metrics.\n"
            "  Make it, or give --metrics-file another one."
        )


def _tell(what: str) -> None:
    click.echo(what, err=True)


def print_report(report: LabelReport) -> None:
    """Who labelled how many tickets, and what became of the others."""
    click.echo(
        f"{report.labelled:,} tickets labelled, {report.unchanged:,} as they were, "
        f"{report.moved:,} under another student or day, {report.gone:,} gone"
    )
    for (who, reason), count in sorted(report.answers.items(), key=str):
        click.echo(f"  {count:,} by the {who}{f' ({reason})' if reason else ''}")
    if report.left:
        click.echo(f"{report.left:,} are left: without --limit all are labelled")
    if any(reason for _, reason in report.answers):
        click.echo("To ask the model for those again: lmslake tickets label --retry-fallbacks")


@command.command()
def show() -> None:
    """Count labelled tickets per category, urgency, sentiment, and who labelled them.

    Exit code 0; 1 where no ticket was ever labelled.
    """
    from jobs.tables import print_rows
    from lake.query import readable_errors, sql
    from lake.settings import Settings

    parts = " UNION ALL ".join(
        f"SELECT '{name}' AS label, {place} AS place, {name} AS value FROM silver.ticket_labels"
        for place, name in enumerate(SHOWN)
    )
    counts = sql(
        Settings.from_env(),
        f"SELECT label, value, count(*) AS tickets FROM ({parts}) WHERE value IS NOT NULL "
        "GROUP BY label, place, value ORDER BY place, tickets DESC, value",
    )
    with readable_errors():
        rows = [(label, value, f"{count:,}") for label, value, count in counts.fetchall()]
    print_rows(["label", "value", "tickets"], rows, [False, False, True])


if __name__ == "__main__":
    run(command)
