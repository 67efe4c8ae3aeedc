"""What is written in a lock: who holds it, its number, and what those who come after must know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from lake.errors import LakeError
from lake.storage import lease_holder

State = Literal["held", "released", "abandoned"]


class LeaseRecord:
    """The record of one holder, made from what the lock held when it was taken.

    number: above those of all holders before; of a lock whose record is gone, too, because it is
    no less than the seconds since 1970.
    is_owed: a holder before has not given the lock back. It may be stopped just before a commit,
    and go on: until its successor is recorded in the tables (`lake/fencing.py`).
    creations: tables that do not exist, and that such a holder, or this one, may be creating.
    """

    def __init__(self, found: bytes, now: float) -> None:
        """found: what the lock held, empty for a new one. now: seconds since 1970."""
        before = _fields(found)
        self._holder = lease_holder()
        self.number = max(int(before.get("number", 0)) + 1, int(now))
        self.is_owed = bool(found) and before.get("state") != "released"
        self.creations: set[str] = set(before.get("creations", ())) if self.is_owed else set()

    def settle(self) -> None:
        """No holder before can commit any more."""
        self.is_owed = False
        self.creations.clear()

    def body(self, state: State = "held", **more: str) -> bytes:
        fields = {
            **self._holder,
            "number": self.number,
            "state": state,
            "creations": sorted(self.creations),
        }
        return json.dumps({**fields, **more}).encode()

    def last_state(self, *, is_clean: bool) -> State:
        """What to leave behind. is_clean: nothing that the holder began can still commit."""
        return "released" if is_clean and not self.is_owed else "abandoned"


class Releasable(Protocol):
    def release(self, *, is_clean: bool) -> None: ...


@contextmanager
def released(held: Releasable) -> Iterator[None]:
    """Release the lock at the end.

    Where it comes from outside (an interrupt, a JVM that is gone), a commit may be on its way yet;
    where it is an error of ours, or none, nothing is.
    """
    is_clean = False
    try:
        yield
        is_clean = True
    except LakeError:
        is_clean = True
        raise
    finally:
        held.release(is_clean=is_clean)


def is_given_back(found: bytes) -> bool:
    """Whether the holder that wrote this holds the lock no more."""
    return _fields(found).get("state") in ("released", "abandoned")


def _fields(found: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(found)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
