"""Identifiers."""

from __future__ import annotations

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.folding import fold_id, is_nothing
from lake.transforms.records.outcome import let, nothing, outcome

# Has a digit, so that it is no word for nothing.
PLAIN_ID = r"^[A-Z]*[0-9][A-Z0-9]*\z"
LETTERS_AND_DIGITS = r"^[\p{L}\p{N}]+\z"


def clean_id(text: Column, *, prefix: str | None = None, width: int = 1) -> Column:
    """One form for all spellings of an id: struct<value: string, flag>.

    Folded as `fold_id` says. With a prefix, an id is the prefix and a number: the prefix may be
    missing or spelled otherwise, the number may have zeros in front, or `.0` at its end (from a
    spreadsheet); the canonical form has the prefix as given here and at least `width` digits.
    Others keep their folded form, with the flag id_unusual. Without a prefix any letters and
    digits are usual. Empty gives null. Idempotent.
    """
    if prefix is None:
        usual = text.rlike(PLAIN_ID)
        judged = let(fold_id(text), _judge_plain)
    else:
        usual = text.rlike(_canonical(prefix, width))
        judged = let(fold_id(text), lambda folded: _judge_numbered(folded, prefix, width))
    return F.when(usual, outcome(text)).otherwise(judged)


def _judge_plain(folded: Column) -> Column:
    return (
        F.when(is_nothing(folded), nothing("string"))
        .when(folded.rlike(LETTERS_AND_DIGITS), outcome(folded))
        .otherwise(outcome(folded, "id_unusual"))
    )


def _judge_numbered(folded: Column, prefix: str, width: int) -> Column:
    pattern = rf"^(?:{_quoted(_folded_prefix(prefix))})?0*([0-9]+)(?:\.0+)?\z"
    number = F.regexp_extract(folded, pattern, 1)
    # lpad alone would cut longer numbers.
    padded = F.when(F.length(number) < width, F.lpad(number, width, "0")).otherwise(number)
    return (
        F.when(is_nothing(folded), nothing("string"))
        .when(folded.rlike(pattern), outcome(F.concat(F.lit(prefix), padded)))
        .otherwise(outcome(folded, "id_unusual"))
    )


def _canonical(prefix: str, width: int) -> str:
    return rf"^{_quoted(prefix)}(?:[0-9]{{{width}}}|[1-9][0-9]{{{width},}})\z"


def _folded_prefix(prefix: str) -> str:
    return re.sub(r"[\s_-]", "", prefix.upper())


def _quoted(text: str) -> str:
    return rf"\Q{text}\E"
