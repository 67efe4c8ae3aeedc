"""`lmslake held`, and what `lmslake build` says of held objects. Needs no Spark session."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import build, held
from lake.pipelines.journal import Journal, Touched
from lake.storage_local import LocalStore

TOUCHED = Touched(frozenset({date(2024, 2, 29)}))


@pytest.fixture
def shell(lake_root: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("LMSLAKE_ROOT", str(lake_root))
    monkeypatch.setenv("LMSLAKE_PSEUDONYM_KEY", "a key of sixteen bytes and more")
    return CliRunner()


def test_held__nothing_is_held(shell: CliRunner) -> None:
    assert shell.invoke(held.command, ["list"]).output == "Nothing is held.\n"
    assert shell.invoke(held.command, ["retry"]).output == "Nothing is held.\n"
    said = shell.invoke(build.command, []).output
    assert said == "Nothing to build: every raw object is in the tables already.\n"


def test_held__says_which_build_why_and_what_to_do(shell: CliRunner, lake_root: Path) -> None:
    journal = Journal(LocalStore(lake_root))
    journal.record("b1", "held", TOUCHED, ["p1", "p2"], "The gate stopped gold.x:\n  too few rows")
    said = shell.invoke(held.command, ["list"])
    assert said.exit_code == 0
    first, *others = said.output.splitlines()
    assert first.startswith("b1  since ")
    assert others == [
        "  2 raw objects; days: 2024-02-29",
        "  | The gate stopped gold.x:",
        "  |   too few rows",
        "After a fix: lmslake held retry",
    ]
    # stopped before anybody knew what it would touch
    path = "events/raw/quiz/date=2024-02-{}/0-0.jsonl.gz"
    journal.record("b2", "held", Touched(), [path.format(28), path.format(27)], "damaged")
    said = shell.invoke(held.command, ["list"])
    assert "2 raw objects; days: 2024-02-27, 2024-02-28\n" in said.output
    journal.record("b2", "repaired", Touched())
    said = shell.invoke(build.command, [])
    assert said.output == "2 raw objects are held and not in the tables: lmslake held list\n"
