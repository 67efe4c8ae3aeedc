"""Fetching JARs: only the right bytes, only whole files, only what pyspark does not ship."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pyspark
import pytest

from infra.services.install import KAFKA_LOCK
from lake.errors import LakeError
from lake.jars import BUILD_LOCK, SPARK_LOCK, Artifact, fetch, read_lock

BODY = b"a jar"


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """One artifact in a repository that is a folder."""
    published = Artifact("org.example", "thing", "1.0", hashlib.sha256(BODY).hexdigest())
    file = tmp_path / "repository" / published.path
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    monkeypatch.setenv("LMSLAKE_MAVEN_REPOSITORY", (tmp_path / "repository").as_uri())
    return published


def test_fetch__takes_what_the_lock_names(artifact: Artifact, tmp_path: Path) -> None:
    told: list[str] = []
    [file] = fetch([artifact], tmp_path / "jars", told.append)
    assert file.read_bytes() == BODY
    assert len(told) == 1
    fetch([artifact], tmp_path / "jars", told.append)
    assert len(told) == 1, "the second time there is nothing to do"


def test_fetch__refuses_other_bytes(artifact: Artifact, tmp_path: Path) -> None:
    other = Artifact("org.example", "thing", "1.0", "0" * 64)
    with pytest.raises(LakeError, match="sha256 differs"):
        fetch([other], tmp_path / "jars")
    assert list((tmp_path / "jars").iterdir()) == []


def test_fetch__names_what_it_cannot_get(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake.jars.sleep", lambda _: None)
    absent = Artifact("org.example", "absent", "2.0", "0" * 64)
    with pytest.raises(LakeError, match=r"absent-2\.0\.jar(.|\n)*LMSLAKE_MAVEN_REPOSITORY"):
        fetch([artifact, absent], tmp_path / "jars")


@pytest.mark.parametrize("lock", [SPARK_LOCK, BUILD_LOCK, KAFKA_LOCK], ids=lambda p: p.parent.name)
def test_lock__is_complete_and_has_no_doubles(lock: Path) -> None:
    artifacts = read_lock(lock)
    assert artifacts
    assert all(re.fullmatch("[0-9a-f]{64}", artifact.sha256) for artifact in artifacts)
    names = [artifact.name for artifact in artifacts]
    assert len(names) == len(set(names))


def test_spark_lock__holds_nothing_that_pyspark_ships() -> None:
    """A second version of Hadoop, Parquet or Jackson in front of Spark's own breaks at run time."""
    shipped = {
        re.sub(r"-\d.*", "", file.name)
        for file in (Path(pyspark.__file__).parent / "jars").glob("*.jar")
    }
    assert len(shipped) > 100
    assert not shipped & {artifact.name for artifact in read_lock(SPARK_LOCK)}
