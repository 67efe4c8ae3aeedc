"""JARs: fetched once from Maven Central, checked by sha256, kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from lake.errors import LakeError
from lake.java import java
from lake.progress import Progress, silent

INFRA = Path(__file__).parent.parent / "infra"
SPARK_LOCK = INFRA / "spark" / "jars.lock"
BUILD_LOCK = INFRA / "spark" / "build.lock"
JAVA_SOURCES = INFRA / "spark" / "java"
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
REPOSITORY_VARIABLE = "LMSLAKE_MAVEN_REPOSITORY"
ATTEMPTS = 4


@dataclass(frozen=True)
class Artifact:
    """One JAR of a Maven repository and the sha256 that it must have."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.filename}"


def read_lock(lock: Path) -> list[Artifact]:
    """Artifacts of a lock file: lines `group:artifact:version sha256`, `#` opens a comment."""
    artifacts = []
    for line in lock.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, name, version = coordinates.split(":")
            artifacts.append(Artifact(group, name, version, sha256))
    return artifacts


def fetch(artifacts: Sequence[Artifact], folder: Path, progress: Progress = silent) -> list[Path]:
    """The artifacts' files in `folder`; downloads those that are not there.

    A file appears under its name only when it is whole and its sha256 is right, so an interrupted
    or concurrent run leaves nothing wrong. Raises LakeError where the repository cannot be reached
    or gives something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [a for a in artifacts if not (folder / a.filename).exists()]
    if missing:
        progress(f"fetching {len(missing)} JARs into {folder}")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda artifact: _fetch_one(artifact, folder), missing))
    return [folder / a.filename for a in artifacts]


def _fetch_one(artifact: Artifact, folder: Path) -> None:
    repository = os.environ.get(REPOSITORY_VARIABLE) or MAVEN_CENTRAL
    url = f"{repository.rstrip('/')}/{artifact.path}"
    body = _download(url)
    if hashlib.sha256(body).hexdigest() != artifact.sha256:
        raise LakeError(
            f"{url}\nis not the file that the lock names (sha256 differs). "
            f"Try another repository: export {REPOSITORY_VARIABLE}={MAVEN_CENTRAL}"
        )
    publish(folder / artifact.filename, body)


def _download(url: str) -> bytes:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urlopen(url, timeout=120) as response:
                body: bytes = response.read()
                return body
        except (URLError, OSError) as error:
            is_final = isinstance(error, HTTPError) and error.code in (401, 403, 404)
            if is_final or attempt == ATTEMPTS:
                raise LakeError(
                    f"Cannot download {url}\n  {error}\n"
                    f"Behind a proxy or a mirror, set HTTPS_PROXY or {REPOSITORY_VARIABLE}."
                ) from None
            sleep(2**attempt)
    raise AssertionError("unreachable")


def publish(path: Path, body: bytes) -> None:
    """Write a file that other processes see whole or not at all."""
    # The suffix keeps a half-written file out of the class path `folder/*`.
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(body)
    Path(temporary).chmod(0o644)
    Path(temporary).replace(path)


def spark_jars(cache_dir: Path, progress: Progress = silent) -> Path:
    """The folder of all JARs that Spark needs besides its own; fetched and compiled at first use.

    Named by the content of the locks and of the Java sources: another version of the project gets
    another folder. Once complete, no network is used. Raises LakeError (no Java, no network).
    """
    sources = sorted(JAVA_SOURCES.rglob("*.java"))
    digest = hashlib.sha256()
    for file in (SPARK_LOCK, BUILD_LOCK, *sources):
        digest.update(file.read_bytes())
    version = digest.hexdigest()[:16]
    folder = cache_dir.expanduser().absolute() / f"jars-{version}"
    complete = folder / "complete"
    if not complete.exists():
        java()
        jars = fetch(read_lock(SPARK_LOCK), folder, progress)
        [compiler] = fetch(read_lock(BUILD_LOCK), folder.parent / "build")
        progress("compiling the project's Java classes")
        _compile(compiler, sources, jars, folder / f"lmslake-spark-{version}.jar")
        complete.touch()
    return folder


def _compile(compiler: Path, sources: Sequence[Path], jars: Sequence[Path], target: Path) -> None:
    import pyspark

    # Only a class path: importing pyspark starts no JVM.
    shipped = (Path(pyspark.__file__).parent / "jars").glob("*.jar")
    class_path = os.pathsep.join(map(str, (*jars, *shipped)))
    with tempfile.TemporaryDirectory() as classes:
        # -source/-target and not --release: that one needs files that only a JDK has.
        command = [str(java()), "-jar", str(compiler), "-source", "17", "-target", "17", "-nowarn",
                   "-proc:none", "-cp", class_path, "-d", classes, *map(str, sources)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise LakeError(f"The Java classes do not compile:\n{done.stdout}{done.stderr}")
        archive = Path(classes) / "classes.part"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as jar:
            for file in sorted(Path(classes).rglob("*.class")):
                # A fixed time: the same sources give the same bytes.
                entry = zipfile.ZipInfo(file.relative_to(classes).as_posix(), (1980, 1, 1, 0, 0, 0))
                jar.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
        publish(target, archive.read_bytes())
