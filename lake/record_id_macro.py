"""The form that ids have in school records, in DuckDB: `record_id(course_id)`."""

from __future__ import annotations

from lake.transforms.records.characters import NARROW, NOTHING, SEPARATORS, WIDE

# ASCII stays as it is, which saves most of the time. Of the letters whose capital is two, one is
# common enough to be told to DuckDB. Dollars quote: a quotation mark is among the characters.
_NARROWED = (
    f"CASE WHEN strlen(id) = length(id) THEN id "
    f"ELSE replace(translate(id, $t${WIDE}$t$, $t${NARROW}$t$), 'ß', 'SS') END"
)
_FOLDED = f"regexp_replace(upper({_NARROWED}), $t${SEPARATORS}$t$, '', 'g')"
_MEANS_NOTHING = ", ".join(f"$t${word}$t$" for word in NOTHING)
# As `clean_id` without a prefix. Records join behaviour by course with it: events keep the ids of
# courses as they were sent.
RECORD_ID_MACRO = f"""
    CREATE MACRO record_id(id) AS
        list_filter([{_FOLDED}], lambda folded: folded NOT IN ({_MEANS_NOTHING}))[1]
"""
