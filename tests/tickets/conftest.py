"""Fixtures of the labelling of tickets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lake.school import School, write_school
from tests.tickets.server import Server, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    """A model's server of this test alone."""
    with running_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GROQ_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return write_school(tmp_path_factory.mktemp("school"), students=30, days=30)
