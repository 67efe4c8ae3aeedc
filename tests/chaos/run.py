"""The long form of the chaos test:

python -m tests.chaos.run --seconds 600 --rate 1000 --kills 25 --seed 1
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import click

from tests.chaos.checking import Verdict, check_lake
from tests.chaos.harness import KEY, Plan, Platform, Recovery, platform
from tests.chaos.rebuilding import rebuilt_faults


def survive(plan: Plan, folder: Path, *, has_rebuild: bool = False) -> tuple[Platform, Verdict]:
    """The whole run with its checks. Raises AssertionError where something does not go on."""
    with platform(folder, plan, say=lambda line: click.echo(line)) as running:
        running.run(plan)
        settings = running.minio.settings("chaos", pseudonym_key=KEY)
        verdict = check_lake(settings, running.acknowledged, plan.has_stream)
        code, output = running.lmslake("audit")
        if code:
            verdict.faults.append(f"lmslake audit ended with {code}:\n{output}")
        if has_rebuild:
            rebuilt = running.minio.settings("rebuilt", pseudonym_key=KEY)
            verdict.faults += rebuilt_faults(running, settings, rebuilt)
        verdict.faults += running.upkeep.faults
        verdict.faults += [f"ended by itself: {name}" for name in running.ended_by_themselves]
        for program in (*running.programs.values(), running.producer):
            # Spark tells those of failed micro-batches within its own lines.
            if "\nTraceback" in program.output:
                verdict.faults.append(f"a stack trace in {program.log}")
        running.tell("checked")
    return running, verdict


def summary(running: Platform, verdict: Verdict) -> str:
    """Kills by kind with the seconds of their recoveries, what ended by itself, the verdict."""
    by_kind: dict[str, list[Recovery]] = defaultdict(list)
    for recovery in running.recoveries:
        by_kind[recovery.kind].append(recovery)
    lines = []
    for kind, survived in sorted(by_kind.items()):
        away = [r.away_seconds or 0.0 for r in survived]
        seconds = [r.seconds or 0.0 for r in survived]
        lines.append(
            f"{kind:9} {len(survived):3}   away {statistics.median(away):5.1f} s, then recovery "
            f"{statistics.median(seconds):5.1f} s (medians; longest {max(seconds):.1f} s)"
        )
    return "\n".join([*lines, str(verdict)])


@click.command()
@click.option("--seconds", default=600.0, show_default=True, help="How long there are strikes.")
@click.option("--rate", default=1_000.0, show_default=True, help="Events per second.")
@click.option("--kills", default=25, show_default=True, help="Kills with -9; one zombie is added.")
@click.option("--seed", default=1, show_default=True, help="Decides what is struck and when.")
@click.option("--late", default=0.002, show_default=True, help="Share of events of past days.")
@click.option("--no-stream", is_flag=True, help="Archivers only: from Kafka to raw, no Spark.")
@click.option("--upkeep", is_flag=True, help="Maintain, replay and backfill meanwhile, in turn.")
@click.option("--rebuild", is_flag=True, help="Compare with a build of the same raw objects.")
@click.option("--keep", is_flag=True, help="Keep the folder with all logs, and name it.")
def main(
    seconds: float,
    rate: float,
    kills: int,
    seed: int,
    late: float,
    no_stream: bool,
    upkeep: bool,
    rebuild: bool,
    keep: bool,
) -> None:
    """Kill a whole platform piece by piece while events come, and see that none is lost or doubled.

    Broker, store, two archivers and a stream are processes of this machine; each is killed with -9
    at random and started again; one archiver stands still for longer than its session. With
    --upkeep, records that are more than a day late are refused, and replays take them; a command
    that fails without a strike on the store is a fault. Prints a timeline and a summary; exit code
    0: nothing is lost, nothing is doubled, nothing ended by itself. After a failure the folder with
    all logs is kept and named.

    \b
    Examples:
      python -m tests.chaos.run
      python -m tests.chaos.run --upkeep --rebuild --late 0.01
      python -m tests.chaos.run --seconds 90 --rate 200 --kills 6 --seed 7 --no-stream
    """
    folder = Path(tempfile.mkdtemp(prefix="lmslake-chaos-"))
    plan = Plan(seconds, rate, kills, seed, not no_stream, late, has_upkeep=upkeep)
    try:
        running, verdict = survive(plan, folder, has_rebuild=rebuild and plan.has_stream)
    except BaseException:
        click.echo(f"Logs and data: {folder}", err=True)
        raise
    click.echo(summary(running, verdict))
    if keep or not verdict.is_good:
        click.echo(f"Logs and data: {folder}", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(not verdict.is_good)


if __name__ == "__main__":
    main()
