"""The Java runtime that Spark and the services run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from lake.errors import LakeError

MINIMUM_VERSION = 17
INSTALL = """\
Install Java 17 or newer (a full runtime: Spark needs the module jdk.incubator.vector):
  Debian, Ubuntu   sudo apt-get install openjdk-17-jre-headless
  Fedora, RHEL     sudo dnf install java-17-openjdk-headless
  macOS            brew install openjdk@17
or point JAVA_HOME at one."""


@cache
def java() -> Path:
    """The `java` program: from JAVA_HOME, else from PATH.

    Raises LakeError with the line that installs one where it is missing or older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None:
        raise LakeError(f"Java is not installed.\n{INSTALL}")
    try:
        # macOS has a stub named java that only prints an advertisement and fails
        shown = subprocess.run([found, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise LakeError(f"Java does not start: {found}\n{INSTALL}") from None
    version = re.search(r'version "(?:1\.)?(\d+)', shown.stderr + shown.stdout)
    if version is None or int(version[1]) < MINIMUM_VERSION:
        told = f"Java {version[1]}" if version else "an unknown version"
        raise LakeError(
            f"Spark needs Java {MINIMUM_VERSION} or newer; {found} is {told}.\n{INSTALL}"
        )
    return Path(found)


if __name__ == "__main__":  # asked by `make setup` before anything is installed
    try:
        java()
    except LakeError as error:
        raise SystemExit(f"Error: {error}") from None
