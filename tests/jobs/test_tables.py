"""`lmslake tables`: what there is, and what the columns of one mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from jobs.tables import command
from lake.errors import LakeError
from lake.settings import Settings
from schemas.tables import TABLES
from tests.lake.test_query import DAILY, a_day, write_rows


def printed(*arguments: str) -> list[list[str]]:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_tables__lists_every_declared_table(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings()
    write_rows(made, DAILY, [a_day(date(2025, 9, 1))])
    before = datetime.now(UTC).replace(microsecond=0)
    write_rows(made, DAILY, [a_day(date(2025, 9, 2))])
    monkeypatch.setenv("LMSLAKE_ROOT", made.root)
    header, *lines = printed()
    rows = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert list(rows) == list(TABLES)
    assert rows[DAILY]["rows"] == "2"
    assert rows[DAILY]["grain"] == TABLES[DAILY].grain
    changed = datetime.fromisoformat(rows[DAILY]["last change"])
    assert before <= changed <= datetime.now(UTC)
    assert rows["silver.events"]["last change"] == "not written yet"


def test_tables__explains_the_columns_of_one() -> None:
    _, _, _, header, *lines = printed(DAILY)
    assert header == ["column", "type", "unit", "meaning", "null where"]
    assert [line[0] for line in lines] == list(TABLES[DAILY].column_names)
    assert ["total_time_spent_seconds", "double", "seconds"] in [line[:3] for line in lines]


def test_tables__suggests_a_name() -> None:
    with pytest.raises(LakeError, match=r"gold\.chapter_engagement"):
        printed("chapter_engagment")
