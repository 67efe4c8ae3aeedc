"""docs/cleaning-rules.md names every rule, every flag and every field."""

from __future__ import annotations

import re

import pytest

from lake.transforms.records import ids, numbers, people, times, words
from lake.transforms.records.mappings import CLEANINGS, cleaning
from lake.transforms.records.outcome import FLAGS
from tests.conftest import PROJECT

RULES = sorted(
    name
    for module in (ids, times, numbers, words, people)
    for name, value in vars(module).items()
    if name.startswith("clean_") and value.__module__ == module.__name__
)
PAGE = (PROJECT / "docs" / "cleaning-rules.md").read_text()


@pytest.mark.parametrize("rule", RULES)
def test_page__has_every_rule_with_examples(rule: str) -> None:
    section = re.search(rf"^### `{rule}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert section[1].count("| `") >= 2


def test_page__has_every_flag() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", PAGE.split("## Flags")[1], re.MULTILINE))
    assert listed == FLAGS


@pytest.mark.parametrize("source", CLEANINGS)
def test_page__has_every_column_of_a_source(source: str) -> None:
    section = PAGE.split(f"### {source}\n")[1].split("\n#")[0]
    for field, clean in cleaning(source).rules.items():
        assert f"| `{field}` | `{clean.column}` |" in section
