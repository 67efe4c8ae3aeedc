"""One writer of test_concurrent_commits: `python commit_rows.py PATH WRITER COMMITS`."""

from __future__ import annotations

import sys

from lake.session import spark_session
from lake.settings import Settings


def main() -> None:
    path, writer, commits = sys.argv[1], sys.argv[2], int(sys.argv[3])
    spark = spark_session(Settings.from_env(), f"writer {writer}", small=True)
    # Both are ready before either begins: otherwise they hardly meet.
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(commits):
        row = spark.createDataFrame([(writer, number)], "writer string, number int").coalesce(1)
        row.write.format("delta").mode("append").save(path)
        print(f"{writer} {number}", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
