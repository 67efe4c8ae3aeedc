"""What docker/ says, read as Compose and a builder read it: services, instructions, context."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import PROJECT

DOCKER = PROJECT / "docker"
COMPOSE = DOCKER / "compose.yaml"
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+):\?[^}]*\}")


@cache
def compose() -> dict[str, Any]:
    """compose.yaml with anchors and merge keys resolved, variables as they are written."""
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """All services by name, those that only `run` starts too."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def filled(text: str, values: dict[str, str]) -> str:
    """A value of compose.yaml with its variables and `$$` as a container gets it."""
    return VARIABLE.sub(lambda match: values[match[1]], text).replace("$$", "$")


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile in order, continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not re.match(r"\s*#", line)]
    text = "\n".join(lines).replace("\\\n", " ")
    split = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, rest in split]


def last(dockerfile: Path, instruction: str) -> str:
    """The arguments of the last such instruction: what a container starts with."""
    return [rest for word, rest in instructions(dockerfile) if word == instruction][-1]


def exec_form(arguments: str) -> list[str]:
    """The words of ENTRYPOINT or CMD. Raises ValueError for a shell's form."""
    words: list[str] = json.loads(arguments)
    return words


def copied_files(dockerfile: Path) -> Iterator[tuple[Path, Path]]:
    """(file of the project, its place below the WORKDIR) of all COPY from the build context."""
    for word, rest in instructions(dockerfile):
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, target = shlex.split(rest)
        for source in map(PROJECT.joinpath, sources):
            into = Path(target) / source.name if target.endswith("/") else Path(target)
            files = source.rglob("*") if source.is_dir() else [source]
            for file in files:
                if file.is_file() and is_in_context(file.relative_to(PROJECT)):
                    yield file, into / file.relative_to(source)


def is_in_context(path: Path) -> bool:
    """Whether .dockerignore lets the file in: of the patterns that match, the last one counts."""
    is_in = True
    for pattern, is_allowed in _ignore_patterns():
        if any(pattern.fullmatch(str(part)) for part in (path, *path.parents)):
            is_in = is_allowed
    return is_in


@cache
def _ignore_patterns() -> Sequence[tuple[re.Pattern[str], bool]]:
    found = []
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            bare = line.removeprefix("!")
            if re.search(r"[][?\\]", bare):
                raise ValueError(f".dockerignore: {line} needs more than this reader knows")
            parts = re.split(r"(\*\*/|\*\*|\*)", bare)
            meant = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*"}
            regex = "".join(meant.get(part) or re.escape(part) for part in parts)
            found.append((re.compile(regex), bare != line))
    return found
