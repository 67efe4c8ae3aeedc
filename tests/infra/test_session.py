"""The session: Delta on folders and on S3, UTC, countries of addresses, no secret in sight."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from lake.jars import spark_jars
from lake.session import secret_conf, session_conf, write_submit_properties
from lake.settings import Settings
from tests.services import Minio

ADDRESSES: dict[str, str | None] = {
    "8.8.8.8": "US",
    "193.0.6.139": "NL",
    "2001:4860:4860::8888": "US",
    "2001:4860:4860:0:0:0:0:8888": "US",
    "::ffff:8.8.8.8": "US",
    # belong to no country
    "10.0.0.1": None,
    "172.16.4.1": None,
    "192.168.1.1": None,
    "100.64.0.1": None,
    "127.0.0.1": None,
    "203.0.113.7": None,
    "224.0.0.1": None,
    "::1": None,
    "::": None,
    "fe80::1": None,
    "fd00::1": None,
    "2001:db8::1": None,
    # are not addresses
    "": None,
    "localhost": None,
    "dns.google": None,
    "8.8.8": None,
    "8.8.8.256": None,
    "08.8.8.8": None,
    " 8.8.8.8": None,
    "8.8.8.8:80": None,
    "134744072": None,
    "[::1]": None,
    "2001:4860:4860::8888%eth0": None,
    "1::2::3": None,
    "1:2:3:4:5:6:7:8:9": None,
    "1:2:3:4:5:6:7::8": None,
    "8.8.8.8::": None,
    "٨.٨.٨.٨": None,
}


def test_ip_country__knows_literals_only(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(ip,) for ip in (*ADDRESSES, None)], "ip string")
    found = {
        row.ip: row.country for row in rows.selectExpr("ip", "ip_country(ip) country").collect()
    }
    assert found.pop(None) is None
    assert found == ADDRESSES


def test_ip_country__reads_both_forms_of_record(spark: SparkSession) -> None:
    """The bundled database's, and MaxMind's own."""
    country = spark._jvm.lmslake.IpCountry.country  # type: ignore[union-attr]
    assert country({"country_code": "NL"}) == "NL"
    assert country({"country": {"iso_code": "DE", "geoname_id": 1}, "continent": {}}) == "DE"
    assert country({"continent": {"code": "EU"}}) is None
    assert country({"country_code": ""}) is None
    assert country(None) is None


def test_session__writes_and_reads_delta_locally(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "numbers")
    spark.range(100).write.format("delta").save(path)
    spark.range(100, 150).write.format("delta").mode("append").save(path)
    assert spark.read.format("delta").load(path).count() == 150


@pytest.mark.services
def test_session__writes_and_reads_delta_on_s3(spark: SparkSession, minio: Minio) -> None:
    path = f"{minio.settings().root}/numbers"
    spark.range(100).write.format("delta").save(path)
    spark.range(50).write.format("delta").mode("overwrite").save(path)
    assert spark.read.format("delta").load(path).count() == 50
    assert spark.read.format("delta").option("versionAsOf", 0).load(path).count() == 100


def _write_commit(spark: SparkSession, uri: str, *lines: str) -> None:
    """Through the store itself, as Delta does it: never over a commit that exists."""
    jvm: Any = spark._jvm
    hadoop = spark._jsc.hadoopConfiguration()
    store = jvm.lmslake.S3ConditionalLogStore(hadoop)
    actions = jvm.java.util.ArrayList()
    for line in lines:
        actions.add(line)
    store.write(jvm.org.apache.hadoop.fs.Path(uri), actions.iterator(), False, hadoop)


@pytest.mark.services
def test_log_store__tells_the_second_writer_of_a_version(spark: SparkSession, minio: Minio) -> None:
    commit = f"{minio.settings().root}/_delta_log/0.json"
    _write_commit(spark, commit, '{"txnId":"first"}', "{}")
    with pytest.raises(Exception, match="FileAlreadyExistsException"):
        _write_commit(spark, commit, '{"txnId":"second"}', "{}")
    assert [row.value for row in spark.read.text(commit).collect()] == ['{"txnId":"first"}', "{}"]


class _Overtaken:
    """Actions of a commit; while they are read, another driver commits the same version."""

    def __init__(self, overtake: Callable[[], object]) -> None:
        self.overtake = overtake
        self.lines = ['{"txnId":"second"}']

    def hasNext(self) -> bool:  # noqa: N802  (Java's name)
        return bool(self.lines)

    def next(self) -> str:
        self.overtake()
        return self.lines.pop()

    class Java:
        implements: ClassVar = ["java.util.Iterator"]


@pytest.mark.services
def test_log_store__loses_to_a_driver_that_commits_in_between(
    spark: SparkSession, minio: Minio
) -> None:
    """Delta's own store looks first and writes then: here it would overwrite the other's rows."""
    ensure_callback_server_started(spark.sparkContext._gateway)
    jvm: Any = spark._jvm
    hadoop = spark._jsc.hadoopConfiguration()
    uri = f"{minio.settings().root}/_delta_log/0.json"
    key = uri.removeprefix(f"s3a://{minio.bucket}/")

    def other_driver_commits() -> None:
        minio.client().put_object(Bucket=minio.bucket, Key=key, Body=b'{"txnId":"first"}\n')

    store = jvm.lmslake.S3ConditionalLogStore(hadoop)
    actions = _Overtaken(other_driver_commits)
    with pytest.raises(Exception, match="FileAlreadyExistsException"):
        store.write(jvm.org.apache.hadoop.fs.Path(uri), actions, False, hadoop)
    assert [row.value for row in spark.read.text(uri).collect()] == ['{"txnId":"first"}']


@pytest.mark.services
def test_log_store__knows_its_own_commit_again(spark: SparkSession, minio: Minio) -> None:
    """S3A repeats a PUT whose answer was lost; a conflict would make Delta commit twice."""
    commit = f"{minio.settings().root}/_delta_log/0.json"
    _write_commit(spark, commit, '{"txnId":"first"}')
    _write_commit(spark, commit, '{"txnId":"first"}')


@pytest.mark.services
def test_log_store__without_a_transaction_id_takes_same_bytes_for_a_conflict(
    spark: SparkSession, minio: Minio
) -> None:
    commit = f"{minio.settings().root}/_delta_log/0.json"
    _write_commit(spark, commit, "{}")
    with pytest.raises(Exception, match="FileAlreadyExistsException"):
        _write_commit(spark, commit, "{}")


def test_session__runs_in_utc(spark: SparkSession) -> None:
    text = spark.sql("SELECT string(timestamp'2024-06-01T00:00:00+02:00') AS at").first()
    assert text is not None
    assert text.at == "2024-05-31 22:00:00"


def test_properties__hold_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        s3_access_key="the-access-key", s3_secret_key="the-secret-key", root="s3a://b/p"
    )
    text = write_submit_properties(settings).read_text()
    assert "the-access-key" not in text
    assert "the-secret-key" not in text
    assert "the-secret-key" not in str(session_conf(settings, tmp_path, "local[*]"))
    assert secret_conf(settings)["spark.hadoop.fs.s3a.secret.key"] == "the-secret-key"


def test_conf__is_bound_to_this_machine_only_where_it_runs_locally(tmp_path: Path) -> None:
    assert session_conf(Settings(), tmp_path, "local[*]")["spark.driver.host"] == "127.0.0.1"
    assert "spark.driver.host" not in session_conf(Settings(), tmp_path, "spark://other:7077")


def test_session__starts_where_nobody_knows_this_machines_name(spark: SparkSession) -> None:
    """Spark looks its own host up unless told not to, and a name that is unknown ends it."""
    jvm: Any = spark._jvm
    assert jvm.java.lang.System.getenv("SPARK_LOCAL_IP") == "127.0.0.1"


def test_jars__second_call_uses_no_network(
    monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Settings]
) -> None:
    folder = spark_jars(settings().cache_dir)
    monkeypatch.setenv("LMSLAKE_MAVEN_REPOSITORY", "http://127.0.0.1:1/")
    assert spark_jars(settings().cache_dir) == folder


@pytest.mark.slow
@pytest.mark.services
def test_session__is_silent_and_shows_no_key_to_other_processes(
    minio: Minio, tmp_path: Path
) -> None:
    code = """
        import subprocess
        from lake.session import spark_session
        from lake.settings import Settings
        spark = spark_session(Settings.from_env(), "silent", small=True)
        spark.range(10).write.format("delta").save("TABLE")
        listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
        assert "org.apache.spark.deploy.SparkSubmit" in listed
        assert Settings.from_env().s3_secret_key.get_secret_value() not in listed
        spark.stop()
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code).replace("TABLE", str(tmp_path / "table"))],
        env={**os.environ, **minio.environment()},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
