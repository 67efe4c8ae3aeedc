"""docker/Dockerfile: what it copies is all that lmslake needs, and holds nothing secret."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from infra.services.install import MINIO_VERSION
from infra.setup.lock import needed, normalised
from jobs.cli import COMMANDS
from lake.java import MINIMUM_VERSION
from lake.settings import Settings
from schemas.events import schemas
from tests.conftest import PROJECT
from tests.docker.project import DOCKER, copied_files, instructions, is_in_context, services

DOCKERFILE = DOCKER / "Dockerfile"
# The help of every command, and all that the packages read as files.
ASK = """
import json, sys
from click import Context, Group
from click.testing import CliRunner
from jobs.cli import cli
from lake.jars import spark_jars
from lake.session import LOG_CONF
from lake.settings import Settings
from schemas.events import schemas, shared_definitions

def commands(group, words):
    for name in group.list_commands(Context(group)):
        command = group.get_command(Context(group), name)
        yield [*words, name]
        if isinstance(command, Group):
            yield from commands(command, [*words, name])

asked = list(commands(cli, []))
settings = Settings.from_env()
print(json.dumps({
    "asked": asked,
    "failed": [w for w in asked if CliRunner().invoke(cli, [*w, "--help"]).exit_code],
    "lake": sys.modules["lake"].__file__,
    "jobs": sys.modules["jobs"].__file__,
    "schemas": {kind: sorted(versions) for kind, versions in schemas().items()},
    "shared": bool(shared_definitions()[1]),
    "files": [settings.geoip_database.is_file(), (LOG_CONF / "log4j2.properties").is_file()],
    "jars": str(spark_jars(settings.cache_dir)),
}))
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the image has at its WORKDIR."""
    folder = tmp_path_factory.mktemp("image")
    for file, place in copied_files(DOCKERFILE):
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def test_copy__takes_whole_packages(image: Path, project: dict[str, Any]) -> None:
    packages = [p.rstrip("*") for p in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    for package in packages:
        files = {
            file.relative_to(PROJECT)
            for file in (PROJECT / package).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        copied = (image / package).rglob("*")
        assert {file.relative_to(image) for file in copied if file.is_file()} == files
    assert (image / project["project"]["readme"]).is_file()
    [constraints] = re.findall(r"--constraint (\S+)", DOCKERFILE.read_text())
    assert (image / constraints).is_file()


def test_context__has_nothing_secret_or_local() -> None:
    for path in ("docker/.env", "lake.key", ".git/config", ".venv/bin/python", "demo-data/demo.key",
                 "tests/conftest.py", "lake/__pycache__/jars.cpython-311.pyc"):  # fmt: skip
        assert not is_in_context(Path(path)), path
    assert is_in_context(Path("schemas/events/page_view/1.0.json"))


def test_packages__run_without_the_rest(image: Path, tmp_path: Path) -> None:
    """No command needs tests, docs or benchmarks, and no file that the image does not have."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        # Before the place that this environment has lmslake from. Nothing may be fetched.
        env={**os.environ, "PYTHONPATH": str(image), "LMSLAKE_MAVEN_REPOSITORY": "file:///none"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [told["lake"], told["jobs"]] == [
        str(image / package / "__init__.py") for package in ("lake", "jobs")
    ]
    assert told["failed"] == []
    assert [words[0] for words in told["asked"] if len(words) == 1] == list(COMMANDS)
    assert told["schemas"] == {kind: sorted(versions) for kind, versions in schemas().items()}
    assert told["shared"]
    assert told["files"] == [True, True]
    # The same name: the locks and the Java sources are all there.
    assert Path(told["jars"]).parent == Settings().cache_dir.expanduser().absolute()


def test_imports__are_of_what_the_image_installs(image: Path) -> None:
    """It has no tools of development; what they bring along must not be needed by chance."""
    installed = needed("lmslake", frozenset())
    providers = packages_distributions()
    own = {path.name for path in image.iterdir()}
    missing = set()
    for file in image.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for top in {name.partition(".")[0] for name in names}:
                by = {normalised(name) for name in providers.get(top, [])}
                if top not in own and top not in sys.stdlib_module_names and not by & installed:
                    missing.add((top, file.relative_to(image).as_posix()))
    assert missing == set()


def test_versions__are_those_of_the_project(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    bases = {rest.split()[0] for word, rest in instructions(DOCKERFILE) if word == "FROM"}
    [base] = bases
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base), "two stages share one venv"
    assert project["project"]["requires-python"] == ">=3.11"
    for package in re.findall(r"openjdk-(\d+)-jre-headless", DOCKERFILE.read_text()):
        assert int(package) >= MINIMUM_VERSION
    assert services()["bucket"]["image"] == f"lmslake:{version}"
    assert services()["store"]["image"] == f"lmslake-store:{version}"
    store = dict(instructions(DOCKER / "Dockerfile.minio"))
    assert store["ARG"] == f"MINIO_VERSION={MINIO_VERSION}"


def test_environment__is_of_real_settings_and_its_folders_are_writable() -> None:
    text = " ".join(rest for word, rest in instructions(DOCKERFILE) if word == "ENV")
    values = dict(re.findall(r"(LMSLAKE_\w+)=(\S+)", text))
    assert set(values) == {"LMSLAKE_CACHE_DIR", "LMSLAKE_ROOT"}
    last_stage = DOCKERFILE.read_text().rpartition("FROM ")[2]
    for folder in values.values():
        assert f"install -d -o lake -g lake {folder}\n" in last_stage
    assert last_stage.index("USER lake") > last_stage.rindex("install -d")
