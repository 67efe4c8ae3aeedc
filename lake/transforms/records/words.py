"""Words of a vocabulary, labels and free text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from lake.transforms.records.folding import (
    fold,
    fold_word,
    is_nothing,
    one_line,
    trimmed,
)
from lake.transforms.records.outcome import flag_named, let, nothing, outcome

# Words are compared as `fold_word` gives them: ON LEAVE, on-leave and On_leave are ONLEAVE.
PRESENT_WORDS = (
    "PRESENT", "P", "HERE", "YES", "Y", "TRUE", "1", "1.0",
    "\u2713", "\u2714", "\u2705", "\u2611", "\U0001f5f8", "\U0001f5f9",
)  # fmt: skip
ABSENT_WORDS = (
    "ABSENT", "A", "NO", "N", "FALSE", "0", "0.0",
    "\u2717", "\u2718", "\u274c", "\u2715", "\u2716",
)  # fmt: skip
GENDERS = {
    "female": ("FEMALE", "F", "W", "WOMAN", "GIRL"),
    "male": ("MALE", "M", "MAN", "BOY"),
    "other": ("OTHER", "O", "X", "D", "DIVERSE", "NONBINARY", "NB", "ENBY"),
}
UNDISCLOSED = (
    "U", "UNKNOWN", "UNDISCLOSED", "NOTDISCLOSED", "NOTSPECIFIED", "UNSPECIFIED", "NOTSTATED",
    "PREFERNOTTOSAY", "PREFERNOTTOANSWER",
)  # fmt: skip
ENROLLMENT_STATUSES = {
    "active": ("ACTIVE", "A", "ENROLLED", "ENROLED", "CURRENT"),
    "inactive": ("INACTIVE", "I", "NOTACTIVE", "ONLEAVE", "LEAVE"),
    "graduated": ("GRADUATED", "G", "GRADUATE", "ALUMNI", "ALUMNUS", "ALUMNA"),
    "withdrawn": ("WITHDRAWN", "W", "WITHDREW", "DROPPED", "DROPPEDOUT", "LEFT", "TRANSFERRED"),
}
CHANNELS = {
    "email": ("EMAIL", "MAIL"),
    "phone": ("PHONE", "CALL", "TELEPHONE", "TEL"),
    "chat": ("CHAT", "LIVECHAT"),
    "web": ("WEB", "WEBSITE", "PORTAL", "FORM", "WEBFORM"),
    "in_person": ("INPERSON", "PERSON", "DESK", "OFFICE"),
}
KINDERGARTEN = ("K", "KG", "KINDERGARTEN")
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII")
MAX_GRADE = 13

_GRADE = "(?:GRADE|GR|CLASS|STANDARD|STD|YEAR|YR|G)"
_GRADE_BEFORE = rf"^(?:{_GRADE}[ .:_-]*)?"
_GRADE_NUMBER = rf"{_GRADE_BEFORE}0*([0-9]+)(?:\.0+)?(?:ST|ND|RD|TH)?(?:[ _-]*{_GRADE})?\z"
_GRADE_ROMAN = rf"{_GRADE_BEFORE}({'|'.join(reversed(ROMAN))})\z"
# A new word begins after these; after an apostrophe only before two letters (d'Arc, King's).
_WORD_STARTS = r"(?<=[-./(])|(?<=['\u2019])(?=\p{L}\p{M}*\p{L})"
_CONTROLS = r"[\p{Cc}&&[^\r\n\t]]+"


def clean_presence(text: Column, *, more_words: Mapping[str, bool] | None = None) -> Column:
    """Whether someone was there: struct<value: boolean, flag>.

    PRESENT/ABSENT, P/A, yes/no, y/n, true/false, 1/0, ticks and crosses. Words that schools use
    in different ways (LATE, EXCUSED, X) are unknown_value unless more_words says what they mean.
    """
    more = (more_words or {}).items()
    meanings = [
        (True, (*PRESENT_WORDS, *(_key(word) for word, is_present in more if is_present))),
        (False, (*ABSENT_WORDS, *(_key(word) for word, is_present in more if not is_present))),
    ]
    return _looked_up(text, meanings, "boolean")


def clean_gender(text: Column) -> Column:
    """female, male or other: struct<value: string, flag>; undisclosed is null without a flag."""
    return _looked_up(text, list(GENDERS.items()), "string", no_value=UNDISCLOSED)


def clean_enrollment_status(text: Column) -> Column:
    """active, inactive, graduated or withdrawn: struct<value: string, flag>."""
    return _looked_up(text, list(ENROLLMENT_STATUSES.items()), "string")


def clean_channel(text: Column) -> Column:
    """email, phone, chat, web or in_person: struct<value: string, flag>."""
    return _looked_up(text, list(CHANNELS.items()), "string")


def clean_grade_level(text: Column) -> Column:
    """Year of schooling, 0 (kindergarten) to 13: struct<value: int, flag>.

    `9`, `09`, `9.0`, `9th`, `Grade 9`, `year 9`, `IX`; a class within the year (`9A`) is none.
    """

    def judge(folded: Column) -> Column:
        number = F.regexp_extract(folded, _GRADE_NUMBER, 1).try_cast("int")
        pairs = [F.lit(item) for at, name in enumerate(ROMAN, start=1) for item in (name, at)]
        roman = F.element_at(F.create_map(*pairs), F.regexp_extract(folded, _GRADE_ROMAN, 1))
        is_grade = number <= MAX_GRADE
        return (
            F.when(is_nothing(folded), nothing("int"))
            .when(folded.isin(*KINDERGARTEN), outcome(F.lit(0)))
            .when(
                folded.rlike(_GRADE_NUMBER),
                outcome(
                    F.when(is_grade, number),
                    F.when(F.coalesce(is_grade, F.lit(False)), F.lit(None).cast("string"))
                    .otherwise(flag_named("out_of_range")),
                ),
            )
            .when(folded.rlike(_GRADE_ROMAN), outcome(roman))
            .otherwise(nothing("int", "unknown_value"))
        )  # fmt: skip

    return let(fold(text), judge)


def clean_label(text: Column, *, names: Mapping[str, str] | None = None) -> Column:
    """A name to group by (town, subject, category): struct<value: string, flag>.

    One line, each word with a capital, so that spellings that differ in case or blanks are one.
    names: other spellings → the name, as it is to be written (`{"NYC": "New York"}`). With them a
    text that is neither a spelling nor a name of them is unknown_value, and is kept all the same.
    Idempotent.
    """
    spellings = {_key(name): name for name in (names or {}).values()}
    spellings |= {_key(spelling): name for spelling, name in (names or {}).items()}

    def judge(line: Column) -> Column:
        judged = outcome(_titled(line))
        if spellings:
            pairs = [F.lit(item) for pair in sorted(spellings.items()) for item in pair]
            given = F.element_at(F.create_map(*pairs), fold_word(line))
            unknown = outcome(_titled(line), "unknown_value")
            judged = F.when(given.isNotNull(), outcome(given)).otherwise(unknown)
        is_empty = line.isNull() | is_nothing(F.upper(line))
        return F.when(is_empty, nothing("string")).otherwise(judged)

    return let(one_line(text), judge)


def clean_text(text: Column, *, keeps_lines: bool = False) -> Column:
    """Free text without blanks at its edges: struct<value: string, flag>; empty gives null.

    One line, unless keeps_lines: then line breaks and tabs stay, and other controls go.
    """
    lines = trimmed(F.regexp_replace(text, _CONTROLS, ""))
    tidy = lines if keeps_lines else one_line(text)
    return outcome(F.nullif(tidy, F.lit("")))


def _looked_up(
    text: Column,
    meanings: Sequence[tuple[bool | str, tuple[str, ...]]],
    kind: str,
    no_value: tuple[str, ...] = (),
) -> Column:
    """The meaning whose words hold the text, first as it stands and then folded."""

    def judge(folded: Column) -> Column:
        no_meaning = is_nothing(folded) | folded.isin(*no_value) if no_value else is_nothing(folded)
        found = F.when(no_meaning, nothing(kind))
        for meaning, words in meanings:
            found = found.when(folded.isin(*words), outcome(F.lit(meaning)))
        return found.otherwise(nothing(kind, "unknown_value"))

    (meaning, words), *others = meanings
    usual = F.when(text.isin(*words), outcome(F.lit(meaning)))
    for meaning, words in others:
        usual = usual.when(text.isin(*words), outcome(F.lit(meaning)))
    return usual.otherwise(let(fold_word(text), judge))


def _key(word: str) -> str:
    """As fold_word makes it, of a word in a setting."""
    return "".join(letter for letter in word.upper() if letter not in " -_'\u2019\ufe0e\ufe0f")


def _titled(line: Column) -> Column:
    pieces = F.split(line, _WORD_STARTS, -1)
    return F.array_join(F.transform(pieces, lambda piece: F.initcap(piece)), "")
