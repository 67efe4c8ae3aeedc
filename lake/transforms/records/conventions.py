"""What only the school knows about the spelling of its own exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lake.errors import LakeError

if TYPE_CHECKING:
    from lake.transforms.records.times import DateOrder


@dataclass(frozen=True)
class Conventions:
    """Answers to what a text alone cannot tell; without them doubtful values are flagged.

    student_prefix, student_width: how the LMS writes the ids of students, so that records and
    behaviour meet in one pseudonym: `STU`, 3 for STU001; `s-`, 1 for s-1; None: any ids.
    date_order: what 9/12/2025 means. phone_region: country (`GB`) of numbers without a +.
    presence_words: further words of attendance (`{"LATE": True}`). locations: spellings of towns
    (`{"NYC": "New York"}`); where there are any, other towns are flagged.
    Raises LakeError where an answer cannot be right.
    """

    student_prefix: str | None = "STU"
    student_width: int = 3
    date_order: DateOrder | None = None
    phone_region: str | None = None
    presence_words: Mapping[str, bool] = field(default_factory=dict)
    locations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        prefix = self.student_prefix
        if prefix is not None and not (prefix.isascii() and prefix and not prefix[-1].isdigit()):
            raise LakeError(
                f"The prefix {prefix!r} of student ids cannot be told from the number behind it.\n"
                "  Use ASCII characters, the last of them no digit, as in STU or s-."
            )
        if not 1 <= self.student_width <= 18:
            raise LakeError(
                f"Student ids of {self.student_width} digits are not possible.\n"
                "  The width goes from 1 (no zeros in front) to 18."
            )
        if self.date_order not in (None, "dmy", "mdy"):
            raise LakeError(
                f"{self.date_order!r} is no order of dates.\n"
                "  Use dmy (31/12/2025), mdy (12/31/2025), or leave it out."
            )
        self._check_region()

    def _check_region(self) -> None:
        if self.phone_region is None:
            return
        from phonenumbers import SUPPORTED_REGIONS

        if self.phone_region not in SUPPORTED_REGIONS:
            raise LakeError(
                f"{self.phone_region!r} is no region of telephone numbers.\n"
                "  Use the country's two capital letters, as in GB or IN."
            )
