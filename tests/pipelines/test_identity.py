"""A lake refuses settings under which its pseudonyms or sessions would not compare."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lake.errors import LakeError
from lake.pipelines.identity import check_identity
from lake.settings import Settings
from lake.storage_local import LocalStore
from tests.conftest import TEST_KEY

if TYPE_CHECKING:
    from lake.pipelines.opened import Lake


def lake_with(root: Path, **changed: Any) -> Lake:
    settings = Settings(**{"root": str(root), "pseudonym_key": TEST_KEY, **changed})
    parts = SimpleNamespace(store=LocalStore(root), settings=settings, key=settings.key())
    return cast("Lake", parts)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("pseudonym_key", "another key, as secret as the first"),
        ("pseudonym_key_version", 2),
        ("tenant", "north"),
        ("session_gap_minutes", 20),
    ],
)
def test_check_identity__refuses_another(name: str, other: object, tmp_path: Path) -> None:
    check_identity(lake_with(tmp_path))
    check_identity(lake_with(tmp_path))
    with pytest.raises(LakeError, match=f"built with another LMSLAKE_{name.upper()}:") as refused:
        check_identity(lake_with(tmp_path, **{name: other}))
    assert TEST_KEY not in str(refused.value)
    check_identity(lake_with(tmp_path))
