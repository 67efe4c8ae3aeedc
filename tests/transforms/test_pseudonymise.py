"""Pseudonyms are HMAC-SHA256, and the key shows in no plan."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import reduce

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.pseudonymise import hmac_pads, pseudonym_keys, pseudonymise_events

KEYS = (b"sixteen bytes ok", b"k" * 63, b"k" * 64, b"k" * 65, bytes(range(256)))
TENANTS = ("default", "schülerhaus \u00fc\U0001f600", "a\x1fb")
STUDENTS = ("s1", "S1", " s1 ", "ßtudent 3", "學生", "\U0001f600", "e\u0301", "\u00e9", "x" * 5_000)


def expected(key: bytes, tenant: str, student: str) -> str:
    message = tenant.encode() + b"\x1f" + student.encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def test_pseudonymise_events__equals_hmac_of_python(spark: SparkSession) -> None:
    students = spark.createDataFrame([(s,) for s in STUDENTS], "student_id string")
    cases = [(key, tenant) for key in KEYS for tenant in TENANTS]
    frames = [
        pseudonymise_events(
            students.select("student_id", F.col("student_id").alias("clear"), F.lit(n).alias("n")),
            pseudonym_keys(spark, key, tenant),
        )
        for n, (key, tenant) in enumerate(cases)
    ]
    joined = reduce(lambda left, right: left.unionByName(right), frames)
    assert joined.columns == ["clear", "n", "student_hash"]
    found = {(row.n, row.clear): row.student_hash for row in joined.collect()}
    assert found == {
        (n, student): expected(key, tenant, student)
        for n, (key, tenant) in enumerate(cases)
        for student in STUDENTS
    }
    assert len(set(found.values())) == len(cases) * len(STUDENTS)


def test_pseudonymise_events__null_stays_null(spark: SparkSession) -> None:
    nobody = spark.createDataFrame([(None,)], "student_id string")
    (row,) = pseudonymise_events(nobody, pseudonym_keys(spark, KEYS[0], "t")).collect()
    assert row.student_hash is None


def secret_forms(key: bytes, tenant: str) -> set[str]:
    """The key and its pads as a plan or a file could show them."""
    forms: set[str] = set()
    for secret in (key, *hmac_pads(key, tenant)):
        forms |= {secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode()}
        forms |= {secret.hex(" ").upper(), ", ".join(map(str, secret)), secret.decode("latin-1")}
    return forms


@pytest.mark.parametrize("key", KEYS[:1] + KEYS[-1:])
def test_pseudonymise_events__no_plan_shows_the_key(spark: SparkSession, key: bytes) -> None:
    students = spark.createDataFrame([("s1",)], "student_id string")
    rows = pseudonymise_events(students, pseudonym_keys(spark, key, "t"))
    rows.collect()
    plan = rows._jdf.queryExecution()
    shown = (
        plan.toString()
        + plan.stringWithStats()
        + plan.explainString(
            spark._jvm.org.apache.spark.sql.execution.ExplainMode.fromString("extended")  # type: ignore[union-attr]
        )
    )
    assert "student_hash" in shown
    # A plan cuts long values: their beginnings would already be too much.
    assert not [form for form in secret_forms(key, "t") if form[:12] in shown]
