"""What the tables' functions share: grouping, and whole parts to floats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Row = dict[str, Any]
T = TypeVar("T")
K = TypeVar("K")
MICRO = 1_000_000


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def seconds(us: int | None) -> float | None:
    return None if us is None else us / MICRO


def mean(total: int, count: int, parts: int) -> float | None:
    return None if count == 0 else total / count / parts
