"""Whether behaviour and school records are of the same students. Needs no Spark session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from lake.delta_reading import days_of, is_written, opened_table
from lake.pipelines.identity import STUDENT_IDS_FILE
from lake.pipelines.picture_days import ACTIVITY, STUDENTS
from lake.query import connect, readable_errors
from lake.storage import open_store
from schemas.tables import TABLES
from schemas.tables.student_360 import BEHAVIOUR_DAYS

if TYPE_CHECKING:
    from lake.settings import Settings

COUNTED = f"""
    WITH register AS (SELECT DISTINCT student_hash FROM {STUDENTS}),
    active AS (SELECT DISTINCT student_hash FROM {ACTIVITY} WHERE date BETWEEN $first AND $last)
    SELECT count(*), count(register.student_hash), (SELECT count(*) FROM register)
    FROM active LEFT JOIN register USING (student_hash)
"""


@dataclass(frozen=True)
class Meeting:
    """How many students of behaviour the register knows, by their pseudonyms.

    active: students with an event on one of the BEHAVIOUR_DAYS days that end with `newest`, the
    newest day that has one; known: those of them who are in the register; registered: all who are.
    id_form: the settings by which the lake's records write ids of students; empty where no build
    of records has kept them.
    """

    newest: date
    active: int
    known: int
    registered: int
    id_form: dict[str, str]

    @property
    def is_missed(self) -> bool:
        """Whether there are students on both sides, and none is on both."""
        return self.active > 0 and self.registered > 0 and self.known == 0


def meeting(settings: Settings) -> Meeting | None:
    """None where the lake has no behaviour, or no register. Its cost is that of a month."""
    store = open_store(settings)
    activity = opened_table(store, TABLES[ACTIVITY])
    days = days_of(activity) if activity is not None else []
    if not days or not is_written(TABLES[STUDENTS], store):
        return None
    first = days[-1] - timedelta(days=BEHAVIOUR_DAYS - 1)
    with connect(settings) as connection, readable_errors():
        given = {"first": first, "last": days[-1]}
        active, known, registered = connection.execute(COUNTED, given).fetchall()[0]
    kept = json.loads(store.get(STUDENT_IDS_FILE)) if store.exists(STUDENT_IDS_FILE) else {}
    form = {f"LMSLAKE_{name.upper()}": str(value) for name, value in kept.items()}
    return Meeting(days[-1], active, known, registered, form)
