"""Taking out of a text who it is about, before it leaves the house. When in doubt, more.

What goes: e-mail addresses, links, telephone numbers, every number of four digits or more (dates
of birth too), ids of students and whatever else mixes letters and digits, every word that is a part
of any name in the directory (in any case), what follows a title or `my name is`, and every
capitalised word that is in no list of known words: in German texts many nouns, but none that the
rules know. What cannot be told from other words is the name, written in small letters, of somebody
whom the directory does not know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from lake.tickets.name_words import ALSO_NAMES, COMMON, PARTICLES, TITLES
from lake.tickets.rules import fold, known_words

# Of each part of a ticket no more is looked at, nor sent.
MAX_CHARACTERS = 2_000
NAME = "[name]"

_FLAGS = re.IGNORECASE
# Each begins where a token begins, so that a long run without blanks is tried once only.
_EMAIL = re.compile(r"(?<!\S)[^\s@]*\s?@\s?\S*")
_SPELLED_EMAIL = re.compile(
    r"(?<!\S)\S+\s?(?:[(\[{<]\s?at\s?[)\]}>]|\bat(?=\s\S+(?:\.\w|\sdot\b))|\barroba\b|\barobase\b)"
    r"\s?\S+(?:\s?\bdot\s\S+)*",
    _FLAGS,
)
_LINK = re.compile(r"(?<!\S)[^\s:/]*(?:://|www\.)\S*", _FLAGS)
_DOMAIN = re.compile(r"(?<![\w.-])(?:[\w-]+\.)+[^\W\d_]{2,}(?:[/?#]\S*)?")
_ID_WORD = re.compile(
    r"\b(?:id|no|nr|num|number|num[eé]ro|nummer|student|[eé]tudiante?|sch[uü]ler(?:in)?|alumn[oa]|"
    r"estudiante|alun[oa]|matricul[ea]|matr[ií]cula|matrikel\w*|roll|user|case|account|class|"
    r"classe|klasse|room)(?:\s(?:is|ist|est|es|[eé]))?\W{0,3}\d+",
    _FLAGS,
)
_HYPHENED_ID = re.compile(r"(?<!\w)[^\W\d_]{1,8}[-_.:#/]+\d+")
_MIXED = re.compile(r"(?<!\w)(?=\w*\d)(?=\w*[^\W\d])\w+")
_NUMBER = re.compile(r"\+?\d(?:[\W_]{0,3}\d){3,}")
_INTRODUCED = re.compile(
    r"\b(name is|mein name ist|ich hei(?:ß|ss)e|je m.?appelle|mon nom est|"
    r"me llamo|mi nombre es|meu nome [eé]|me chamo|name:|nom:|nombre:|nome:)\s+\w+(?:[ '’-]\w+)?",
    _FLAGS,
)
_MARK = re.compile(r"\[(?:name|email|link|number|id)\]")

# Scripts that write no blanks between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# They change how a sign looks, and could stand inside a name.
_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_MAX_UNSPACED_NAME = 6
_LONG_PART = 4
_SENTENCE_ENDS = '.!?:;…"“”»«(-–—•*'
_SIGNATURE_WORDS = 4


def name_parts(name: str) -> set[str]:
    """Folded words by which a person of this name can be told; particles are none."""
    parts: set[str] = set()
    for spelled in (name, name.casefold().translate(_UMLAUTS)):
        pieces = [_letters(piece) for piece in unicodedata.normalize("NFKC", spelled).split()]
        words = [fold(word) for piece in pieces for word in piece]
        joined = [fold("".join(piece)) for piece in pieces]
        initials = [words[0][:1] + words[-1]] if len(words) > 1 else []
        parts.update(words, joined, ["".join(words)], initials)
        parts.update(word[-2:] for word in words if _UNSPACED.search(word) and len(word) > 2)
    return {part for part in parts if len(part) > 1 and part not in PARTICLES}


class Redactor:
    """Knows the names of a directory.

    student_prefix: what stands before the number of a student's id (`STU`), None for nothing.
    phone_region: country (`GB`) of telephone numbers without a +, None for not known.
    """

    def __init__(
        self,
        names: Iterable[str],
        student_prefix: str | None = None,
        phone_region: str | None = None,
    ) -> None:
        self._names: set[str] = set()
        for name in names:
            self._names |= name_parts(name)
        self._region = phone_region
        self._prefixed = (
            re.compile(rf"(?<!\w){re.escape(student_prefix.rstrip('-_ '))}[\W_]{{0,3}}\d+", _FLAGS)
            if student_prefix
            else None
        )

    def redact(self, text: str, own: Sequence[str] = ()) -> str:
        """The text, at most MAX_CHARACTERS of it, with marks like `[name]` in place of what goes.

        own: names and e-mail addresses of the writer; a word that holds a longer part of one goes.
        """
        plain = _cut(_visible(text))
        for pattern, mark in (
            (_EMAIL, "[email]"), (_SPELLED_EMAIL, "[email]"), (_LINK, "[link]"),
            (_DOMAIN, "[link]"), (_INTRODUCED, rf"\1 {NAME}"), (_ID_WORD, "[id]"),
        ):  # fmt: skip
            plain = pattern.sub(mark, plain)
        if self._prefixed is not None:
            plain = self._prefixed.sub("[id]", plain)
        plain = _MIXED.sub("[id]", _HYPHENED_ID.sub("[id]", plain))
        plain = _NUMBER.sub("[number]", self._without_phones(plain))
        own_parts = set[str]().union(*(name_parts(name.partition("@")[0]) for name in own))
        return self._without_names(plain, own_parts)[:MAX_CHARACTERS]

    def _without_phones(self, text: str) -> str:
        from phonenumbers import Leniency, PhoneNumberMatcher

        found = PhoneNumberMatcher(text, self._region, leniency=Leniency.POSSIBLE)
        for match in reversed(list(found)):
            text = f"{text[: match.start]}[number]{text[match.end :]}"
        return text

    def _without_names(self, text: str, own: set[str]) -> str:
        marked = {match.start() + 1 for match in _MARK.finditer(text)}
        hidden: list[tuple[int, int]] = []
        before = ""
        for start, end in (match.span() for match in _word().finditer(text)):
            word = text[start:end]
            follows_title = before in TITLES and _may_follow_title(word)
            is_hidden = follows_title or _is_strange(word) or self._is_name(word, own)
            if is_hidden and start not in marked:
                hidden.append((start, end))
            before = fold(word)
        for start, end in reversed(hidden):
            text = f"{text[:start]}{NAME}{text[end:]}"
        return text

    def _is_name(self, word: str, own: set[str]) -> bool:
        folded = fold(word)
        forms = {folded, fold(word.casefold().translate(_UMLAUTS))}
        if forms & self._names or forms & own:
            return True
        if any(len(part) >= _LONG_PART and part in folded for part in own):
            return True
        return bool(_UNSPACED.search(folded)) and any(
            folded[at : at + length] in self._names or folded[at : at + length] in own
            for length in range(2, _MAX_UNSPACED_NAME + 1)
            for at in range(len(folded) - length + 1)
        )


def _visible(text: str) -> str:
    """Compatibility forms as plain ones; nothing invisible; blanks and line breaks only."""
    plain = unicodedata.normalize("NFKC", text).replace("\r\n", "\n")
    return "".join(
        character if character == "\n" or unicodedata.category(character)[0] not in "CZ" else " "
        for character in plain
        if unicodedata.category(character) != "Cf" and character not in _SELECTORS
    )


def _cut(text: str) -> str:
    """Not more than is sent, and no half word at its end."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[:MAX_CHARACTERS].rpartition(" ")[0]


@cache
def _word() -> re.Pattern[str]:
    """A run of letters with their marks: `\\w` has no vowel signs of Indian scripts."""
    marks = "".join(
        chr(code) for code in range(0x300, 0xFE30) if unicodedata.category(chr(code))[0] == "M"
    )
    return re.compile(rf"(?:[^\W\d_]|[{re.escape(marks)}])+")


def _letters(text: str) -> list[str]:
    return _word().findall(text)


@cache
def _known() -> frozenset[str]:
    return (known_words() | COMMON | TITLES) - ALSO_NAMES


def _is_capital(word: str) -> bool:
    return word[:1] != word[:1].lower()


def _is_strange(word: str) -> bool:
    """Capitalised, longer than an initial, and in no list of known words."""
    return len(word) > 1 and _is_capital(word) and fold(word) not in _known()


def _may_follow_title(word: str) -> bool:
    return len(word) > 1 and (_is_capital(word) or fold(word) not in _known())
