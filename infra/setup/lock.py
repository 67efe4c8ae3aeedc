"""Print the constraints file: this environment's version of everything that lmslake[dev] needs.

`make lock` writes it to infra/setup/constraints.txt.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distributions

from packaging.requirements import Requirement

HEADER = """\
# The versions that the tests passed with; `make setup` installs these and no others.
# Renew: make lock"""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str, extras: frozenset[str]) -> set[str]:
    """Names of all installed distributions that `name[extras]` needs, without itself."""
    installed: dict[str, Distribution] = {normalised(d.name): d for d in distributions()}
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(normalised(name), extras)]
    while waiting:
        current, wanted = waiting.pop()
        if (current, wanted) in found or current not in installed:
            continue
        found.add((current, wanted))
        for text in installed[current].requires or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in {"", *wanted}):
                waiting.append((normalised(requirement.name), frozenset(requirement.extras)))
    return {current for current, _ in found} - {normalised(name)}


def main() -> None:
    versions = {normalised(d.name): d.version for d in distributions()}
    print(HEADER)
    for name in sorted(needed("lmslake", frozenset({"dev"}))):
        print(f"{name}=={versions[name]}")


if __name__ == "__main__":
    main()
