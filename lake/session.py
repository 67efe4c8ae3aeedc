"""The one place that makes a SparkSession."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from lake.errors import LakeError
from lake.jars import INFRA, publish, spark_jars
from lake.java import java
from lake.progress import Progress, silent
from lake.settings import ANY_CORES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lake.settings import Settings

LOG_CONF = INFRA / "spark" / "conf"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
# The JVM prints it before anything of ours runs, and no option turns it off.
INCUBATOR_WARNING = "WARNING: Using incubator modules: jdk.incubator.vector"
# spark-submit names the real master; the properties file only holds what is right for any.
ANY_CLUSTER = "spark://"
# Little data means many short jobs, cold code: less compilation and no parallel collector.
SMALL_JVM = " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# As long as delta-rs waits for an answer of the store.
S3_ANSWER_SECONDS = 30

# Spark keeps what a UI would show, with or without one: the plans of thousands of queries fill the
# heap of a driver that lives long.
KEPT_HISTORY = {
    "spark.ui.retainedJobs": "100",
    "spark.ui.retainedStages": "100",
    "spark.ui.retainedTasks": "1000",
    "spark.sql.ui.retainedExecutions": "20",
}


def spark_session(
    settings: Settings, app_name: str, *, small: bool = False, progress: Progress = silent
) -> SparkSession:
    """A session with Delta, S3A and ip_country(text) → country code; UTC; silent unless it fails.

    small: for little data (a demo, a test); two cores, 1 GB, little compilation.
    Under spark-submit the JVM runs already: what was given there wins, the rest is added.
    `fs.s3a` keys go over the local socket to the JVM, never to a command line or a file.
    Raises LakeError where Java or the JARs are missing, or where spark-submit ran without the
    properties file of `lmslake spark-conf`.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StringType

    java()
    logging.root.addFilter(_is_not_of_py4j)
    jars = spark_jars(settings.cache_dir, progress)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized()
        conf = _missing_conf(dict(SparkConf().getAll()), settings, jars)
    else:
        conf = session_conf(settings, jars, settings.spark_master, small=small)
        if SparkContext._gateway is None:
            if host := conf.get("spark.driver.host"):
                # Spark looks up this machine's name before it reads spark.driver.host, and a name
                # that nobody knows (a container without network) would end it.
                os.environ.setdefault("SPARK_LOCAL_IP", host)
            start = SparkConf().setAll(list(conf.items()))
            SparkContext._ensure_initialized(gateway=_launch(start))
    builder = SparkSession.builder.appName(app_name)
    for key, value in {**conf, **secret_conf(settings)}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.udf.registerJavaFunction("ip_country", "lmslake.IpCountry", StringType())
    return spark


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """False for what py4j says as the root logger: stack traces of errors that it raises, too."""
    return f"{os.sep}py4j{os.sep}" not in record.pathname


def _missing_conf(given: Mapping[str, str], settings: Settings, jars: Path) -> dict[str, str]:
    """What spark-submit did not set. Raises LakeError where it did not set what it alone can."""
    if "spark.sql.extensions" not in given:
        raise LakeError(
            "spark-submit ran without this project's properties. Add:\n"
            "  --properties-file $(lmslake spark-conf)"
        )
    conf = session_conf(settings, jars, given.get("spark.master", settings.spark_master))
    return {key: value for key, value in conf.items() if key not in given}


