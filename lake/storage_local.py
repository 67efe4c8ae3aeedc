"""The lake's objects as files below a folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from lake.errors import LakeError
from lake.storage import Lease, StoredObject, missing_object

COPY_CHUNK = 1 << 20


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
