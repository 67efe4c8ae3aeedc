"""Fetch and compile the JARs that Spark needs: `python -m infra.setup.jars`."""

from __future__ import annotations

import sys

from lake.errors import LakeError
from lake.jars import spark_jars
from lake.settings import Settings


def main() -> None:
    def say(text: str) -> None:
        print(f"  {text}", flush=True)

    try:
        spark_jars(Settings.from_env().cache_dir, say)
    except LakeError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
