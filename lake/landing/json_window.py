"""JSON text read value by value: in bounded memory, with the place of every fault."""

from __future__ import annotations

import json
import re
from typing import Any, TextIO

from lake.landing.faults import FileFault

READ_CHARACTERS = 1 << 18
BLANK = re.compile(r"[ \t\n\r]*")
# What is read may end in the middle of `-Infinity` or of `\ud83d\ude00`.
LONGEST_TOKEN = 16


class Pairs(list[tuple[str, Any]]):
    """Members of an object in their order, also those whose name comes twice."""


DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_int=str, parse_float=str, parse_constant=str
)


class Window:
    """The part of a text that is looked at. Values hold at most so many characters.

    Numbers are strings here, spelled as in the text (also NaN and Infinity, which Python's and
    others' writers put); objects are Pairs.
    """

    def __init__(self, stream: TextIO, max_characters: int) -> None:
        self._stream = stream
        self._max_characters = max_characters
        self._text = ""
        self._at = 0
        self._is_all_read = False
        # Of what was let go: its line ends, and what follows the last of them.
        self._lines = 0
        self._columns = 0

    def peek(self) -> str:
        """The next character that is not blank, where it stands now; empty at the end."""
        while True:
            match = BLANK.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def skip(self) -> None:
        """Go over the character that `peek` gave."""
        self._at += 1

    def take(self, wanted: str, where: str) -> str:
        """Go over the next character, which must be one of `wanted`. Raises FileFault."""
        found = self.peek()
        if found and found in wanted:
            self._at += 1
            return found
        expected = " or ".join(repr(one) for one in wanted)
        if not found:
            raise self._fault("truncated_json", f"the file ends {where}; {expected} is missing")
        raise self._fault("malformed_json", f"{expected} is missing {where}")

    def name(self) -> str:
        """The name of an object's member, and the colon after it. Raises FileFault."""
        if self.peek() not in ('"', ""):
            raise self._fault("malformed_json", "the name of a member must stand here, in quotes")
        name, _ = self.value("a member's name")
        self.take(":", f"after the name {str(name)[:40]!r}")
        return str(name)

    def value(self, what: str) -> tuple[Any, str]:
        """The value that begins next, and its text as it stands. Raises FileFault."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._read_on_for(what, error)
                continue
            except RecursionError:
                raise self._fault("malformed_json", f"{what} is nested too deeply") from None
            # What ends where the window ends may go on.
            if end < len(self._text) or not self._read_on():
                text = self._text[self._at : end]
                self._check_length(len(text))
                self._at = end
                return value, text

    def _read_on_for(self, what: str, error: json.JSONDecodeError) -> None:
        """Read more of a value that does not end yet. Raises FileFault where that is no help."""
        if not self._may_go_on(error):
            raise self._fault("malformed_json", error.msg, error.pos)
        self._check_length(len(self._text) - self._at)
        if self._is_all_read:
            line, _ = self._place(self._at)
            detail = f"the file ends inside of {what}, which begins in line {line}"
            raise self._fault("truncated_json", detail, len(self._text))
        self._read_on()

    def expect_end(self, what: str) -> None:
        """Raises FileFault where something follows."""
        if self.peek():
            raise self._fault("malformed_json", f"text follows the end of {what}")

    def _may_go_on(self, fault: json.JSONDecodeError) -> bool:
        """Whether more text may mend what is wrong, or might have, had the file gone on."""
        if fault.msg.startswith("Unterminated string"):
            return True
        if not self._is_all_read:
            return fault.pos >= len(self._text) - LONGEST_TOKEN
        return fault.pos >= len(self._text.rstrip())

    def _check_length(self, length: int) -> None:
        if length > self._max_characters:
            raise self._fault(
                "record_too_large",
                f"the value that begins here has more than {self._max_characters:,} characters",
            )

    def _read_on(self) -> bool:
        """Let go what was taken and read more; False where there is no more."""
        if self._is_all_read:
            return False
        more = self._stream.read(READ_CHARACTERS)
        if not more:
            self._is_all_read = True
            return False
        lines = self._text.count("\n", 0, self._at)
        if lines:
            self._columns = self._at - self._text.rfind("\n", 0, self._at) - 1
        else:
            self._columns += self._at
        self._lines += lines
        self._text = self._text[self._at :] + more
        self._at = 0
        return True

    def _place(self, at: int) -> tuple[int, int]:
        lines = self._text.count("\n", 0, at)
        before = self._text.rfind("\n", 0, at) + 1
        column = at - before + 1 if lines else self._columns + at + 1
        return self._lines + lines + 1, column

    def _fault(self, reason: str, detail: str, at: int | None = None) -> FileFault:
        return FileFault(reason, detail, *self._place(self._at if at is None else at))


def member_texts(text: str) -> list[str]:
    """The values of an object's members, as they stand in the text of the object."""
    texts = []
    at = _after_blank(text, 1)
    while text[at] != "}":
        _, at = DECODER.raw_decode(text, at)
        at = _after_blank(text, _after_blank(text, at) + 1)  # the colon
        _, end = DECODER.raw_decode(text, at)
        texts.append(text[at:end])
        at = _after_blank(text, end)
        if text[at] == ",":
            at = _after_blank(text, at + 1)
    return texts


def _after_blank(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at
