"""The generated pages: complete, safe as Markdown, and current in the tree."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from jobs.docs import command, pages, settings_page, stale_pages
from lake.errors import LakeError
from lake.settings import Settings
from schemas.dictionary import dictionary_page
from schemas.expectations import named_checks
from schemas.tables import TABLES

PROJECT = Path(__file__).parents[2]


def test_pages__are_current_in_the_tree() -> None:
    assert stale_pages(PROJECT) == [], "run `lmslake docs`"


def test_dictionary_page__names_every_column_and_check() -> None:
    for table in TABLES.values():
        page = dictionary_page([table])
        for column in table.columns:
            assert f"| `{column.name}` | `{column.type}` |" in page
        for name in named_checks(table):
            assert f"| `{name}` |" in page


def test_dictionary_page__keeps_its_tables_rectangular() -> None:
    widths: list[int] = []
    for line in dictionary_page(TABLES.values()).splitlines():
        if not line.startswith("|"):
            widths = []
            continue
        widths.append(line.replace("\\|", "").count("|"))
        assert widths[-1] == widths[0], line


def test_settings_page__names_every_variable_and_shows_no_secret_or_path() -> None:
    page = settings_page()
    for name in Settings.model_fields:
        assert f"`LMSLAKE_{name.upper()}`" in page
    assert str(Path.home()) not in page
    assert str(PROJECT) not in page
    assert page.count("none (secret)") == 5


def test_command__check_names_the_page_that_is_not_current(tmp_path: Path) -> None:
    written = CliRunner().invoke(command, ["--project", str(tmp_path)])
    assert written.exit_code == 0
    assert {name for name in pages() if (tmp_path / name).is_file()} == set(pages())
    current = CliRunner().invoke(command, ["--check", "--project", str(tmp_path)])
    assert current.exit_code == 0

    (tmp_path / "docs/dictionary.md").write_text("old")
    stale = CliRunner().invoke(command, ["--check", "--project", str(tmp_path)])
    assert stale.exit_code == 1
    assert isinstance(stale.exception, LakeError)
    assert "docs/dictionary.md is not current" in str(stale.exception)
    assert (tmp_path / "docs/dictionary.md").read_text() == "old"
