"""`lmslake settings`: what is in force and where it comes from."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from jobs.cli import run

if TYPE_CHECKING:
    from lake.settings import Settings

# Not a secret by itself, but half of one.
HIDDEN = frozenset({"s3_access_key"})


@click.command("settings")
def command() -> None:
    """Show every setting: its variable, the value in force, where it comes from, its meaning.

    Secrets are never shown, only whether they are set.
    """
    from jobs.tables import print_rows
    from lake.settings import Settings

    rows = setting_rows(Settings.from_env())
    print_rows(["variable", "value", "from", "meaning"], rows, is_first_whole=True)


def setting_rows(settings: Settings) -> list[tuple[str, str, str, str]]:
    """(variable, value or mask, environment or default, meaning) of every setting."""
    prefix = settings.model_config["env_prefix"]
    present = {name.upper() for name in os.environ}
    return [
        (
            variable := f"{prefix}{name.upper()}",
            _shown(name, getattr(settings, name)),
            "environment" if variable in present else "default",
            field.description or "",
        )
        for name, field in type(settings).model_fields.items()
    ]


def _shown(name: str, value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr) or name in HIDDEN:
        return "set (hidden)"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


if __name__ == "__main__":
    run(command)
