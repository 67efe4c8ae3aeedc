"""The rules: labels from the words of a ticket. No network, and the same text has the same labels.

How they go: text and words are folded (NFKC, case, accents), then compared word by word, the
longest known phrase at each place first, so that `not happy` is not taken for `happy`. Each phrase
counts once with its weight, twice that in the subject. The category with the greatest sum is it;
urgency and sentiment are where one side outweighs the other. What no rule knows is `other`,
`normal`, `neutral`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache

from lake.tickets.labels import Answer, Labels, Ticket
from lake.tickets.words import CATEGORY_WORDS, SENTIMENT_WORDS, URGENCY_WORDS, VERSION, Words
from schemas.tables.tickets import CATEGORIES

# Of each part of a ticket no more is read.
MAX_CHARACTERS = 20_000
SUBJECT_FACTOR = 2
# By how much one side must outweigh the other.
URGENT_FROM, PATIENT_FROM, SENTIMENT_FROM = 2, 2, 1

# No phrase goes on behind a stop: "geht nicht, dringend" is not "nicht dringend".
_WORD = re.compile(r"[^\W_]+|[.,;:!?()]")
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "œ": "oe", "æ": "ae", "ı": "i"})

# First word → phrases that begin with it, the longest first: words, label, weight.
Lexicon = dict[str, list[tuple[tuple[str, ...], str, int]]]


def fold(text: str) -> str:
    """Widths, case and accents of letters made equal; idempotent for words."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", plain)))


def words_of(text: str) -> list[str]:
    """The folded words in order; stops between them are words of their own."""
    return _WORD.findall(fold(text[:MAX_CHARACTERS]))


def classify(subject: str, body: str) -> Labels:
    """Labels of any text; of the same text always the same."""
    parts = words_of(subject), words_of(body)
    return Labels(
        category=_category(_weights(_lexicon("category"), *parts)),
        urgency=_urgency(_weights(_lexicon("urgency"), *parts)),
        sentiment=_sentiment(_weights(_lexicon("sentiment"), *parts)),
    )


def answer_by_rules(ticket: Ticket, fallback_reason: str | None = None) -> Answer:
    return Answer(classify(ticket.subject, ticket.body), "rules", VERSION, fallback_reason)


def known_words() -> frozenset[str]:
    """Every word of every phrase, folded."""
    return frozenset(
        word
        for name in ("category", "urgency", "sentiment")
        for phrases in _lexicon(name).values()
        for phrase, _, _ in phrases
        for word in phrase
    )


def _category(weights: Counter[str]) -> str:
    best = max(weights.values(), default=0)
    return next((name for name in CATEGORIES if best and weights[name] == best), "other")


def _urgency(weights: Counter[str]) -> str:
    balance = weights["high"] - weights["low"]
    if balance >= URGENT_FROM:
        return "high"
    return "low" if balance <= -PATIENT_FROM else "normal"


def _sentiment(weights: Counter[str]) -> str:
    balance = weights["positive"] - weights["negative"]
    if abs(balance) < SENTIMENT_FROM:
        return "neutral"
    return "positive" if balance > 0 else "negative"


def _weights(lexicon: Lexicon, subject: Sequence[str], body: Sequence[str]) -> Counter[str]:
    in_subject = _found(lexicon, subject)
    found = _found(lexicon, body) | in_subject
    weights: Counter[str] = Counter()
    for phrase, label, weight in found:
        factor = SUBJECT_FACTOR if (phrase, label, weight) in in_subject else 1
        weights[label] += weight * factor
    return weights


def _found(lexicon: Lexicon, words: Sequence[str]) -> set[tuple[tuple[str, ...], str, int]]:
    found = set()
    at = 0
    while at < len(words):
        for known in lexicon.get(words[at], ()):
            length = len(known[0])
            if tuple(words[at : at + length]) == known[0]:
                found.add(known)
                at += length
                break
        else:
            at += 1
    return found


@cache
def _lexicon(name: str) -> Lexicon:
    words: dict[str, Words] = {
        "category": CATEGORY_WORDS,
        "urgency": URGENCY_WORDS,
        "sentiment": SENTIMENT_WORDS,
    }
    lexicon: Lexicon = {}
    for label, weights in words[name].items():
        for weight, phrases in weights.items():
            for phrase in phrases.split(","):
                parts = tuple(words_of(phrase))
                lexicon.setdefault(parts[0], []).append((parts, label, weight))
    for phrases_of_word in lexicon.values():
        # Of equal phrases the heavier one; then by name, so that no order of lines decides.
        phrases_of_word.sort(key=lambda known: (-len(known[0]), known[0], -known[2], known[1]))
    return lexicon
