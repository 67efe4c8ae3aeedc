"""Files of records: found, hashed and read record by record in bounded memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lake.decompression import CorruptCompressionError, plain_chunks
from lake.errors import LakeError
from lake.splitting import Piece, choose_splitter

READ_CHUNK = 1 << 20
SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
STDIN = "-"


class SourceRecord(NamedTuple):
    """One record as it was sent; `error` is set where it cannot even be looked at.

    `large` holds the bytes of a record that is too large for memory (`raw` is its beginning
    then), or what follows the place where a compressed file is damaged.
    """

    offset: int
    raw: bytes
    error: tuple[str, str] | None = None
    large: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of records: its name for people, its content's hash as identity."""

    path: Path
    name: str
    sha256: str
    size: int
    modified_ns: int

    def records(self, max_record_bytes: int) -> Iterator[SourceRecord]:
        """Every record of the file in order; offsets count records, blank lines do not count.

        Reads the bytes that were hashed and no more: a file that grows meanwhile is another
        source. Raises LakeError where they were changed in place.
        """
        offset = 0
        with self.path.open("rb") as file:
            chunks = plain_chunks(_limited(file, self.size))
            damage: list[CorruptCompressionError] = []
            split = choose_splitter(self.name, _until_damage(chunks, damage), max_record_bytes)
            for piece in split:
                if damage and piece.is_unfinished and piece.large is None:
                    yield _damaged(offset, damage.pop(), piece.raw)
                else:
                    yield _record(offset, piece, max_record_bytes)
                offset += 1
            if damage:
                yield _damaged(offset, damage.pop(), b"")
        status = self.path.stat()
        if status.st_size < self.size or (
            status.st_size == self.size and status.st_mtime_ns != self.modified_ns
        ):
            raise LakeError(
                f"{self.name} was changed while it was read.\n"
                "  Ingest it again when nothing writes to it; what was taken is kept."
            )


def find_files(paths: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """(files to read, files that were passed over because of their name), each once.

    Directories are searched at every depth in the order of names; hidden files and folders are
    left out. A file that is named itself is taken whatever it is called. Raises LakeError where
    a path does not exist.
    """
    taken: dict[Path, None] = {}
    passed_over: list[Path] = []
    for text in paths:
        path = Path(text)
        if text == STDIN:
            taken[path] = None
        elif path.is_dir():
            for file in _files_below(path):
                if file.name.lower().endswith(SUFFIXES):
                    taken[file] = None
                else:
                    passed_over.append(file)
        elif path.exists():
            taken[path] = None
        else:
            raise LakeError(f"There is no file or folder {text}.")
    return list(taken), passed_over


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if not name.startswith(".") and path.is_file():
                yield path


@contextmanager
def opened_source(path: Path) -> Iterator[SourceFile]:
    """The file with its hash; standard input (`-`) is copied to a temporary file first.

    Raises LakeError where it cannot be read.
    """
    try:
        if str(path) == STDIN or not path.is_file():
            with tempfile.NamedTemporaryFile(prefix="lmslake-") as spool:
                yield _spooled(path, spool)  # type: ignore[arg-type]
        else:
            yield _hashed(path)
    except OSError as error:
        if error.filename is None or Path(str(error.filename)) != path:
            raise
        raise LakeError(f"{path} cannot be read: {error.strerror}") from None


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of what is left to read of a file, hex."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def _hashed(path: Path) -> SourceFile:
    with path.open("rb") as file:
        modified_ns = os.fstat(file.fileno()).st_mtime_ns
        # A file may grow: its size is what was hashed of it.
        return SourceFile(path, str(path), sha256_of(file), file.tell(), modified_ns)


def _spooled(path: Path, spool: BinaryIO) -> SourceFile:
    is_stdin = str(path) == STDIN
    source = sys.stdin.buffer if is_stdin else path.open("rb")  # a named pipe
    shutil.copyfileobj(source, spool, READ_CHUNK)
    spool.flush()
    copy = Path(spool.name)
    name = "standard input" if is_stdin else str(path)
    return replace(_hashed(copy), name=name)


def _limited(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (chunk := file.read(min(READ_CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _until_damage(
    chunks: Iterator[bytes], damage: list[CorruptCompressionError]
) -> Iterator[bytes]:
    """The chunks up to the first damage, which is noted: the records before it are sound."""
    try:
        yield from chunks
    except CorruptCompressionError as error:
        damage.append(error)


def _record(offset: int, piece: Piece, max_record_bytes: int) -> SourceRecord:
    if piece.large is None:
        return SourceRecord(offset, piece.raw)
    detail = f"the record has {piece.size:,} bytes, at most {max_record_bytes:,} are taken"
    return SourceRecord(offset, piece.raw, ("too_large", detail), piece.large)


def _damaged(offset: int, error: CorruptCompressionError, raw: bytes) -> SourceRecord:
    return SourceRecord(offset, raw, ("corrupt_compression", str(error)), error.rest)
