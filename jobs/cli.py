"""`lmslake`: the command line of the lakehouse."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from lake.errors import LakeError

TRACE_VARIABLE = "LMSLAKE_STACK_TRACE"
COMMANDS = {
    "demo": "Take a small campus from JSON to features and show the tables.",
    "ingest": "Validate files of events and write them to the raw zone.",
    "school": "Write the files of a made-up school, to try landing with.",
    "land": "Take files of school records to bronze, now or as they come.",
    "records": "Take landed school records to dimensions, facts and gold.",
    "tickets": "Label support tickets: category, urgency, sentiment.",
    "archive": "Take events from Kafka to the raw zone, without end or --once.",
    "produce": "Send made-up or recorded events to Kafka, for demos and tests.",
    "stream-demo": "Watch a campus go from Kafka to gold, live, and audit it.",
    "build": "Build silver, gold and features for dates that have new raw events.",
    "stream": "Keep silver, gold and features current while raw events arrive.",
    "held": "List and retry what a gate stopped while the stream ran.",
    "backfill": "Build a range date by date; go on after a failed one; --reset rebuilds.",
    "audit": "Prove that no record was lost or doubled.",
    "maintain": "Join small files, remove old ones, sweep leftovers of dead writers.",
    "quarantine": "List, show and replay rejected records.",
    "catalog": "Load course and chapter titles.",
    "picture": "Put behaviour and school records of each student side by side, as of a day.",
    "sql": "Query the tables with DuckDB.",
    "show": "Answer what schools ask: classes, students, risk, grades.",
    "tables": "List the tables: grain, rows, last change.",
    "docs": "Write or check the generated documentation.",
    "settings": "Show the settings in force, secrets masked.",
    "spark-conf": "Write the properties file that spark-submit needs.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is called: `--help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"jobs.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lmslake")
def cli() -> None:
    """A lakehouse for LMS events: raw JSON to sessions, metrics and features.

    The lake lies below LMSLAKE_ROOT (default ./lake-data): a local folder or s3a://bucket/prefix.
    All settings come from the environment; `lmslake settings` lists them.

    \b
    First steps:
      lmslake ingest events.jsonl.gz       files to the raw zone
      lmslake build                        raw to silver, gold and features
      lmslake sql "SELECT * FROM gold.student_daily_activity LIMIT 5"
    """


def run(command: click.Command) -> None:
    """Run a command; a user's mistake ends with its message and exit code 1, no stack trace.

    So does what a disk or a store refuses: no permission, no space, no connection.
    """
    try:
        command.main(standalone_mode=True)
    except LakeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from lake.settings import Settings
        from streaming.outages import STORE_FAULTS

        if not isinstance(error, STORE_FAULTS) or Settings().stack_trace:
            raise
        click.echo(f"Error: {type(error).__name__}: {error}", err=True)
        click.echo(f"  Where it happened:  export {TRACE_VARIABLE}=1  and run it again.", err=True)
        sys.exit(1)


def main() -> None:
    run(cli)
