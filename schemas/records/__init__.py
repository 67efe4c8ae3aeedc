"""What the school's files of records hold."""

from schemas.records.sources import AMBIGUOUS_DATE, SOURCES, Field, Source

__all__ = ["AMBIGUOUS_DATE", "SOURCES", "Field", "Source"]
