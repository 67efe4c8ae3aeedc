"""The landing zone: a local folder, or a prefix of a bucket, that schools put files into."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from lake.errors import LakeError
from lake.landing.naming import FAILED, MARKER, PROCESSED, is_taken, source_of_folder
from lake.storage_local import LocalStore

if TYPE_CHECKING:
    from lake.settings import Settings

Stamp = tuple[object, ...]


class FileChanged(Exception):  # noqa: N818 - what is, not a fault of the program
    """The file is another one than a moment ago: it is left for the next look."""


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """A file that waits. folder: "" for the zone itself. stamp: differs once it is written to."""

    folder: str
    name: str
    bytes: int
    stamp: Stamp
    is_marked: bool

    @property
    def key(self) -> str:
        """Below the zone, with `/`."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True, slots=True)
class Look:
    """What lies in the zone: files to take, and folders that belong to no source."""

    files: list[ZoneFile] = field(default_factory=list)
    other_folders: list[str] = field(default_factory=list)


class Zone(Protocol):
    """Where files of records arrive. Keys are relative to it, with `/`."""

    @property
    def is_whole(self) -> bool:
        """Whether a file that is seen is complete, by the nature of the place."""

    @property
    def address(self) -> str:
        """For messages."""

    def look(self) -> Look:
        """Files directly in the zone and in the folders of sources, by name."""

    def folders(self, folder: str) -> list[str]:
        """Folders directly in a folder of the zone ("" for the zone itself), by name."""

    def files(self, folder: str) -> Iterable[ZoneFile]:
        """Files directly in a folder of the zone, by name; without those that are never taken."""

    @contextmanager
    def fetched(self, file: ZoneFile) -> Iterator[Path]:
        """The file as a local one. Raises FileNotFoundError where it is gone."""

    def check(self, file: ZoneFile) -> None:
        """Raises FileChanged where what was fetched may be another file than was looked at."""

    def move(self, file: ZoneFile, target: str) -> None:
        """Move the file, and remove its marker. Raises FileChanged where it is another one now."""

    def put(self, key: str, body: bytes) -> None: ...

    def exists(self, key: str) -> bool: ...


def open_zone(address: str, settings: Settings, *, is_made: bool) -> Zone:
    """The zone at a local path or s3a:// address; a local folder is made where `is_made`.

    Raises LakeError where there is none.
    """
    if address.startswith("s3a://"):
        from lake.landing.zone_s3 import S3Zone
        from lake.storage_s3 import S3Store

        return S3Zone(S3Store.from_settings(settings.model_copy(update={"root": address})))
    folder = Path(address).expanduser().absolute()
    try:
        if is_made:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeError(f"The landing zone cannot be made: {error}") from None
    if not folder.is_dir():
        raise LakeError(
            f"There is no landing zone {folder}.\n  Make the folder, or name another: --zone PATH."
        )
    return LocalZone(folder)


def existing_zone(settings: Settings) -> Zone | None:
    """The zone of the settings; None where its folder is not there."""
    address = settings.landing_zone
    if not address.startswith("s3a://") and not Path(address).expanduser().is_dir():
        return None
    return open_zone(address, settings, is_made=False)


def free_key(zone: Zone, folder: str, name: str, content_hash: str) -> str:
    """A key for the file in `folder` that hides no other content."""
    key = f"{folder}/{name}"
    return f"{folder}/{told_apart(name, content_hash)}" if zone.exists(key) else key


def told_apart(name: str, content_hash: str) -> str:
    """The name of a file beside another one of that name."""
    path = PurePosixPath(name)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    return f"{name.removesuffix(suffix)}-{content_hash[:8]}{suffix}"


def is_for_files(folder: str) -> bool:
    """Whether files may arrive in a folder of that name."""
    return not folder.startswith(".") and folder not in (PROCESSED, FAILED)


class LocalZone:
    """Files below a folder."""

    is_whole = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def address(self) -> str:
        return str(self.folder)

    def look(self) -> Look:
        folders = [name for name in self.folders("") if is_for_files(name)]
        look = Look(other_folders=[name for name in folders if not source_of_folder(name)])
        for folder in ("", *(name for name in folders if source_of_folder(name))):
            look.files.extend(self.files(folder))
        return look

    def folders(self, folder: str) -> list[str]:
        with os.scandir(self.folder / folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())

    def files(self, folder: str) -> Iterator[ZoneFile]:
        with os.scandir(self.folder / folder) as entries:
            names = {entry.name for entry in entries}
        for name in sorted(names):
            path = self.folder / folder / name
            if not is_taken(name) or not path.is_file():
                continue
            try:
                stamp = _stamp(path)
            except FileNotFoundError:  # taken away just now
                continue
            yield ZoneFile(folder, name, int(stamp[0]), stamp, f"{name}{MARKER}" in names)

    @contextmanager
    def fetched(self, file: ZoneFile) -> Iterator[Path]:
        yield self.folder / file.key

    def check(self, file: ZoneFile) -> None:
        if _stamp(self.folder / file.key) != file.stamp:
            raise FileChanged

    def move(self, file: ZoneFile, target: str) -> None:
        source, goal = self.folder / file.key, self.folder / target
        goal.parent.mkdir(parents=True, exist_ok=True)
        self.check(file)
        Path(f"{source}{MARKER}").unlink(missing_ok=True)
        source.replace(goal)
        if _stamp(goal) != file.stamp and not source.exists():
            # Another file got its name in that moment: nobody has read that one.
            goal.replace(source)
            raise FileChanged

    def put(self, key: str, body: bytes) -> None:
        LocalStore(self.folder).put(key, body)

    def exists(self, key: str) -> bool:
        return (self.folder / key).exists()


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def names_of(files: Iterable[ZoneFile]) -> str:
    """For messages: the first names, and how many more there are."""
    names = [file.key for file in files]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
