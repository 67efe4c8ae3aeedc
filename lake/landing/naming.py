"""Names of files in the landing zone: which are taken, and which source each belongs to."""

from __future__ import annotations

from lake.landing.columns import spelling
from lake.landing.faults import FileFault
from schemas.records import SOURCES, Source

PROCESSED = "processed"
FAILED = "failed"
MARKER = ".done"
REASON = ".reason.json"
# Half-written files of browsers and copying programs, and what lies beside files.
NOT_TAKEN = (".tmp", ".part", ".crdownload", REASON, MARKER)


def is_taken(name: str) -> bool:
    """Whether a file of that name may be one of records."""
    return not name.startswith(".") and not name.lower().endswith(NOT_TAKEN)


def source_of_folder(folder: str) -> Source | None:
    """The source that a landing folder is named after."""
    return SOURCES.get(spelling(folder))


def source_of(folder: str, name: str) -> Source:
    """The source of a file `name` in `folder` of the zone ("" for the zone itself).

    Raises FileFault with the known ones where there is none.
    """
    source = source_of_folder(folder) or _source_of_name(name)
    if source is None:
        raise FileFault(
            "unknown_source",
            "neither folder nor name says what it holds; known are "
            + ", ".join(sorted(SOURCES))
            + ": put it into a folder of such a name, or let its name begin with one",
        )
    return source


def _source_of_name(name: str) -> Source | None:
    spelled = spelling(name)
    beginnings = [
        (len(beginning), source)
        for source in SOURCES.values()
        for beginning in source.file_names
        if spelled.startswith(beginning)
    ]
    return max(beginnings, key=lambda found: found[0])[1] if beginnings else None


def readable(name: str) -> str:
    """A file's name that a terminal and a table can hold, whatever bytes it is made of."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text if text.isprintable() else ascii(text)[1:-1]
