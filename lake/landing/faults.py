"""Why a file of records is refused as a whole, or left for later."""

from __future__ import annotations

from lake.errors import LakeError


class BronzeChangedError(LakeError):
    """Another process was faster: what was to be committed may be committed later."""


class FileFault(Exception):  # noqa: N818 - a fault of the file, not of the program
    """The file cannot be read whole.

    reason: a code; detail: in words, without values of rows. line and column count from 1 and are
    None where the fault has no place.
    """

    def __init__(
        self, reason: str, detail: str, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.line = line
        self.column = column

    def __str__(self) -> str:
        """The detail with its place."""
        place = ", ".join(
            f"{name} {number}"
            for name, number in (("line", self.line), ("column", self.column))
            if number is not None
        )
        return f"{place}: {self.detail}" if place else self.detail
