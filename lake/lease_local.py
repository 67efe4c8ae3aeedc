"""A lock that is a file of a local lake, held by the operating system."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lake.fencing import LockFence
from lake.lease_record import LeaseRecord, State, released
from lake.storage import lease_held


class LocalLease:
    """A file under flock. It is never removed: then two processes could lock two files.

    The lock is lost with the process only, and a stopped process keeps it. But Spark's JVM may
    outlive the process that held the lock by some moments, and by a commit.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.record = LeaseRecord(file.read(), time.time())
        self.fence = LockFence(name, self.record.number, self._announce)
        self._write("held")

    def check(self) -> None:
        return None

    def release(self, *, is_clean: bool) -> None:
        self._write(self.record.last_state(is_clean=is_clean))

    def _announce(self, table: str) -> None:
        self.record.creations.add(table)
        self._write("held")

    def _write(self, state: State) -> None:
        # At no moment is it empty, as a new one is.
        self._file.seek(0)
        self._file.write(self.record.body(state))
        self._file.truncate()
        self._file.flush()


@contextmanager
def local_lease(path: Path, name: str) -> Iterator[LocalLease]:
    """Hold the lock that is the file `path`. Raises LeaseHeld where another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise lease_held(name, file.read()) from None
        held = LocalLease(file, name)
        with released(held):
            yield held
