"""The small job of test_spark_submit: `spark-submit … submitted_job.py FOLDER`."""

from __future__ import annotations

import sys

from lake.session import spark_session
from lake.settings import Settings


def main() -> None:
    folder = sys.argv[1]
    spark = spark_session(Settings.from_env(), "submitted")
    print(f"master {spark.sparkContext.master}")
    # three partitions: the lookups run in the executors' JVM, not in the driver's
    rows = spark.range(0, 300, 1, 3).selectExpr(
        "id", "ip_country(concat('8.8.8.', id % 3)) country"
    )
    rows.write.format("delta").save(folder)
    table = spark.read.format("delta").load(folder)
    countries = [row.country for row in table.select("country").distinct().collect()]
    print(f"rows {table.count()} countries {countries}")
    spark.stop()


if __name__ == "__main__":
    main()
