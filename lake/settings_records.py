"""Settings of school records: where files arrive, how the school writes, what counts as risk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from lake.errors import LakeError
from lake.transforms.records.conventions import Conventions

if TYPE_CHECKING:
    from lake.transforms.records.risk import RiskRules

# In student_id_prefix: an empty variable counts as none, and the default applies.
ANY_PREFIX = "any"


def _json_object(text: Any) -> Any:
    """The object that a variable holds as JSON; anything but text as it is."""
    if not isinstance(text, str):
        return text
    try:
        found = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError:
        raise ValueError("must be a JSON object") from None
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names a word twice")
    return found


class RecordsSettings(BaseSettings):
    """Fields of `lake.settings.Settings`."""

    landing: str | None = Field(
        None,
        description="Where files of school records arrive: a local folder or s3a://bucket/prefix; "
        "unset means `landing` below the root.",
    )
    landing_settle_seconds: float = Field(
        2.0, ge=0, description="A local file that did not change for so long is complete."
    )
    landing_poll_seconds: float = Field(
        10.0, gt=0, description="Between two looks of `land --watch` where nothing wakes it."
    )
    landing_metrics_port: int = Field(
        9111,
        ge=0,
        le=65_535,
        description="Port of /metrics, /healthz and /readyz of `land --watch`, on "
        "LMSLAKE_METRICS_HOST; 0 means none.",
    )
    landing_max_file_bytes: int = Field(
        4 << 30, ge=1, description="Larger files of records, decompressed, are refused."
    )
    student_id_prefix: str = Field(
        "STU",
        min_length=1,
        description="What stands before the number in the LMS's ids of students: `STU` as in "
        "STU001, `s-` as in s-1; `any` where ids are no such numbers. Records and events must give "
        "one pseudonym: it cannot change once records were built.",
    )
    student_id_width: int = Field(
        3, ge=1, le=18, description="Digits of that number, with zeros in front; 1: without."
    )
    date_order: Literal["dmy", "mdy"] | None = Field(
        None,
        description="What 9/12/2025 means in the files: dmy or mdy; unset: such a date is flagged "
        "as ambiguous.",
    )
    phone_region: str | None = Field(
        None, description="Country of telephone numbers without a +, as in GB; unset: they stay."
    )
    presence_words: Annotated[dict[str, bool], NoDecode, BeforeValidator(_json_object)] = Field(
        {}, description='Further words of attendance as JSON: {"LATE": true, "EXCUSED": false}.'
    )
    locations: Annotated[dict[str, str], NoDecode, BeforeValidator(_json_object)] = Field(
        {},
        description='Towns and other spellings of them as JSON: {"NYC": "New York", "Leeds": '
        '"Leeds"}; once it is set, others are flagged.',
    )
    risk_attendance_below: float = Field(
        0.8, gt=0, le=1, description="low_attendance: a smaller share of 30 days is a risk …"
    )
    risk_attendance_days: int = Field(5, ge=1, description="… where so many of them have a record.")
    risk_absences_in_a_row: int = Field(
        3, ge=1, description="absent_in_a_row: so many recorded days without presence are a risk."
    )
    risk_score_below: float = Field(
        50.0, gt=0, le=100, description="low_scores: a lower mean (percent) of 90 days is a risk …"
    )
    risk_assessments: int = Field(3, ge=1, description="… over at least so many assessments.")
    risk_score_drop: float = Field(
        15.0,
        gt=0,
        le=100,
        description="falling_scores: the last three assessments so many points below those before "
        "them are a risk.",
    )

    @field_validator("student_id_prefix")
    @classmethod
    def _usable_prefix(cls, prefix: str) -> str:
        if prefix != ANY_PREFIX:
            _accepted(student_prefix=prefix)
        return prefix

    @field_validator("phone_region")
    @classmethod
    def _known_region(cls, region: str | None) -> str | None:
        _accepted(phone_region=region)
        return region

    @property
    def school(self) -> Conventions:
        """How the school writes what its files hold."""
        prefix = self.student_id_prefix
        return Conventions(
            student_prefix=None if prefix == ANY_PREFIX else prefix,
            student_width=self.student_id_width,
            date_order=self.date_order,
            phone_region=self.phone_region,
            presence_words=self.presence_words,
            locations=self.locations,
        )

    @property
    def risk(self) -> RiskRules:
        """From when on a student is at risk."""
        from lake.transforms.records.risk import RiskRules

        return RiskRules(
            attendance_below=self.risk_attendance_below,
            attendance_days=self.risk_attendance_days,
            absences_in_a_row=self.risk_absences_in_a_row,
            score_below=self.risk_score_below,
            assessments=self.risk_assessments,
            score_drop=self.risk_score_drop,
        )


def _accepted(**convention: Any) -> None:
    """Raises ValueError with the first line of what Conventions says against it."""
    try:
        Conventions(**convention)
    except LakeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
