"""The rules: labels of known texts, total and deterministic over any text."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.school.courses import QUESTIONS
from lake.tickets.labels import Labels
from lake.tickets.rules import classify, fold, words_of
from schemas.tables.tickets import CATEGORIES, SENTIMENTS, URGENCIES


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        (*QUESTIONS[0], Labels("technical", "normal", "negative")),
        (*QUESTIONS[1], Labels("access", "normal", "negative")),
        (*QUESTIONS[2], Labels("grades", "normal", "negative")),
        (*QUESTIONS[3], Labels("content", "normal", "neutral")),
        (*QUESTIONS[4], Labels("administration", "normal", "neutral")),
        ("", "", Labels("other", "normal", "neutral")),
        ("", "I want to kill myself", Labels("wellbeing", "high", "negative")),
        ("Video", "All fine, but I am being bullied", Labels("wellbeing", "high", "negative")),
        ("No hurry", "The invoice is wrong", Labels("billing", "low", "negative")),
        ("Deadline", "URGENT: exam tomorrow", Labels("schedule", "high", "neutral")),
        ("", "Die Anmeldung geht nicht, dringend!", Labels("access", "high", "negative")),
        ("", "Das ist nicht dringend.", Labels("other", "low", "neutral")),
        ("", "Não consigo entrar na conta", Labels("access", "normal", "negative")),
        ("", "Mi contraseña no funciona, urgente", Labels("access", "high", "negative")),
        ("Facture", "Je suis très contente, merci", Labels("billing", "normal", "positive")),
        ("", "I am not happy with the lesson", Labels("content", "normal", "negative")),
        ("", "I am happy with the lesson", Labels("content", "normal", "positive")),
        ("", "The class was understood", Labels("other", "normal", "neutral")),
    ],
)
def test_classify__knows_what_schools_are_asked(
    subject: str, body: str | None, expected: Labels
) -> None:
    assert classify(subject, body or "") == expected


@pytest.mark.parametrize(
    "spelled",
    [
        "CAN'T LOG IN",
        "can’t log in",
        "ｃａｎ＇ｔ ｌｏｇ ｉｎ",
        "Can't\n\tlog   in!",
        unicodedata.normalize("NFD", "can't log in"),
    ],
)
def test_classify__spelling_makes_no_difference(spelled: str) -> None:
    assert classify("", spelled) == classify("", "can't log in") != classify("", "")


def test_classify__takes_whole_words_only() -> None:
    assert classify("", "classroom gradesheet unpaidness").category == "other"


def test_classify__an_accent_left_out_makes_no_difference() -> None:
    assert classify("", "OU EST LE DEVOIR? cest enerve") == classify("", "Où est le devoir? énervé")


@given(st.text(), st.text())
def test_classify__is_total_and_deterministic(subject: str, body: str) -> None:
    labels = classify(subject, body)
    assert labels == classify(subject, body)
    assert labels.category in CATEGORIES
    assert labels.urgency in URGENCIES
    assert labels.sentiment in SENTIMENTS


@given(st.text())
def test_fold__is_idempotent_for_words(text: str) -> None:
    words = words_of(text)
    assert [fold(word) for word in words] == words


WORDS = ("log", "in", "urgent", "not", "happy", "video", "grade", "wrong", "fee", "x", ",", ".")


@given(st.lists(st.sampled_from(WORDS)))
def test_classify__repeating_a_text_changes_nothing(words: list[str]) -> None:
    text = " ".join(words)
    assert classify("", f"{text} . {text}") == classify("", text)


def test_classify__is_the_same_in_every_process() -> None:
    code = (
        "from lake.tickets.rules import classify;"
        "print(classify('bug in the grade', 'score video invoice date'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
