"""Characters that spellings of one text differ in. Nothing here needs Spark: SQL folds ids, too."""

from __future__ import annotations

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
# What ids are compared without.
SEPARATORS = r"[\p{Z}\p{Cc}\p{Cf}\p{Pd}_]+"
# What programs write where they have nothing; compared after folding.
NOTHING = ("", "-", "--", "NULL", "NONE", "NAN", "NA", "N/A", "#N/A")
