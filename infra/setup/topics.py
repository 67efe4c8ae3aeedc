"""Make the topics that the settings name, where they are missing: `python -m infra.setup.topics`.

For trying things out: partitions and replication of a cluster in use are its owner's to choose.
"""

from __future__ import annotations

import sys

from lake.errors import LakeError
from lake.settings import Settings
from schemas.records import SOURCES
from streaming.consumer import KafkaOptions
from streaming.producer import ensure_topics


def make_topics(settings: Settings) -> list[str]:
    """The topics of events and of school records that were missing. Raises LakeError."""
    options = KafkaOptions.from_settings(settings)
    of_records = [f"{settings.school_topics_prefix}{source}" for source in SOURCES]
    return [
        *ensure_topics(options, list(settings.topics), create=True),
        # Few messages: one partition each makes fewer, larger files.
        *ensure_topics(options, of_records, create=True, partitions=1),
    ]


def main() -> None:
    try:
        made = make_topics(Settings.from_env())
    except LakeError as error:
        sys.exit(f"Error: {error}")
    print(f"made {', '.join(made)}" if made else "all topics are there")


if __name__ == "__main__":
    main()
