"""Rows of the made-up school's files: the record that each stands for, its place, its fate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lake.school.life import Record

Shape = Literal["whole", "short", "long", "no_object"]


@dataclass(frozen=True)
class Row:
    """A row of a file: its record, texts that differ from how the record is spelled.

    reason: why the cleaning must refuse it, null for a good row. The record of such a row is the
    sound one that was spoilt. shape: `short` rows have too few fields, `long` ones a surplus,
    `no_object` is an element of a JSON array that is none. flags: what the cleaning must say of a
    good row's texts, `field:flag`, without what it says of odd spellings that it can read.
    """

    source: str
    record: Record
    texts: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    shape: Shape = "whole"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A row with its place: the file's name in the folder, and its number there from 1."""

    file: str
    number: int
    row: Row

    def set_aside(self, reason: str) -> SetAside:
        return SetAside(self.row.source, self.file, self.number, reason)


@dataclass(frozen=True)
class SetAside:
    """A row that is in no silver table: quarantined or held, and why."""

    source: str
    file: str
    number: int
    reason: str
