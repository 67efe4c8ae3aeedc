"""`lmslake settings`: every setting, where it comes from, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.settings import command
from lake.errors import LakeError
from lake.pipelines.identity import check_student_ids
from lake.settings import BUNDLED_GEOIP, Settings
from lake.storage_local import LocalStore
from lake.transforms.records.conventions import Conventions


def test_settings__shows_values_and_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSLAKE_TENANT", "north")
    lines = CliRunner().invoke(command, catch_exceptions=False).stdout.splitlines()
    rows = {line.split("\t")[0]: line.split("\t")[1:3] for line in lines[1:]}
    assert set(rows) == {f"LMSLAKE_{name.upper()}" for name in Settings.model_fields}
    assert rows["LMSLAKE_TENANT"] == ["north", "environment"]
    assert rows["LMSLAKE_SESSION_GAP_MINUTES"] == ["30", "default"]
    assert rows["LMSLAKE_PSEUDONYM_KEY"] == ["not set", "default"]


def test_settings__shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PSEUDONYM_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY"):
        monkeypatch.setenv(f"LMSLAKE_{name}", "hush hush, dear reader")
    printed = CliRunner().invoke(command, catch_exceptions=False).output
    assert "hush" not in printed
    assert printed.count("set (hidden)\tenvironment") == 3


def test_settings__names_a_wrong_variable_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LMSLAKE_SESSION_GAP_MINUTES", "hush")
    with pytest.raises(LakeError, match="LMSLAKE_SESSION_GAP_MINUTES") as caught:
        CliRunner().invoke(command, catch_exceptions=False)
    assert "hush" not in str(caught.value)


def test_settings__of_a_school_say_how_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "STUDENT_ID_PREFIX": "s-",
        "STUDENT_ID_WIDTH": "1",
        "DATE_ORDER": "dmy",
        "PHONE_REGION": "GB",
        "PRESENCE_WORDS": '{"LATE": true, "EXCUSED": false}',
        "LOCATIONS": '{"München": "Munich"}',
    }
    for name, value in given.items():
        monkeypatch.setenv(f"LMSLAKE_{name}", value)
    assert Settings.from_env().school == Conventions(
        "s-", 1, "dmy", "GB", {"LATE": True, "EXCUSED": False}, {"München": "Munich"}
    )
    printed = CliRunner().invoke(command, catch_exceptions=False).stdout
    assert 'LMSLAKE_LOCATIONS\t{"München": "Munich"}\tenvironment' in printed


def test_settings__without_a_school_are_the_usual_conventions() -> None:
    assert Settings().school == Conventions()
    assert Settings(student_id_prefix="any").school == Conventions(student_prefix=None)


def test_settings__of_risk_have_the_rules_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    from lake.transforms.records.risk import RiskRules

    assert Settings().risk == RiskRules()
    monkeypatch.setenv("LMSLAKE_RISK_SCORE_BELOW", "40")
    monkeypatch.setenv("LMSLAKE_RISK_ABSENCES_IN_A_ROW", "2")
    assert Settings.from_env().risk == RiskRules(score_below=40.0, absences_in_a_row=2)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("STUDENT_ID_PREFIX", "STU1", "cannot be told from the number"),
        ("STUDENT_ID_WIDTH", "19", "less than or equal to 18"),
        ("DATE_ORDER", "ymd", "'dmy' or 'mdy'"),
        ("PHONE_REGION", "Britain", "no region of telephone numbers"),
        ("PRESENCE_WORDS", "LATE", "must be a JSON object"),
        ("PRESENCE_WORDS", '["LATE"]', "must be a JSON object"),
        ("PRESENCE_WORDS", '{"LATE": true, "LATE": false}', "names a word twice"),
        ("PRESENCE_WORDS", '{"LATE": "perhaps"}', "valid boolean"),
        ("LOCATIONS", '{"NYC": 1}', "valid string"),
        ("RISK_ATTENDANCE_BELOW", "80", "less than or equal to 1"),
        ("RISK_ATTENDANCE_DAYS", "0", "greater than or equal to 1"),
        ("RISK_SCORE_DROP", "-15", "greater than 0"),
    ],
)
def test_settings__of_a_school_that_are_wrong_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"LMSLAKE_{name}", value)
    with pytest.raises(LakeError, match=f"LMSLAKE_{name}: .*{says}"):
        Settings.from_env()


def test_settings__of_student_ids_do_not_change_in_a_lake(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    check_student_ids(store, Settings().school)
    check_student_ids(store, Settings(date_order="mdy").school)
    with pytest.raises(LakeError, match="another LMSLAKE_STUDENT_ID_PREFIX: the students"):
        check_student_ids(store, Settings(student_id_prefix="any").school)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRIVER_MEMORY", "four gigabytes"),
        ("SPARK_MASTER", "localhost"),
        ("GEOIP_DATABASE", __file__),
        ("GEOIP_DATABASE", "no-such-file.mmdb"),
    ],
)
def test_settings__refuse_what_spark_would_stumble_over(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LMSLAKE_{name}", value)
    with pytest.raises(LakeError, match=f"LMSLAKE_{name}"):
        Settings.from_env()


def test_settings__take_another_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "other.mmdb"
    copy.write_bytes(BUNDLED_GEOIP.read_bytes())
    monkeypatch.setenv("LMSLAKE_GEOIP_DATABASE", str(copy))
    assert Settings.from_env().geoip_database == copy


def test_settings__tell_of_a_name_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LMSLAKE_DATE_ORDR", "dmy")
    monkeypatch.setenv("LMSLAKE_TEST_KILLS", "1")
    Settings.from_env()
    assert capsys.readouterr().err == (
        "Warning: LMSLAKE_DATE_ORDR is not a setting; did you mean LMSLAKE_DATE_ORDER?\n"
    )
