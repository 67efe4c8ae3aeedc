"""What leaves the house says nothing of who it is about."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.school import School
from lake.school.spelling import SPELLINGS
from lake.tickets.redaction import MAX_CHARACTERS, Redactor, name_parts
from lake.tickets.rules import fold, words_of

NAMES = ("Priya Sharma", "José Peña", "Jürgen Müller", "王小明", "Ana de Lima", "Seán O'Connor")
REDACTOR = Redactor((*NAMES, "प्रिया शर्मा"), "STU", "GB")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It stops at 2:31; then\nnothing happens.", "It stops at 2:31; then\nnothing happens."),
        ("I had 18, not 8.\tThe page\tshows | 8 |", "I had 18, not 8. The page shows | 8 |"),
        ("Je ne trouve pas le devoir d'hier.", "Je ne trouve pas le devoir d'hier."),
        ("priya sharma cannot log in", "[name] [name] cannot log in"),
        ("PRIYA, Pri\u200bya, Priya's", "[name], [name], [name]'s"),
        ("JOSE PENA or jose\u0301", "[name] [name] or [name]"),
        ("Mueller and MÜLLER and O’Connor", "[name] and [name] and O’[name]"),
        ("同学王小明不能登录", "[name]"),
        ("प्रिया लॉगिन नहीं", "[name] लॉगिन नहीं"),
        ("page de la leçon", "page de la leçon"),
        ("my name is bob smith", "my name is [name]"),
        ("Ich heiße Klaus", "Ich heiße [name]"),
        ("mr smith was unfair", "mr [name] was unfair"),
        ("I asked Tom about it", "I asked [name] about it"),
        ("Tom Jones bullied me", "[name] [name] bullied me"),
        ("Tom hit me", "[name] hit me"),
        ("Mark and Grace; my mark", "[name] and [name]; my mark"),
        ("I don't know, I miss lectures", "I don't know, I miss lectures"),
        ("dr. said; Mr March", "dr. [name]; Mr [name]"),
        ("Please help.\nThanks,\nTom\nJONES", "Please help.\nThanks,\n[name]\n[name]"),
        ("Cannot Log In To Moodle", "Cannot Log In To Moodle"),
        ("mail ana.x@school.example now", "mail [email] now"),
        ("mail ana.x @ school.example now", "mail [email] now"),
        ("mail ana.x (at) school dot example", "mail [email]"),
        ("mail ana.x at school dot example", "mail [email]"),
        ("arrived at school. Then", "arrived at school. Then"),
        ("see https://x.example/a?b=1 or x.example/a", "see [link] or [link]"),
        ("call +49 30 23125001 ext. 12", "call [number]"),
        ("call 020 7946 0958", "call [number]"),
        ("tel. 123-4567, tel 12 34 56", "tel. [number], tel [number]"),
        ("born 12/05/2008", "born [number]"),
        ("STU 1, STU001, stu-1, ＳＴＵ００１, stu_7", "[id], [id], [id], [id], [id]"),
        ("ticket TCK10001, course crs-101", "ticket [id], course [id]"),
        ("id: 7, student no 12, class 9, 10A", "[id], student [id], [id], [id]"),
        ("my student number is 7", "my student [id]"),
        ("a3f19c" * 8, "[id]"),
    ],
)
def test_redact__takes_out_who_it_is_about(text: str, expected: str) -> None:
    assert REDACTOR.redact(text) == expected


def test_redact__hides_the_writer_in_longer_words() -> None:
    own = ("Ana de Lima", "rocketgirl@school.example")
    assert REDACTOR.redact("analimaofficial, rocketgirl", own) == "[name], [name]"
    assert REDACTOR.redact("the rocketgirl of another", ()) == "the rocketgirl of another"


def test_redact__a_text_is_cut_between_words() -> None:
    text = "x" * (MAX_CHARACTERS - 8) + " Priya Sharma"
    assert REDACTOR.redact(text) == "x" * (MAX_CHARACTERS - 8) + " [name]"
    assert REDACTOR.redact("word " * 2_000).split() == ["word"] * (MAX_CHARACTERS // 5)
    assert len(REDACTOR.redact("Tom " * 2_000)) <= MAX_CHARACTERS


@given(st.text())
def test_redact__is_total_and_leaves_no_address_and_no_long_number(text: str) -> None:
    redacted = REDACTOR.redact(text)
    assert "@" not in redacted
    assert re.search(r"\d{4}", redacted) is None
    assert len(redacted) <= MAX_CHARACTERS


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("L", "M", "N", "Cn", "Co", "S"))),
    st.sampled_from(NAMES),
    st.sampled_from((str.upper, str.lower, str.title, str.casefold, str.swapcase)),
    st.sampled_from(("NFC", "NFD", "NFKC", "NFKD")),
    st.text(max_size=20),
)
def test_redact__leaves_no_part_of_a_known_name(
    beside: str, name: str, case: object, form: str, before: str
) -> None:
    assert callable(case)
    spelled = unicodedata.normalize(form, case(name))  # type: ignore[arg-type]
    redacted = REDACTOR.redact(f"{before} {beside}{spelled}{beside}")
    assert not name_parts(name) & set(words_of(redacted.replace("[name]", "")))


def test_redact__leaves_nothing_of_a_school_in_any_of_its_spellings(school: School) -> None:
    contacts = school.truth.contacts
    redactor = Redactor((str(contact["student_name"]) for contact in contacts), "STU")
    fields = {"student_id": "student", "student_name": "name", "email": "e-mail", "phone": "phone"}
    for contact in contacts:
        own = (str(contact["student_name"]), str(contact["email"]))
        for field, kind in fields.items():
            usual = contact[field]
            if not isinstance(usual, str):
                continue  # the school was not told
            for spelled in (usual, *(spell(usual) for spell in SPELLINGS[kind])):
                if spelled is None or spelled.strip().isdigit():
                    continue  # `7` alone says nothing
                redacted = redactor.redact(f"the student {spelled} cannot log in", own)
                left = re.findall(r"[^\W_]+", re.sub(r"\[\w+\]", "", redacted))
                assert set(left) <= {"the", "student", "cannot", "log", "in"}, spelled


def test_name_parts__leave_out_what_tells_nobody() -> None:
    assert name_parts("Ana de Lima") == {"ana", "lima", "anadelima", "alima"}
    assert name_parts("J. Peña") == {"pena", "jpena"}
    assert name_parts("de la O") <= {"delao", "do"}
    assert fold("Søren") in name_parts("Søren Ødegård")
