"""Which files a Delta table names, deletion vectors included: its log, read to the end.

delta-rs gives neither the files of deletion vectors nor removed files, and its own full vacuum
deletes vectors that are in use. What is read here is held against what delta-rs reads.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import UUID

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lake.storage import ObjectStore
    from schemas.table import Table

COMMIT = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(?:\.\d{10}\.(\d{10}))?\.parquet")
ACTIONS = ("add", "remove")
Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
FROM_Z85 = bytes.maketrans(Z85, B85)
UUID_CHARACTERS = 20

Action = dict[str, Any]


class UnreadableLogError(Exception):
    """The log holds something that is not understood here: the table must be left alone."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of the table's newest version. rows: as it was written, deleted_rows of them hidden.

    partition: None where its rows have no value of the partition's column. vector: the file of its
    deletion vector, if there is one outside of the log.
    """

    path: str
    bytes: int
    partition: str | None
    rows: int
    deleted_rows: int
    vector: str | None


@dataclass(frozen=True)
class TableState:
    """Files of the newest version, and files that were removed, with the time of removal.

    commits: how many there are since the newest checkpoint.
    """

    version: int
    commits: int
    live: tuple[TableFile, ...]
    removed: dict[str, datetime] = field(repr=False)

    @property
    def bytes(self) -> int:
        """Size of the newest version."""
        return sum(item.bytes for item in self.live)

    def named(self, since: datetime) -> set[str]:
        """Files that are in use, or were in a version that was the newest one after `since`."""
        found = {path for path, at in self.removed.items() if at >= since}
        for item in self.live:
            found.add(item.path)
            if item.vector:
                found.add(item.vector)
        return found


def read_state(store: ObjectStore, table: Table) -> TableState:
    """The state of a table that exists. Raises UnreadableLogError."""
    live: dict[tuple[str, str], Action] = {}
    removed: dict[str, datetime] = {}
    commits, checkpoint = _log_files(store, table)
    for body in checkpoint:
        _apply(body, live, removed)
    for _, key in commits:
        _apply(_commit_actions(store.get(key)), live, removed)
    if not commits and not checkpoint:
        raise UnreadableLogError("the log is empty")
    version = commits[-1][0] if commits else checkpoint[0].version
    files = tuple(_table_file(add) for add in live.values())
    return TableState(version, len(commits), files, removed)


def check_state(state: TableState, table: DeltaTable) -> None:
    """Raises UnreadableLogError where delta-rs sees other files at the same version."""
    table.load_as_version(state.version)
    paths = {unquote(path) for path in table.get_add_actions()["path"].to_pylist()}
    if {item.path for item in state.live} != paths:
        raise UnreadableLogError("the log was read in two ways that differ")


@dataclass(frozen=True)
class _Checkpoint:
    version: int
    actions: tuple[tuple[str, Action], ...]

    def __iter__(self) -> Iterator[tuple[str, Action]]:
        return iter(self.actions)


def _log_files(store: ObjectStore, table: Table) -> tuple[list[tuple[int, str]], list[_Checkpoint]]:
    """Commits after the newest whole checkpoint, in order, and the parts of that checkpoint."""
    commits: list[tuple[int, str]] = []
    parts: dict[int, list[str]] = {}
    wanted: dict[int, int] = {}
    for key in store.list(f"{table.path}/_delta_log"):
        name = key.rpartition("/")[2]
        if match := COMMIT.fullmatch(name):
            commits.append((int(match[1]), key))
        elif match := CHECKPOINT.fullmatch(name):
            version = int(match[1])
            parts.setdefault(version, []).append(key)
            wanted[version] = int(match[2] or 1)
        elif ".checkpoint." in name and name.endswith((".parquet", ".json")):
            raise UnreadableLogError(f"checkpoint {name} is of a newer kind")
    whole = [version for version, keys in parts.items() if len(keys) == wanted[version]]
    newest = max(whole, default=-1)
    tail = sorted(item for item in commits if item[0] > newest)
    if [version for version, _ in tail] != list(range(newest + 1, newest + 1 + len(tail))):
        raise UnreadableLogError("a commit is missing")
    actions = [_checkpoint(newest, store.get(key)) for key in sorted(parts.get(newest, ()))]
    return tail, actions


def _checkpoint(version: int, body: bytes) -> _Checkpoint:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(body))
    if "sidecar" in file.schema_arrow.names:
        sidecars = file.read(columns=["sidecar"], use_threads=False)["sidecar"]
        if sidecars.null_count < len(sidecars):
            raise UnreadableLogError("the checkpoint is spread over sidecar files")
    rows = file.read(columns=list(ACTIONS), use_threads=False).to_pylist()
    return _Checkpoint(
        version, tuple((kind, row[kind]) for row in rows for kind in ACTIONS if row.get(kind))
    )


def _commit_actions(body: bytes) -> Iterator[tuple[str, Action]]:
    """Actions of one commit: what it removes before what it adds."""
    found = [json.loads(line) for line in body.splitlines() if line.strip()]
    for kind in ("remove", "add"):
        yield from ((kind, action[kind]) for action in found if kind in action)


def _apply(
    actions: Iterator[tuple[str, Action]] | _Checkpoint,
    live: dict[tuple[str, str], Action],
    removed: dict[str, datetime],
) -> None:
    for kind, action in actions:
        path, vector = _path(action), _vector(action)
        key = (path, _vector_id(action))
        if kind == "add":
            live[key] = action
            continue
        live.pop(key, None)
        at = datetime.fromtimestamp((action.get("deletionTimestamp") or 0) / 1000, UTC)
        for name in filter(None, (path, vector)):
            removed[name] = max(at, removed.get(name, at))


def _table_file(add: Action) -> TableFile:
    partition = add.get("partitionValues") or {}
    values = dict(partition)  # a map is a list of pairs in Parquet
    stats = json.loads(add.get("stats") or "{}")
    hidden = (add.get("deletionVector") or {}).get("cardinality") or 0
    return TableFile(
        _path(add),
        add["size"],
        "/".join(value for _, value in sorted(values.items())) if all(values.values()) else None,
        stats.get("numRecords") or 0,
        hidden,
        _vector(add),
    )


def _path(action: Action) -> str:
    path = unquote(action["path"])
    if "://" in path or path.startswith("/"):
        raise UnreadableLogError(f"a file lies outside of the table: {path}")
    return path


def _vector_id(action: Action) -> str:
    vector = action.get("deletionVector")
    if not vector:
        return ""
    offset = vector.get("offset")
    return f"{vector['storageType']}{vector['pathOrInlineDv']}@{offset}"


def _vector(action: Action) -> str | None:
    """The file of an action's deletion vector, below the table's folder."""
    vector = action.get("deletionVector")
    if not vector or vector["storageType"] == "i":
        return None
    if vector["storageType"] != "u":
        raise UnreadableLogError("a deletion vector lies outside of the table")
    text = vector["pathOrInlineDv"]
    folder, name = text[:-UUID_CHARACTERS], text[-UUID_CHARACTERS:]
    uuid = UUID(bytes=base64.b85decode(name.encode().translate(FROM_Z85)))
    return f"{folder}/deletion_vector_{uuid}.bin" if folder else f"deletion_vector_{uuid}.bin"