def session_conf(
    settings: Settings, jars: Path, master: str, *, small: bool = False
) -> dict[str, str]:
    """Spark properties without secrets: what a JVM must know when it starts, and the rest."""
    class_path = f"{LOG_CONF}{os.pathsep}{jars}/*"
    # The default code cache fills up on long plans, and the JIT then switches itself off.
    jvm = "-XX:ReservedCodeCacheSize=256m -Duser.timezone=UTC" + (SMALL_JVM if small else "")
    is_local = master.startswith("local")
    conf = {
        "spark.master": "local[2]" if small and master == ANY_CORES else master,
        "spark.driver.memory": settings.driver_memory or ("1g" if small else "4g"),
        "spark.driver.extraClassPath": class_path,
        "spark.executor.extraClassPath": class_path,
        "spark.driver.extraJavaOptions": jvm,
        "spark.executor.extraJavaOptions": jvm,
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
        # Our tables have paths; Spark makes this folder all the same, but not where a user works.
        "spark.sql.warehouse.dir": str(jars.parent / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **KEPT_HISTORY,
        "spark.lmslake.geoip.database": str(settings.geoip_database.absolute()),
        **_sql_conf(is_local=is_local, small=small),
        **_s3_conf(settings),
    }
    if is_local:
        # Nothing of a local session may be reached from outside, whatever the host's name is.
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return conf


def _sql_conf(*, is_local: bool, small: bool) -> dict[str, str]:
    conf = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
        "spark.sql.session.timeZone": "UTC",
        # Frames are cached to be read once or twice: looking for the best encoding costs more.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # Texts are lowered to look for words in ASCII.
        "spark.sql.icu.caseMappings.enabled": "false",
        # Hardly a value comes twice.
        "spark.hadoop.parquet.enable.dictionary#event_id": "false",
        "spark.hadoop.parquet.enable.dictionary#_body_hash": "false",
        # The default of 50 tasks per snapshot costs seconds at every commit of a small log.
        "spark.databricks.delta.snapshotPartitions": "1" if small else "2",
        # A build has more generated classes than the default of 100 keeps: each build of a session
        # would compile all of them again.
        "spark.sql.codegen.cache.maxEntries": "2000",
        # Several calls to the JVM for each column expression, to name lines in messages.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Readers without Spark (Polars, delta-rs) fail on tables that have them.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    }
    if is_local:
        # Adaptive execution merges small ones; more than this only costs on one machine.
        partitions = 2 if small else max(16, 4 * (os.cpu_count() or 1))
        conf["spark.sql.shuffle.partitions"] = str(partitions)
        # Planning anew after each stage costs more than the stages of little data.
        conf["spark.sql.adaptive.enabled"] = str(not small).lower()
        # Its default of 10,000 tasks makes a small VACUUM take minutes on one machine.
        conf["spark.sql.sources.parallelPartitionDiscovery.parallelism"] = "4"
    return conf


def _s3_conf(settings: Settings) -> dict[str, str]:
    conf = {
        # Delta's own store loses commits when two drivers write to one table.
        "spark.delta.logStore.s3a.impl": "lmslake.S3ConditionalLogStore",
        "spark.hadoop.fs.s3a.endpoint.region": settings.s3_region,
        # Its default of 200 s holds a query up long after a store that hung is well again.
        "spark.hadoop.fs.s3a.connection.timeout": f"{S3_ANSWER_SECONDS}s",
    }
    if settings.s3_endpoint:
        conf |= {
            "spark.hadoop.fs.s3a.endpoint": settings.s3_endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
        }
    return conf


def secret_conf(settings: Settings) -> dict[str, str]:
    """Properties with the store's keys; empty where none are set (AWS's own chain finds them)."""
    if not settings.s3_access_key or settings.s3_secret_key is None:
        return {}
    return {
        "spark.hadoop.fs.s3a.access.key": settings.s3_access_key,
        "spark.hadoop.fs.s3a.secret.key": settings.s3_secret_key.get_secret_value(),
    }


def write_submit_properties(settings: Settings, progress: Progress = silent) -> Path:
    """Write the file for `spark-submit --properties-file`, and return its path.

    It holds what the driver's JVM must know before Python starts. All that names a lake (object
    store, keys, IP database) is read by the job from its environment, and the master is left to
    spark-submit.
    """
    conf = session_conf(settings, spark_jars(settings.cache_dir, progress), ANY_CLUSTER)
    path = settings.cache_dir.expanduser().absolute() / "spark-defaults.conf"
    try:
        publish(path, _properties(conf).encode())
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _properties(conf: Mapping[str, str]) -> str:
    left_out = (
        "spark.master", "spark.driver.host", "spark.driver.bindAddress", "spark.hadoop.",
        "spark.lmslake.",
    )  # fmt: skip
    lines = ["# Written by `lmslake spark-conf`."]
    for key, value in sorted(conf.items()):
        if not key.startswith(left_out):
            escaped = value.replace("\\", "\\\\")
            lines.append(f"{key}={escaped}")
    return "\n".join(lines) + "\n"


def _launch(conf: Any) -> Any:
    """Start the JVM; its stderr is ours but for one warning line."""
    from pyspark.java_gateway import launch_gateway

    # Read while the JVM starts: what it says when it cannot start must be seen.
    read_end, write_end = os.pipe()
    Thread(target=_forward, args=(os.fdopen(read_end, "rb"),), daemon=True).start()
    try:
        return launch_gateway(conf, {"stderr": write_end})
    finally:
        os.close(write_end)


def _forward(stderr: IO[bytes]) -> None:
    for line in stderr:
        text = line.decode(errors="replace")
        if text.strip() != INCUBATOR_WARNING:
            sys.stderr.write(text)
