"""Law 1 from the files on: what was put away is noted, and bronze holds what it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from lake.audit_rows import LANDED, Noted, RowsAgain
from lake.landing.landing import hash_of
from lake.landing.naming import FAILED, PROCESSED, REASON, readable
from lake.landing.zone import told_apart
from schemas.records import SOURCES

if TYPE_CHECKING:
    from lake.landing.zone import Zone, ZoneFile

# So many files are named of those that nothing is known of, and of those without a reason.
NAMED_FILES = 10

Known = Callable[[], Container[str]]
LOST_NOTE = "it lost its note of the file"


class Unnoted(NamedTuple):
    """Rows of one content in bronze which `bronze.landed_files` does not know of."""

    content_hash: str
    source: str
    file_name: str
    rows: int

    @property
    def told(self) -> str:
        return (
            f"{self.rows:,} rows of it are in {SOURCES[self.source].table}, and {LANDED} does not "
            "know the file"
        )


class Files:
    """What the files of a zone say against `bronze.landed_files` and bronze.

    One file is read at a time. Files that are gone when they are to be read are passed over.
    """

    def __init__(self, zone: Zone, rows: RowsAgain, noted: Mapping[str, Noted]) -> None:
        """noted: content hash to its note; read before this looks at the zone."""
        self._zone = zone
        self._rows = rows
        self.noted = noted
        # Content hashes of files that were compared; of others, the first file of each.
        self.compared: set[str] = set()
        self.strays: dict[str, ZoneFile] = {}
        # Source to faults; "" for those of no source.
        self.faults: defaultdict[str, list[str]] = defaultdict(list)
        self.notes: list[str] = []

    def check(self, unnoted: Iterable[Unnoted], known: Known) -> None:
        """Find all that differs.

        unnoted: rows of bronze that are not noted. known: gives what is noted by now.
        """
        self._compare()
        by_now = known() if self.strays else {}
        self.strays = {h: file for h, file in self.strays.items() if h not in by_now}
        self._tell_strays({rows.content_hash: rows for rows in unnoted})
        self._check_failed()

    def _compare(self) -> None:
        """Compare what was put away, then what was noted and still waits."""
        for file in self._put_away():
            content_hash = self._compared(file)
            if content_hash is not None and content_hash not in self.noted:
                self.strays.setdefault(content_hash, file)
        # Others are read by the landing; of these the size tells all but a few.
        sizes = {n.bytes for n in self.noted.values() if n.content_hash not in self.compared}
        for file in self._zone.look().files:
            if file.bytes not in sizes:
                continue
            before = len(self.compared)
            self._compared(file)
            if len(self.compared) > before:
                self.notes.append(
                    f"{readable(file.key)}: its rows are landed, and it was not moved: the landing "
                    f"was ended, or is at work. `lmslake land` moves it to {PROCESSED}/"
                )

    def _tell_strays(self, unnoted: Mapping[str, Unnoted]) -> None:
        """Tell of files whose content is not noted."""
        without_file = self._without_file() if self.strays else {}
        for content_hash, file in [*self.strays.items()][:NAMED_FILES]:
            if rows := unnoted.get(content_hash):
                self.faults[rows.source].append(f"{readable(file.key)}: {rows.told}: {LOST_NOTE}")
            else:
                self._tell_stray(file, without_file.get(readable(file.name)))
        self._tell_more(len(self.strays), f"whose content is not in {LANDED}")

    def _check_failed(self) -> None:
        """Each file that failed has its reason beside it."""
        if FAILED not in self._zone.folders(""):
            return
        silent = [file.key for file in self._zone.files(FAILED) if self._has_no_reason(file)]
        for key in silent[:NAMED_FILES]:
            self.faults[""].append(
                f"{readable(key)}: no {REASON} lies beside it. Move it into the zone again: "
                "`lmslake land` takes it, or says why not"
            )
        self._tell_more(len(silent), f"in {FAILED}/ without a {REASON}")

    def waiting(self) -> Iterator[tuple[str, ZoneFile]]:
        """Content hash and file, of all that waits in the zone; reads all of it."""
        for file in self._zone.look().files:
            try:
                with self._zone.fetched(file) as path:
                    yield hash_of(path), file
            except OSError:
                continue

    def _put_away(self) -> Iterator[ZoneFile]:
        if PROCESSED in self._zone.folders(""):
            for day in self._zone.folders(PROCESSED):
                yield from self._zone.files(f"{PROCESSED}/{day}")

    def _compared(self, file: ZoneFile) -> str | None:
        """The content's hash, whose rows were compared if it is noted; None: it cannot be read."""
        try:
            with self._zone.fetched(file) as path:
                content_hash = hash_of(path)
                noted = self.noted.get(content_hash)
                if noted is not None and content_hash not in self.compared:
                    found = list(self._rows.differences(noted, path))
                    self.faults[noted.source] += [f"{readable(file.key)}: {one}" for one in found]
                    self.compared.add(content_hash)
                return content_hash
        except FileNotFoundError:
            return None
        except OSError as error:
            self.faults[""].append(f"{readable(file.key)} cannot be read: {error.strerror}")
            return None

    def _without_file(self) -> dict[str, Noted]:
        """Names that a file may have to the content that was landed under it, and has no file."""
        found: dict[str, Noted] = {}
        for noted in self.noted.values():
            if noted.content_hash not in self.compared:
                found[noted.file_name] = noted
                found[told_apart(noted.file_name, noted.content_hash)] = noted
        return found

    def _tell_stray(self, file: ZoneFile, namesake: Noted | None) -> None:
        if namesake is None:
            self.faults[""].append(
                f"{readable(file.key)}: its content is not in {LANDED}. Move it into the zone "
                "again: `lmslake land` takes its rows"
            )
            return
        try:
            with self._zone.fetched(file) as path:
                difference = self._rows.first_difference(namesake, path)
        except FileNotFoundError:
            return
        self.faults[namesake.source].append(
            f"{readable(file.key)}: it is not what was landed under that name: "
            f"{difference or 'its bytes are others, its rows the same'}"
        )

    def _has_no_reason(self, file: ZoneFile) -> bool:
        if self._zone.exists(f"{file.key}{REASON}"):
            return False
        # Who moves it away takes the reason, too, or removes it first.
        return self._zone.exists(file.key)

    def _tell_more(self, count: int, what: str) -> None:
        if count > NAMED_FILES:
            self.faults[""].append(f"and {count - NAMED_FILES:,} more files {what}")
