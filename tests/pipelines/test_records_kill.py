"""Law 4 for school records: kill -9 of `lmslake records build` at random instants.

LMSLAKE_TEST_KILLS kills so many builds instead of two, LMSLAKE_TEST_SEED draws another school,
another order of its files and other instants.
"""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest

from lake.pipelines.records.contents import pending_contents, records_journal
from lake.school import write_school
from lake.storage_local import LocalStore
from schemas.tables import TABLES
from schemas.tables.records_silver import RECORD_BUILDS
from tests.pipelines.killing import Command, Victim, files_below
from tests.pipelines.lakes import KEY
from tests.pipelines.records_world import (
    COMPARED,
    GOLD,
    SEED,
    TRUE_TABLES,
    asides_of,
    expected_gold,
    gold_of,
    land,
    rows_of,
    true_asides,
    true_directory,
    true_rows,
)

KILLS = int(os.environ.get("LMSLAKE_TEST_KILLS", "2"))
# A build may end before it is killed.
ROUNDS = 2 * KILLS
PLACES = (RECORD_BUILDS.path, *(TABLES[name].path for name in (*COMPARED, *GOLD)))
VICTIMS: tuple[Victim, ...] = ("all", "python", "java")


@pytest.mark.slow
def test_killed_records_builds__lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    school = write_school(tmp_path / "school", students=24, days=19, seed=SEED)
    deliveries = [delivery for delivery in school.deliveries if not delivery.fails]
    chance = random.Random(SEED)
    chance.shuffle(deliveries)
    root = tmp_path / "lake"
    root.mkdir()
    environment = {
        "LMSLAKE_ROOT": str(root),
        "LMSLAKE_PSEUDONYM_KEY": KEY,
        "LMSLAKE_DRIVER_MEMORY": "1g",
        "LMSLAKE_SPARK_MASTER": "local[2]",
    }
    command, log = ("records", "build"), tmp_path / "log.txt"
    kills = 0
    for number in range(ROUNDS):
        land(root, school, deliveries[number::ROUNDS])
        if kills < KILLS:
            with Command(command, environment, log) as building:
                kills += building.kill_at_work(
                    partial(files_below, root / chance.choice(PLACES)),
                    1,
                    chance.uniform(0, 0.4),
                    chance.choice(VICTIMS),
                )
    assert kills == KILLS
    store = LocalStore(root)
    journal = records_journal(store)
    states = journal.states()
    begun = {row["build_id"] for row in states if row["state"] == "publishing"}
    finished = {row["build_id"] for row in states if row["state"] == "finished"}
    # Most kills met a build that had begun to publish.
    assert len(begun - finished) >= KILLS // 2

    with Command(command, environment, log) as building:
        building.finish()
    for name in TRUE_TABLES:
        expected = true_rows(school, name)
        found = [{c: row[c] for c in expected[0]} for row in rows_of(store, name)]
        assert found == expected, name
    quarantined, held = true_asides(school)
    for name, aside in (
        ("silver.records_quarantine", quarantined), ("silver.records_held", held)
    ):  # fmt: skip
        assert asides_of(store, school, name) == aside, name
    assert len(rows_of(store, "restricted.student_directory")) == len(true_directory(school))
    assert gold_of(root) == expected_gold(root)
    journal.refresh()
    assert journal.unfinished() == []
    assert pending_contents(store, journal, []) == []
