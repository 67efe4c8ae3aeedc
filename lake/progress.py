"""Who is told how far long work is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """A Progress that tells nobody."""
