"""Install the services that the tests start: `python -m infra.services.install`.

MinIO is built from source by Go, because no package registry carries its binary; Kafka is a set of
JARs. Both go to the cache folder once; later runs find them there and use no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from lake.errors import LakeError
from lake.jars import fetch, read_lock
from lake.java import java
from lake.progress import Progress
from lake.settings import default_cache_dir

KAFKA_LOCK = Path(__file__).parent / "kafka" / "jars.lock"
MINIO_MODULE = "github.com/minio/minio"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
INSTALL_COMMAND = "python -m infra.services.install"
GO_MISSING = """\
Go is not installed; the tests build their S3-compatible store (MinIO) with it.
Install Go 1.24 or newer:
  Debian, Ubuntu   sudo apt-get install golang   (or https://go.dev/dl where that is older)
  macOS            brew install go"""


def cache_dir() -> Path:
    """LMSLAKE_CACHE_DIR, else the default of the settings."""
    return Path(os.environ.get("LMSLAKE_CACHE_DIR") or default_cache_dir()).expanduser().absolute()


def minio_program() -> Path:
    return cache_dir() / "bin" / f"minio-{MINIO_VERSION}"


def kafka_jars() -> Path:
    return cache_dir() / "kafka-jars"


def missing_services() -> list[str]:
    """Names of the services that are not installed."""
    missing = [] if minio_program().exists() else ["MinIO"]
    names = [artifact.filename for artifact in read_lock(KAFKA_LOCK)]
    if not all((kafka_jars() / name).exists() for name in names):
        missing.append("Kafka")
    return missing


def install_kafka(progress: Progress) -> None:
    java()
    fetch(read_lock(KAFKA_LOCK), kafka_jars(), progress)


def install_minio(progress: Progress) -> None:
    """Build MinIO unless it is there. Raises LakeError where Go is missing or the build fails."""
    program = minio_program()
    if program.exists():
        return
    go = shutil.which("go")
    if go is None:
        raise LakeError(GO_MISSING)
    program.parent.mkdir(parents=True, exist_ok=True)
    progress("building MinIO with Go: once, about 7 minutes on 2 cores, 1.6 GiB of memory")
    start = monotonic()
    with tempfile.TemporaryDirectory(dir=program.parent) as target:
        command = [
            go,
            "install",
            "-trimpath",
            "-ldflags",
            "-s -w",
            f"{MINIO_MODULE}@{MINIO_VERSION}",
        ]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": target}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise LakeError(f"MinIO does not build:\n{done.stderr[-4000:]}")
        (Path(target) / "minio").replace(program)
    progress(f"MinIO built in {monotonic() - start:.0f} s: {program}")


def main() -> None:
    def say(text: str) -> None:
        print(text, flush=True)

    try:
        install_kafka(say)
        install_minio(say)
    except LakeError as error:
        sys.exit(f"Error: {error}")
    say(f"services are installed in {cache_dir()}")


if __name__ == "__main__":
    main()
