"""Where the lake lies: a local folder or an S3 bucket behind one small interface."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lake.errors import LakeError
from lake.settings import Settings

if TYPE_CHECKING:
    from lake.fencing import Fence
    from lake.lease_record import LeaseRecord


class LeaseHeld(LakeError):  # noqa: N818 - what is, not a fault of the program
    """Another process holds the lock."""


class StoreAwayError(LakeError):
    """The store cannot be reached; it may be later."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that lies in the store: when it was written last (UTC), and its size."""

    key: str
    bytes: int
    modified: datetime


class Lease(Protocol):
    """A held lease: a lock that others take over where, on S3, its holder is not heard of."""

    @property
    def record(self) -> LeaseRecord: ...

    @property
    def fence(self) -> Fence:
        """What every commit under the lease goes through: it is refused to who lost the lease."""

    def check(self) -> None:
        """Raises LeaseHeld where the lease is known to be lost, before work is done in vain."""


class ObjectStore(Protocol):
    """Immutable objects below one root. Keys are relative, with `/`."""

    def put(self, key: str, body: bytes) -> None:
        """Write the whole object atomically and durably; an existing one is replaced."""

    def put_file(self, key: str, body: BinaryIO) -> None:
        """As `put`, read from the file's position to its end in bounded memory."""

    def get(self, key: str) -> bytes:
        """The whole object. Raises LakeError where it does not exist."""

    def open(self, key: str) -> BinaryIO:
        """The object as a stream. Raises LakeError where it does not exist."""

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """Bytes. Raises LakeError where it does not exist."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the folder `prefix` in order; names that begin with `.` are left out."""

    def list_with_times(self, prefix: str) -> Iterator[StoredObject]:
        """Everything below the folder `prefix`, also what a write that never ended has left.

        In any order; in bounded memory.
        """

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens where there is none."""

    def delete_older(self, key: str, before: datetime) -> bool:
        """Remove the object unless it was written since `before`; gives whether it did."""

    def uri(self, key: str) -> str:
        """Address for Spark: a path, or s3a://…"""

    def delta_uri(self, key: str) -> str:
        """Address for delta-rs and DuckDB: a path, or s3://…"""

    @property
    def storage_options(self) -> dict[str, str]:
        """Options of delta-rs; empty for a local folder."""

    def lease(self, name: str) -> AbstractContextManager[Lease]:
        """Hold the lock `name` exclusively across processes. Raises LeaseHeld where it is held."""


def open_store(settings: Settings) -> ObjectStore:
    """The store of the configured root; a local root is made where it does not exist.

    Raises StoreAwayError where trying again may help, LakeError where it does not.
    """
    if settings.is_s3:
        from lake.storage_s3 import S3Store

        return S3Store.from_settings(settings)
    from lake.storage_local import LocalStore

    return LocalStore(Path(settings.root))


def existing_store(settings: Settings) -> ObjectStore:
    """The store of a lake that is there: on S3, of a prefix with anything below it.

    For who reads: of a name that was mistyped no lake is made, and nothing is said about its
    contents. Raises LakeError where there is none, and as `open_store`.
    """
    place = "bucket and prefix" if settings.is_s3 else "folder"
    missing = LakeError(
        f"There is no lake at {settings.root}.\n"
        f"  Set LMSLAKE_ROOT to the lake's {place}, or start one: lmslake ingest FILE…,\n"
        "  or, with school records, lmslake land"
    )
    if settings.is_s3:
        from lake.storage_s3 import S3Store

        store = S3Store.from_settings(settings)
        if store.is_empty():
            raise missing
        return store
    if not Path(settings.root).expanduser().is_dir():
        raise missing
    return open_store(settings)


def lease_holder() -> dict[str, str | int]:
    """Who holds a lease, for the message that others see."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def lease_held(name: str, body: bytes) -> LeaseHeld:
    """The error for a lease that someone else holds; `body` is what the holder wrote."""
    try:
        holder = json.loads(body)
        who = f"host {holder['host']}, pid {holder['pid']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "holder not known"
    return LeaseHeld(
        f"Another process holds the lock '{name}' ({who}).\n"
        "  Wait until it has ended, then run the command again."
    )


def lease_lost(name: str, why: str) -> LeaseHeld:
    """The error for a lease that was lost while it was held."""
    return LeaseHeld(
        f"The lock '{name}' was lost while the command ran: {why}\n"
        "  Nothing was published after that. Run the command again."
    )


def missing_object(uri: str) -> LakeError:
    return LakeError(f"Object is missing: {uri}\n  `lmslake audit` shows what else is missing.")
