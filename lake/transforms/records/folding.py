"""Spellings of one text made equal: widths, digits of other scripts, blanks, dashes, case."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.characters import NARROW, NOTHING, SEPARATORS, WIDE

BLANKS = r"[\p{Z}\p{Cc}]+"
INVISIBLE = r"\p{Cf}+"
# The look-behind keeps a long run of blanks from being tried at each of its places.
EDGES = r"^[\p{Z}\p{Cc}\p{Cf}]+|(?<![\p{Z}\p{Cc}\p{Cf}])[\p{Z}\p{Cc}\p{Cf}]+\z"
# A sign may carry a selector that asks for its text or its emoji form.
WORD_SEPARATORS = r"[\p{Z}\p{Cc}\p{Cf}\p{Pd}_'\u2019\ufe0e\ufe0f]+"


def fold(text: Column) -> Column:
    """Upper case, narrow, single blanks, none at the edges, no invisible characters."""
    visible = _unless_ascii(text, lambda wide: F.regexp_replace(_narrow(wide), INVISIBLE, ""))
    return F.upper(F.trim(F.regexp_replace(visible, BLANKS, " ")))


def fold_id(text: Column) -> Column:
    """Upper case, narrow, without blanks, hyphens and underscores: the form to compare ids in."""
    return F.regexp_replace(F.upper(_unless_ascii(text, _narrow)), SEPARATORS, "")


def fold_word(text: Column) -> Column:
    """As fold_id, without apostrophes and emoji selectors: the form to look a word up in."""
    return F.regexp_replace(F.upper(_unless_ascii(text, _narrow)), WORD_SEPARATORS, "")


def trimmed(text: Column) -> Column:
    """Without blanks, controls and invisible characters at the edges."""
    return F.regexp_replace(text, EDGES, "")


def one_line(text: Column) -> Column:
    """Trimmed, with one blank for each run of blanks, tabs and line breaks."""
    return F.regexp_replace(trimmed(text), BLANKS, " ")


def is_nothing(folded: Column) -> Column:
    return folded.isin(*NOTHING)


def _unless_ascii(text: Column, change: Callable[[Column], Column]) -> Column:
    """The changed text; ASCII stays, which is cheap to see and has nothing to change."""
    # No text is an empty one: nulls would pass every condition of a rule.
    given = F.coalesce(text, F.lit(""))
    return F.when(F.octet_length(given) == F.char_length(given), given).otherwise(change(given))


def _narrow(text: Column) -> Column:
    return F.translate(text, WIDE, NARROW)
