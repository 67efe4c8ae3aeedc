"""Where the lake lies: a local folder or an S3 bucket behind one small interface."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lake.errors import LakeError
from lake.settings import Settings

if TYPE_CHECKING:
    from lake.fencing import Fence
    from lake.lease_record import LeaseRecord

COPY_CHUNK = 1 << 20


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
    return LocalStore(Path(settings.root))


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


class LocalStore:
    """Objects are files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LakeError(
                f"The lake's root cannot be made: {error}\n  Set LMSLAKE_ROOT to a folder."
            ) from None

    def put(self, key: str, body: bytes) -> None:
        with self._replacing(key) as target:
            target.write(body)

    def put_file(self, key: str, body: BinaryIO) -> None:
        with self._replacing(key) as target:
            while chunk := body.read(COPY_CHUNK):
                target.write(chunk)

    @contextmanager
    def _replacing(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        made = _make_folders(path.parent)
        handle, name = tempfile.mkstemp(prefix=".put-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as target:
                yield target
                target.flush()
                os.fchmod(target.fileno(), 0o644)
                os.fsync(target.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        # The rename, and each new folder's name in its parent, are durable only after a sync.
        for folder in (path.parent, *(new.parent for new in made)):
            _sync_folder(folder)

    def get(self, key: str) -> bytes:
        with self.open(key) as source:
            return source.read()

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except FileNotFoundError:
            raise missing_object(self.uri(key)) from None

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size(self, key: str) -> int:
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            raise missing_object(self.uri(key)) from None

    def list(self, prefix: str) -> Iterator[str]:
        for folder, folders, names in os.walk(self._path(prefix) if prefix else self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    yield (Path(folder) / name).relative_to(self.root).as_posix()

    def list_with_times(self, prefix: str) -> Iterator[StoredObject]:
        for folder, _, names in os.walk(self._path(prefix)):
            for name in names:
                path = Path(folder) / name
                try:
                    found = path.stat()
                except FileNotFoundError:  # removed, or renamed to its final name, just now
                    continue
                key = path.relative_to(self.root).as_posix()
                yield StoredObject(key, found.st_size, _utc(found.st_mtime))

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def delete_older(self, key: str, before: datetime) -> bool:
        path = self._path(key)
        try:
            if _utc(path.stat().st_mtime) >= before:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def uri(self, key: str) -> str:
        return str(self._path(key) if key else self.root)

    def delta_uri(self, key: str) -> str:
        return self.uri(key)

    @property
    def storage_options(self) -> dict[str, str]:
        return {}

    def lease(self, name: str) -> AbstractContextManager[Lease]:
        from lake.lease_local import local_lease

        return local_lease(self._path(f"_locks/{name}"), name)

    def _path(self, key: str) -> Path:
        path = self.root / key
        if not key or ".." in Path(key).parts or Path(key).is_absolute():
            raise ValueError(f"not a key of the store: {key!r}")
        return path


def missing_object(uri: str) -> LakeError:
    return LakeError(f"Object is missing: {uri}\n  `lmslake audit` shows what else is missing.")


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _make_folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
    return missing


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
