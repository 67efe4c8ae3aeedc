"""The many ways in which schools write one value: what the cleaning must read as the same."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone

from lake.school.life import Record, Value

# A spelling gives null where the value cannot be written so without being another one.
Spelling = Callable[[str], str | None]
ODD_SHARE = 0.2
UNDISCLOSED = (None, "prefer not to say", "N/A")
EXCEL_EPOCH = date(1899, 12, 30)
INDIA = timezone(timedelta(hours=5, minutes=30))


def plain_text(value: Value) -> str | None:
    """The usual spelling: ISO dates, instants with Z, PRESENT, whole numbers without a point."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "PRESENT" if value else "ABSENT"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(int(value)) if float(value).is_integer() else str(value)


def full_width(text: str) -> str:
    """Letters, digits and signs as they stand in East Asian fonts."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def hyphenated(text: str) -> str:
    return re.sub(r"(?<=[A-Za-z])(?=[0-9])", "-", text, count=1)


def _last_first(name: str) -> str:
    first, last = name.split(" ")
    return f"{last}, {first}"


def _student(form: str) -> Callable[[str], str]:
    """Another form of a prefix of letters and a number; the digits stand as they are."""

    def spell(text: str) -> str:
        word, _, digits = re.split(r"(-?)(?=[0-9])", text, maxsplit=1)
        return form.format(word=word, digits=digits, number=int(digits))

    return spell


def _day_first(separator: str) -> Callable[[str], str | None]:
    """Day, month, year with a separator; none where another reader could take the month first."""

    def spell(text: str) -> str | None:
        day = date.fromisoformat(text)
        can_be_misread = day.day <= 12 and day.day != day.month
        return None if can_be_misread else f"{day:%d{separator}%m{separator}%Y}"

    return spell


def _month_first(text: str) -> str | None:
    day = date.fromisoformat(text)
    return f"{day.month}/{day.day}/{day.year}" if day.day > 12 else None


def _date(pattern: str) -> Spelling:
    return lambda text: f"{date.fromisoformat(text):{pattern}}"


def _excel_serial(text: str) -> str:
    return str((date.fromisoformat(text) - EXCEL_EPOCH).days)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _date_alone(text: str) -> str | None:
    return text.removesuffix("T00:00:00Z") if text.endswith("T00:00:00Z") else None


def _decimal_comma(text: str) -> str | None:
    return text.replace(".", ",") if re.fullmatch(r"\d{1,3}\.\d{1,2}", text) else None


def _thousands(text: str) -> str | None:
    return f"{float(text):,}" if re.fullmatch(r"\d{4,}\.\d+", text) else None


def _mark(present: str, absent: str) -> Spelling:
    return lambda text: present if text == "PRESENT" else absent


def _after_space(text: str) -> str:
    return text.replace("T", " ")


NUMBERS: tuple[Spelling, ...] = (
    lambda text: f" {text} ", _decimal_comma, full_width, lambda text: f"\u00a0{text}",
    _thousands, lambda text: text if "." in text else f"{text}.0",
)  # fmt: skip
IDENTIFIERS: tuple[Spelling, ...] = (
    lambda text: hyphenated(text).lower(), lambda text: f"{text} ", full_width,
    lambda text: text.lower(), lambda text: f"\u00a0{text}",
)  # fmt: skip
# Kind of value → its odd spellings, each of the usual text.
SPELLINGS: dict[str, tuple[Spelling, ...]] = {
    "student": (
        lambda text: _student("{word}-{number}")(text.lower()), lambda text: f"{text} ",
        _student("{number}"), lambda text: full_width(_student("{digits}")(text)),
        lambda text: _student("{word}_{digits}")(text.title()),
        lambda text: _student("{word} {number}")(text.upper()),
        lambda text: f"\u00a0{text}\u2003", full_width,
    ),
    "identifier": IDENTIFIERS,
    "class": (
        lambda text: f" {text}", lambda text: text.lower(), lambda text: f"{text[:-1]}-{text[-1]}",
    ),
    "grade": (
        lambda text: f"Grade {text}", lambda text: f"{text}th", lambda text: f" {text}",
        lambda text: f"grade {text} ", full_width,
    ),
    "word": (
        lambda text: text.upper(), lambda text: f" {text.title()} ", lambda text: text.title(),
    ),
    "mark": (
        _mark("present", "absent"), _mark("✔", "❌"), _mark("P", "A"), _mark("✅", "❌"),
        _mark("Present ", " Absent"), _mark("yes", "no"), _mark("1", "0"), _mark("☑", "✘"),
    ),
    "date": (
        _date("%Y/%m/%d"), _date("%d.%m.%Y"), _day_first("/"), _month_first, _day_first("-"),
        _date("%d %b %Y"), _date("%b %d, %Y"), _excel_serial, lambda text: f" {text} ",
    ),
    "instant": (
        lambda text: text.removesuffix("Z"), lambda text: _after_space(text).removesuffix("Z"),
        lambda text: _instant(text).astimezone(INDIA).isoformat(), _date_alone,
        lambda text: text.replace("Z", "+00:00"), lambda text: f" {text} ",
    ),
    "number": NUMBERS,
    "percent": (lambda text: f"{text}%", lambda text: f"{text} %", *NUMBERS),
    "name": (
        lambda text: text.upper(), lambda text: text.lower(), lambda text: f" {text} ",
        lambda text: text.replace(" ", "  "), lambda text: unicodedata.normalize("NFD", text),
        _last_first,
    ),
    "e-mail": (
        lambda text: text.replace("school.example", "SCHOOL.Example"), lambda text: f" {text} ",
    ),
    "phone": (
        lambda text: f"{text[:3]} ({text[3:6]}) {text[6:8]}-{text[8:]}",
        lambda text: f" {text} ", lambda text: f"{text[:3]} {text[3:]}",
    ),
    "gender": (
        lambda text: text[0].upper() if text != "other" else None, lambda text: text.title(),
        lambda text: f"{text.upper()} ",
    ),
    "label": (
        lambda text: text.upper(), lambda text: f" {text.replace(' ', '  ')}",
        lambda text: text.lower(),
    ),
    "text": (lambda text: f"{text} ",),
}  # fmt: skip

_ID = {"student_id": "student", "course_id": "identifier"}
# Source → field → kind of its values.
KINDS: dict[str, dict[str, str]] = {
    "students": _ID | {
        "student_name": "name", "class_id": "class", "grade_level": "grade",
        "enrollment_status": "word", "updated_at": "instant",
    },
    "attendance": _ID | {
        "attendance_id": "identifier", "attendance_date": "date", "status": "mark",
        "created_at": "instant",
    },
    "assessments": _ID | {
        "assessment_id": "identifier", "subject": "label", "score": "number",
        "max_score": "number", "assessment_date": "date", "created_at": "instant",
    },
    "students_enrollment": _ID | {
        "student_name": "name", "email": "e-mail", "phone": "phone", "gender": "gender",
        "date_of_birth": "date", "location": "label", "enrollment_date": "date",
    },
    "student_progress": _ID | {
        "lesson_id": "identifier", "completion_pct": "percent", "score": "number",
        "time_spent_minutes": "number", "last_activity_at": "instant",
    },
    "course_catalog": _ID | {
        "title": "text", "category": "label", "level": "label", "duration_hours": "number",
        "chapters": "number", "updated_at": "instant",
    },
    "support_tickets": _ID | {
        "ticket_id": "identifier", "subject": "text", "body": "text", "opened_at": "instant",
        "closed_at": "instant", "channel": "word",
    },
}  # fmt: skip


class Speller:
    """Writes records as text, one value in five in an odd way; every way gets its turn."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turns = {kind: itertools.cycle(ways) for kind, ways in SPELLINGS.items()}
        self._undisclosed = itertools.cycle(UNDISCLOSED)

    def spell(
        self, source: str, record: Record, given: Mapping[str, str], encoding: str
    ) -> dict[str, str | None]:
        """Field → text. `given` texts stay as they are; all can be written in the encoding."""
        texts: dict[str, str | None] = {}
        for field, value in record.items():
            if field in given:
                texts[field] = given[field]
            else:
                texts[field] = self._text(KINDS[source][field], value, encoding)
        return texts

    def _text(self, kind: str, value: Value, encoding: str) -> str | None:
        if value is None:
            return next(self._undisclosed) if kind == "gender" else None
        if kind == "percent" and isinstance(value, float):
            value = round(100 * value)
        usual = plain_text(value)
        return self._oddly(kind, usual, encoding) if usual else usual

    def _oddly(self, kind: str, usual: str, encoding: str) -> str:
        if self._rng.random() >= ODD_SHARE:
            return usual
        odd = next(self._turns[kind])(usual)
        return odd if odd is not None and _can_be_written(odd, encoding) else usual


def _can_be_written(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
