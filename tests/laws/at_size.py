"""Law 2 at size: a million events through the continuous query, and in one build from nothing.

python -m tests.laws.at_size --events 1000000
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from benchmarks.raw_to_gold import KEPT_SETTINGS
from lake.ledger import Ledger
from lake.pipelines.journal import Journal
from lake.pipelines.pending import has_work
from lake.query import connect
from lake.settings import Settings
from lake.storage_local import LocalStore
from schemas.tables import TABLES
from schemas.tables.bronze import RAW_OBJECTS
from streaming.ledger_stream import CHECKPOINT
from tests.laws.big_history import FILES_PER_PIECE, BigHistory, write_history
from tests.laws.comparing_lakes import compared_tables
from tests.laws.world import TABLE_NAMES, law_2_columns
from tests.pipelines.killing import Command, files_below

# What a second lake is built from; the rest follows.
RAW = ("events", RAW_OBJECTS.path)
# Published after silver.events: a kill meets a micro-batch of which readers see a part.
DERIVED = tuple(name for name in TABLE_NAMES if not name.startswith("silver."))
SECONDS_PER_EVENT = 0.002

Say = Callable[[str], None]


@dataclass
class AtSize:
    """Two lakes below a folder: `streamed`, and `built` from its raw objects.

    killed: micro-batches that were killed after a part of their tables was published.
    """

    folder: Path
    events: int
    cuts: int
    seed: int
    say: Say
    killed: int = 0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.streamed, self.built = self.folder / "streamed", self.folder / "built"
        self._chance = random.Random(self.seed)
        self._key = secrets.token_hex(32)

    def run(self) -> None:
        """The whole proof. Raises AssertionError where a command fails."""
        self._stream(self._written())
        batches = self.micro_batches
        self.say(f"{batches} micro-batches, {self.killed} more killed within its publication")
        if batches < self.cuts or not self.killed:
            self.faults.append(
                "fewer micro-batches, or fewer kills, than it takes to prove a thing"
            )
        if has_work(Ledger(LocalStore(self.streamed)), Journal(LocalStore(self.streamed))):
            self.faults.append("the stream has left raw objects, or half a build")
        self._build()
        self._compare()

    @property
    def micro_batches(self) -> int:
        """Those that the query has taken to their end."""
        names = (path.name for path in (self.streamed / CHECKPOINT / "commits").iterdir())
        return sum(name.isdigit() for name in names)

    def _written(self) -> BigHistory:
        begin = time.monotonic()
        written = write_history(
            self.folder / "files", self.events, self.cuts, self.seed,
            lambda records: self.say(f"  {records:,} records written"),
        )  # fmt: skip
        kinds = ", ".join(f"{count:,} {kind}s" for kind, count in written.kinds.most_common())
        self.say(
            f"{written.records:,} records in {time.monotonic() - begin:.0f} s: {kinds}; "
            f"{written.late:,} came more than a day late"
        )
        return written

    def _stream(self, history: BigHistory) -> None:
        """The pieces in random order, each ingested and then streamed by a process of its own."""
        pieces = self._chance.sample(history.pieces, len(history.pieces))
        for number, files in enumerate(pieces, 1):
            chosen = self._chance.sample(files, len(files))
            self._run(self.streamed, "ingest", "--format", "native", *map(str, chosen))
            # One micro-batch of all files of the piece, or one of most and one of the rest.
            flushes = self._chance.choice((FILES_PER_PIECE - 1, FILES_PER_PIECE))
            stream = ("stream", "--once", "--flushes", str(flushes))
            if number > len(pieces) // 3 and not self.killed:
                self._kill(*stream)
            seconds = self._run(self.streamed, *stream)
            self.say(f"piece {number} of {len(pieces)} streamed in {seconds:.0f} s")

    def _kill(self, *arguments: str) -> None:
        place = self.streamed / TABLES[self._chance.choice(DERIVED)].path
        seconds = self._chance.uniform(0, 0.4)
        with self._started(self.streamed, *arguments) as command:
            if not command.kill_at_work(partial(files_below, place), 1, seconds):
                return
        unfinished = Journal(LocalStore(self.streamed)).unfinished()
        self.killed += len(unfinished)
        where = f"while it published {place.name}" if unfinished else "after its end"
        self.say(f"kill -9 of a micro-batch {where}")

    def _build(self) -> None:
        """One build of all raw objects, hard links of those that were streamed."""
        for part in RAW:
            shutil.copytree(self.streamed / part, self.built / part, copy_function=os.link)
        self.say(f"one build of everything: {self._run(self.built, 'build'):.0f} s")

    def _run(self, root: Path, *arguments: str) -> float:
        """A command to its end; gives its seconds."""
        begin = time.monotonic()
        with self._started(root, *arguments) as command:
            command.finish(600 + self.events * SECONDS_PER_EVENT)
        return time.monotonic() - begin

    def _started(self, root: Path, *arguments: str) -> Command:
        environment = {
            "LMSLAKE_ROOT": str(root),
            "LMSLAKE_PSEUDONYM_KEY": self._key,
            "LMSLAKE_STREAM_METRICS_PORT": "0",
            # compiled for speed, unlike the small lakes of the tests
            "JAVA_TOOL_OPTIONS": "",
        }
        return Command(arguments, environment, self.folder / "log.txt")

    def _compare(self) -> None:
        self.say(f"{'table':<34}{'rows':>12}{'seconds':>9}")
        with connect(Settings(root=str(self.built))) as connection:
            connection.execute(f"SET temp_directory = '{self.folder / 'duckdb'}'")
            for name in TABLE_NAMES:
                begin = time.monotonic()
                table = TABLES[name]
                streamed = f"delta_scan('{self.streamed / table.path}')"
                result = compared_tables(
                    connection, name, streamed, law_2_columns(name), table.keys
                )
                outcome = "equal"
                if not result.is_equal:
                    outcome = f"{result.missing:,} missing, {result.surplus:,} too many"
                    self.faults.append(f"{name} {result.example}")
                elif not result.expected:
                    self.faults.append(f"{name} is empty, which proves nothing")
                seconds = time.monotonic() - begin
                self.say(f"{name:<34}{result.found:>12,}{seconds:>9.1f}  {outcome}")


@click.command()
@click.option(
    "--events", type=click.IntRange(min=3_000), default=1_000_000, show_default=True,
    help="Records of the history, duplicates included.",
)  # fmt: skip
@click.option(
    "--cuts", type=click.IntRange(min=3, max=99), default=8, show_default=True,
    help="Pieces of the history; each is one or two micro-batches.",
)  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Decides the history, cuts and kill.")
@click.option("--keep", is_flag=True, help="Keep the folder with both lakes, and name it.")
def main(events: int, cuts: int, seed: int, keep: bool) -> None:
    """Take a month of events through the continuous query and compare with one build of it.

    A made-up campus, with visits that come up to 20 days late, 5 % duplicates (one in five with
    another body) and events that bridge sessions, is cut into pieces that come in random order.
    Each piece is ingested and taken by `lmslake stream --once`, one of them is killed with -9
    within its publication. Then one `lmslake build` makes a second lake of the same raw objects,
    and every table under law 2 is compared row for row and exactly, in all columns but lineage.

    Prints a timeline, and for each table its rows and `equal` or what differs. Exit code 0: all
    tables are equal; 1: they are not (the folder is kept and named), or a command failed. A
    million events take about 2 GB of disk.

    \b
    Examples:
      python -m tests.laws.at_size
      python -m tests.laws.at_size --events 50000 --seed 7
    """
    for name in os.environ.keys() - set(KEPT_SETTINGS):
        if name.startswith("LMSLAKE_"):
            del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="lmslake-at-size-"))
    begin = time.monotonic()
    run = AtSize(
        folder, events, cuts, seed,
        lambda text: click.echo(f"{time.monotonic() - begin:7.1f} s  {text}"),
    )  # fmt: skip
    try:
        run.run()
    except BaseException:
        click.echo(f"Lakes and the last command's log: {folder}", err=True)
        raise
    for fault in run.faults:
        click.echo(f"Error: {fault}", err=True)
    if keep or run.faults:
        click.echo(f"Lakes: {folder}", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        click.echo("The tables of the stream are those of one build.")
    sys.exit(bool(run.faults))


if __name__ == "__main__":
    main()
