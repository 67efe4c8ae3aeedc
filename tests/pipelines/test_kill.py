"""Law 4: kill -9 of ingest and of build at random instants, and laws 1 to 3 hold afterwards.

LMSLAKE_TEST_KILLS kills so many builds instead of five, two in five of them on an object store.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake.audit import audit
from lake.pipelines.build import build
from lake.pipelines.journal import Journal
from lake.pipelines.opened import open_lake
from lake.settings import Settings
from lake.storage import open_store
from schemas.tables import TABLES
from tests.laws.world import TABLE_NAMES
from tests.pipelines.killing import Command, Victim, objects_below
from tests.pipelines.lakes import KEY, difference_from, four_days
from tests.services import Minio

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEED = 20_240_229
ALL_KILLS = int(os.environ.get("LMSLAKE_TEST_KILLS", "5"))
S3_KILLS = max(1, ALL_KILLS * 2 // 5)
FOLDER_KILLS = max(1, ALL_KILLS - S3_KILLS)
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
    """A lake that is fed in small pieces by commands that are killed, until so many builds are.

    settings: where the lake is. environment: what the commands need to reach it.
    """

    def __init__(
        self, folder: Path, settings: Settings, environment: dict[str, str], build_kills: int
    ) -> None:
        self.settings = settings
        self.kills = {"ingest": 0, "build": 0}
        self._wanted = {"ingest": build_kills * 2 // 3, "build": build_kills}
        # A command may end before it is killed.
        self.rounds = 2 * build_kills + 4
        self._store = open_store(settings)
        self._inbox = folder / "inbox"
        self._inbox.mkdir()
        self._log = folder / "log.txt"
        self._chance = random.Random(SEED)
        lines = four_days()
        self._chance.shuffle(lines)
        self._pieces = [lines[n :: self.rounds] for n in range(self.rounds)]
        self._environment = {
            **environment,
            "LMSLAKE_ROOT": settings.root,
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
        # A commit per file costs less, and nobody is killed any more.
        del self._environment["LMSLAKE_FLUSH_RECORDS"]
        for number in range(self.rounds):
            self._arrives(number)
        self.run("ingest", str(self._inbox))

    def run(self, *arguments: str) -> str:
        with self._started(*arguments) as command:
            return command.finish()

    def _started(self, *arguments: str) -> Command:
        return Command(arguments, self._environment, self._log)

    @property
    def is_enough(self) -> bool:
        return self.kills["ingest"] >= self._wanted["ingest"] and self._has_killed_builds

    @property
    def _has_killed_builds(self) -> bool:
        """Enough of them, and some after they had begun to publish: most are such."""
        wanted = self._wanted["build"]
        if self.kills["build"] < wanted:
            return False
        states = Journal(self._store).states()
        begun = {row["build_id"] for row in states if row["state"] == "publishing"}
        finished = {row["build_id"] for row in states if row["state"] == "finished"}
        return len(begun - finished) >= max(1, wanted // 3)

    def one_round(self, number: int) -> None:
        """One more file arrives; what the killed commands leave, those of the next round find."""
        self._arrives(number)
        if self.kills["ingest"] < self._wanted["ingest"]:
            place, more = self._chance.choice(RAW), self._chance.randint(1, 3)
            with self._started("ingest", str(self._inbox)) as command:
                self.kills["ingest"] += command.kill_at_work(
                    self._objects(place), more, self._chance.uniform(0, 0.03)
                )
        else:
            self.run("ingest", str(self._inbox))
        if not self._has_killed_builds:
            place, more = self._chance.choice(PLACES), self._chance.randint(1, 4)
            with self._started("build") as command:
                self.kills["build"] += command.kill_at_work(
                    self._objects(place),
                    more,
                    self._chance.uniform(0, 0.4),
                    self._chance.choice(VICTIMS),
                )

    def _objects(self, place: str) -> Callable[[], int]:
        return partial(objects_below, self._store, place)


@pytest.fixture
def crashes(request: pytest.FixtureRequest, tmp_path: Path) -> Crashes:
    """Of a lake in a folder, or in a bucket of MinIO."""
    if request.param == "folder":
        settings = Settings(root=str(tmp_path / "lake"), pseudonym_key=KEY)
        return Crashes(tmp_path, settings, {}, FOLDER_KILLS)
    minio: Minio = request.getfixturevalue("minio")
    return Crashes(tmp_path, minio.settings(pseudonym_key=KEY), minio.environment(), S3_KILLS)


@pytest.mark.slow
@pytest.mark.parametrize("crashes", ["folder", "s3"], indirect=True)
def test_killed_commands__lose_nothing_and_double_nothing(
    crashes: Crashes, spark: SparkSession
) -> None:
    for number in range(crashes.rounds):
        crashes.one_round(number)
        if crashes.is_enough:
            break
    assert crashes.is_enough, crashes.kills

    crashes.everything_arrives()
    crashes.run("build")
    with open_lake(crashes.settings, "tests", spark=spark) as lake:
        outcome = audit(lake.settings)
        assert outcome.is_proven, outcome
        difference = difference_from(lake, four_days())
        assert not difference, difference
        assert build(lake) == []
