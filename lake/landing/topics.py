"""Rows of topics in the bronze tables: each offset once, wherever a process was killed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lake.errors import LakeError
from lake.landing.bronze import COMMIT_RETRIES, Bronze, LandedFile
from lake.landing.topic_rows import TopicBuffer, TopicPart
from lake.ledger import StaleWriterError
from schemas.derivations import arrow_schema
from schemas.tables.records import LANDED_FILES, RECORDS

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


# Key of a commit's own information under which it says which contents it adds.
COMMITTED = "lmslake.landed"


class TopicBronze(Bronze):
    """The bronze tables as topics fill them. Use it under the lease `land`.

    A commit says, as versions of Delta applications, up to which offset each partition is in the
    table: in the source's table, then in `bronze.landed_files`. What a process that was killed
    between the two did not note, the next one notes from the commit's own information.
    """

    def positions(self, parts: Collection[TopicPart]) -> dict[TopicPart, int | None]:
        """The last offset of each that bronze holds; None where it holds none."""
        found: dict[TopicPart, int | None] = {}
        for source in sorted({part.source for part in parts}):
            own = [part for part in parts if part.source == source]
            found |= self._versions(self._existing(RECORDS[source]), own)
        return found

    def has_unnoted(self, parts: Collection[TopicPart]) -> bool:
        """Whether rows of some are in bronze that `bronze.landed_files` does not know of."""
        return bool(self._unnoted(parts)[0])

    def note_missing(self, parts: Collection[TopicPart], check: Callable[[], None]) -> int:
        """Note what a killed process left; gives the number of contents.

        check: called before the commit; raises where the lease was lost. Raises LakeError where
        the log of the table says no more what was left, StaleWriterError where another process
        has noted it meanwhile.
        """
        unnoted, noted = self._unnoted(parts)
        if not unnoted:
            return 0
        known = self.landed()
        told = [
            item for name in sorted({part.source for part in unnoted}) for item in self._told(name)
        ]
        missing = {item.content_hash: item for item in told if item.content_hash not in known}
        positions = self.positions(unnoted)
        _check_is_whole(missing.values(), positions)
        check()
        self._note(list(missing.values()), positions, noted)
        return len(missing)

    def add(self, buffers: Sequence[TopicBuffer], check: Callable[[], None]) -> list[LandedFile]:
        """Commit the rows of the buffers, each source in one commit, then note them in one.

        Raises StaleWriterError where a partition is not where its buffer begins, as another
        process, or an attempt of this one, has taken it on: of that source, and of those after it,
        nothing was added. The buffers are used up in any case.
        """
        before = {buffer.part: buffer.committed for buffer in buffers}
        self._check_is_at(self._existing(LANDED_FILES), before)
        ingested_at = datetime.now(UTC)
        noted: list[LandedFile] = []
        by_source: dict[str, list[TopicBuffer]] = {}
        for buffer in buffers:
            by_source.setdefault(buffer.part.source, []).append(buffer)
        for source, own in sorted(by_source.items()):
            table = self._declared(RECORDS[source])
            self._check_is_at(table, {buffer.part: buffer.committed for buffer in own})
            made = [buffer.batch(ingested_at) for buffer in own]
            landed = [item for _, item in made]
            check()
            self._commit(table, [rows for rows, _ in made], {b.part: b.last for b in own}, landed)
            noted += landed
        check()
        self._note(noted, {buffer.part: buffer.last for buffer in buffers}, before)
        return noted

    def _note(
        self,
        landed: Sequence[LandedFile],
        positions: Mapping[TopicPart, int | None],
        before: Mapping[TopicPart, int | None],
    ) -> None:
        """Take bronze.landed_files from the positions `before` to the given ones."""
        import pyarrow as pa

        now = datetime.now(UTC)
        rows = [{**asdict(item), "landed_at": now} for item in landed]
        noted = pa.Table.from_pylist(rows, arrow_schema(LANDED_FILES)).combine_chunks()
        table = self._declared(LANDED_FILES)
        self._check_is_at(table, before)
        self._commit(table, noted.to_batches(), positions, ())

    def _commit(
        self,
        table: DeltaTable,
        batches: Sequence[pa.RecordBatch],
        positions: Mapping[TopicPart, int | None],
        landed: Sequence[LandedFile],
    ) -> None:
        import pyarrow as pa
        from deltalake import CommitProperties, Transaction

        told = [{**asdict(item), "landed_at": item.landed_at.isoformat()} for item in landed]
        properties = CommitProperties(
            custom_metadata={COMMITTED: told} if told else None,
            app_transactions=[
                Transaction(part.app_id, last)
                for part, last in positions.items()
                if last is not None
            ],
            max_commit_retries=COMMIT_RETRIES,
        )
        rows = pa.Table.from_batches(batches)
        self._write(table, rows.column_names, rows, properties)

    def _versions(
        self, table: DeltaTable | None, parts: Iterable[TopicPart]
    ) -> dict[TopicPart, int | None]:
        if table is None:
            return dict.fromkeys(parts)
        return {part: table.transaction_version(part.app_id) for part in parts}

    def _check_is_at(
        self, table: DeltaTable | None, expected: Mapping[TopicPart, int | None]
    ) -> None:
        found = self._versions(table, expected)
        if stale := [part.app_id for part, last in expected.items() if found[part] != last]:
            raise StaleWriterError(stale)

    def _unnoted(
        self, parts: Collection[TopicPart]
    ) -> tuple[list[TopicPart], dict[TopicPart, int | None]]:
        """Those that are elsewhere in bronze.landed_files than in bronze; where all are there."""
        noted = self._versions(self._existing(LANDED_FILES), parts)
        return [part for part, last in self.positions(parts).items() if last != noted[part]], noted

    def _told(self, source: str) -> Iterator[LandedFile]:
        """What the log of the source's table says of the contents of topics, newest first."""
        table = self._existing(RECORDS[source])
        for commit in table.history() if table is not None else ():
            for item in commit.get(COMMITTED, ()):
                at = datetime.fromisoformat(item["landed_at"])
                yield LandedFile(**{**item, "landed_at": at})


def _check_is_whole(
    missing: Iterable[LandedFile], positions: Mapping[TopicPart, int | None]
) -> None:
    names = [item.file_name for item in missing]
    for part, last in positions.items():
        begin, end = part.name(0, 0).removesuffix("0-0"), f"-{last}"
        if not any(name.startswith(begin) and name.endswith(end) for name in names):
            raise LakeError(
                f"{part.topic} partition {part.partition}: bronze.{part.source} holds rows up to "
                f"offset {last} that bronze.landed_files does not know of, and the log of the "
                "table no longer says which.\n"
                "  A process was killed between both, too long ago. Restore "
                "the table's older commits (_delta_log) from a backup."
            )
