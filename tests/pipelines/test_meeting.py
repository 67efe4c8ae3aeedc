"""Whether behaviour and school records meet: told and, where nobody is on both sides, warned of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from jobs.picture import print_meeting
from lake.pipelines.identity import check_student_ids
from lake.pipelines.meeting import meeting
from lake.settings import Settings
from lake.storage_local import LocalStore
from tests.oracle.picture import ACTIVITY, STUDENTS
from tests.pipelines.picture_world import day, write_world

MakeSettings = Callable[..., Settings]


def test_meeting__is_missed_where_records_write_other_ids(
    settings: MakeSettings, lake_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> tuple[str, str]:
        print_meeting(meeting(settings()))
        return capsys.readouterr()

    known = {"class_id": "9Z", "grade_level": 9, "enrollment_status": "active", "is_current": True}
    since = {"valid_from": datetime.combine(day(0), time(12), UTC), "valid_to": None}
    register = [known | since | {"student_hash": c * 64, "quality_flags": []} for c in "ab"]
    behaviour = [{"student_hash": c * 64, "date": day(n)} for c, n in (("c", 40), ("a", 9))]
    write_world(lake_root, {ACTIVITY: behaviour})
    assert said() == ("", "")
    write_world(lake_root, {STUDENTS: register})
    school = settings(student_id_prefix="s-", student_id_width=1).school
    check_student_ids(LocalStore(lake_root), school)
    out, err = said()
    # Behaviour that is older than what a picture tells of does not count.
    assert f"in the 31 days to {day(40)}: 1; the register knows 0 of them." in out
    assert "none of the 2 students of the register has events there" in err
    assert "LMSLAKE_STUDENT_ID_PREFIX=s- LMSLAKE_STUDENT_ID_WIDTH=1" in err
    write_world(lake_root, {ACTIVITY: [{"student_hash": "a" * 64, "date": day(40)}]})
    out, err = said()
    assert ": 2; the register knows 1 of them." in out
    assert not err
