"""Law 4: kill -9 of ingest and of build at random instants, and laws 1 to 3 hold afterwards.

LMSLAKE_TEST_KILLS kills so many builds instead of five.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from schemas.tables import TABLES
from tests.laws.world import TABLE_NAMES
from tests.pipelines.conftest import OpenLake
from tests.pipelines.killing import Command, Victim
from tests.pipelines.lakes import KEY, difference_from, four_days

SEED = 20_240_229
BUILD_KILLS = int(os.environ.get("LMSLAKE_TEST_KILLS", "5"))
INGEST_KILLS = BUILD_KILLS * 2 // 3
# A command may end before it is killed.
ROUNDS = 2 * BUILD_KILLS
RAW = ("events/raw", "tables/bronze/raw_objects")
# Where a build writes: its note, then what it publishes; silver.events twice (rows that move, then
# new ones), so that kills between the two are likely.
PLACES = (
    "tables/bronze/builds",
    "tables/silver/events",
    "tables/silver/events",
    *(TABLES[name].path for name in TABLE_NAMES),
)
VICTIMS: tuple[Victim, ...] = ("all", "all", "python", "java")


class Crashes:
    """A lake that is fed in small pieces by commands that are killed."""

    def __init__(self, folder: Path, lines: list[bytes]) -> None:
        self.root = folder / "lake"
        self.kills = {"ingest": 0, "build": 0}
        self._inbox = folder / "inbox"
        self._inbox.mkdir()
        self._log = folder / "log.txt"
        self._chance = random.Random(SEED)
        self._chance.shuffle(lines)
        self._pieces = [lines[n::ROUNDS] for n in range(ROUNDS)]
        self._environment = {
            "LMSLAKE_ROOT": str(self.root),
            "LMSLAKE_PSEUDONYM_KEY": KEY,
            "LMSLAKE_DRIVER_MEMORY": "1g",
            "LMSLAKE_SPARK_MASTER": "local[2]",
            # a commit per record: a killed command leaves a part of its file
            "LMSLAKE_FLUSH_RECORDS": "1",
        }

    def _arrives(self, number: int) -> None:
        piece = self._inbox / f"{number:02d}.jsonl"
        piece.write_bytes(b"".join(line + b"\n" for line in self._pieces[number]))

    def everything_arrives(self) -> None:
        for number in range(ROUNDS):
            self._arrives(number)
        self.run("ingest", str(self._inbox))

    def run(self, *arguments: str) -> str:
        with self._started(*arguments) as command:
            return command.finish()

    def _started(self, *arguments: str) -> Command:
        return Command(arguments, self._environment, self._log)

    @property
    def is_enough(self) -> bool:
        return self.kills == {"ingest": INGEST_KILLS, "build": BUILD_KILLS}

    def one_round(self, number: int) -> None:
        """One more file arrives; what the killed commands leave, those of the next round find."""
        self._arrives(number)
        if self.kills["ingest"] < INGEST_KILLS:
            place = self.root / self._chance.choice(RAW)
            seconds = self._chance.uniform(0, 0.03)
            with self._started("ingest", str(self._inbox)) as command:
                more = self._chance.randint(1, 3)
                self.kills["ingest"] += command.kill_at_work(place, more, seconds)
        else:
            self.run("ingest", str(self._inbox))
        if self.kills["build"] < BUILD_KILLS:
            place = self.root / self._chance.choice(PLACES)
            seconds = self._chance.uniform(0, 0.4)
            with self._started("build") as command:
                more = self._chance.randint(1, 4)
                self.kills["build"] += command.kill_at_work(
                    place, more, seconds, self._chance.choice(VICTIMS)
                )


@pytest.mark.slow
def test_killed_commands__lose_nothing_and_double_nothing(opened: OpenLake, tmp_path: Path) -> None:
    lines = four_days()
    crashes = Crashes(tmp_path, list(lines))
    for number in range(ROUNDS):
        crashes.one_round(number)
        if crashes.is_enough:
            break
    assert crashes.is_enough, crashes.kills

    crashes.everything_arrives()
    crashes.run("build")
    assert "Nothing is lost and nothing is doubled." in crashes.run("audit")
    lake = opened(crashes.root)
    difference = difference_from(lake, lines)
    assert not difference, difference
    states = lake.journal.states()
    begun = {row["build_id"] for row in states if row["state"] == "publishing"}
    finished = {row["build_id"] for row in states if row["state"] == "finished"}
    # Not all kills came before a build had begun to publish.
    assert len(begun - finished) >= BUILD_KILLS // 3
    assert "Nothing to build" in crashes.run("build")
