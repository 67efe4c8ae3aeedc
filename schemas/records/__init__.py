"""What the school's files of records hold."""

from schemas.records.sources import SOURCES, Field, Source

__all__ = ["SOURCES", "Field", "Source"]
