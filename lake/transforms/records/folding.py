"""Spellings of one text made equal: widths, digits of other scripts, blanks, dashes, case."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

# The zeros of the scripts whose decimal digits are read: Arabic, Persian, Devanagari, Bengali,
# Thai. Full-width digits are among the full-width forms of ASCII.
ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
FULL_WIDTH = range(0xFF01, 0xFF5F)
FULL_WIDTH_SHIFT = 0xFF01 - ord("!")
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"

WIDE = (
    "".join(map(chr, FULL_WIDTH))
    + "".join(chr(zero + digit) for zero in ZEROS for digit in range(10))
    + DASHES
)
NARROW = (
    "".join(chr(code - FULL_WIDTH_SHIFT) for code in FULL_WIDTH)
    + "0123456789" * len(ZEROS)
    + "-" * len(DASHES)
)

BLANKS = r"[\p{Z}\p{Cc}]+"
INVISIBLE = r"\p{Cf}+"
# The look-behind keeps a long run of blanks from being tried at each of its places.
EDGES = r"^[\p{Z}\p{Cc}\p{Cf}]+|(?<![\p{Z}\p{Cc}\p{Cf}])[\p{Z}\p{Cc}\p{Cf}]+\z"
SEPARATORS = r"[\p{Z}\p{Cc}\p{Cf}\p{Pd}_]+"
# A sign may carry a selector that asks for its text or its emoji form.
WORD_SEPARATORS = r"[\p{Z}\p{Cc}\p{Cf}\p{Pd}_'\u2019\ufe0e\ufe0f]+"

# What programs write where they have nothing; compared after folding.
NOTHING = ("", "-", "--", "NULL", "NONE", "NAN", "NA", "N/A", "#N/A")


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
