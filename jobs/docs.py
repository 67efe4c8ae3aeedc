"""`lmslake docs`: write the generated documentation, or check that it is current."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.cli import run
from lake.errors import LakeError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SETTINGS_HEADER = """# Settings

Generated from `lake/settings.py` by `lmslake docs`: edit that, not this page.

Every setting is an environment variable. `lmslake settings` shows those in force, secrets masked.

| variable | default | meaning |
|---|---|---|
"""
# Defaults that depend on the machine or the installation, as a reader would write them.
SYMBOLIC_DEFAULTS = {
    "cache_dir": "`$XDG_CACHE_HOME/lmslake`, else `~/.cache/lmslake`",
    "geoip_database": "the bundled database",
}


def pages() -> dict[str, str]:
    """Every generated page by its path below the project: text that ends with a line break."""
    from schemas.dictionary import dictionary_page
    from schemas.tables import TABLES

    return {
        "docs/dictionary.md": dictionary_page(TABLES.values()),
        "docs/settings.md": settings_page(),
    }


def settings_page() -> str:
    """Markdown table of all settings: variable, default, meaning. Secrets show no default."""
    from lake.settings import Settings

    prefix = Settings.model_config["env_prefix"]
    lines = [
        f"| `{prefix}{name.upper()}` | {_default(name, field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return SETTINGS_HEADER + "\n".join(lines) + "\n"


def _default(name: str, field: FieldInfo) -> str:
    if "SecretStr" in str(field.annotation):
        return "none (secret)"
    if name in SYMBOLIC_DEFAULTS:
        return SYMBOLIC_DEFAULTS[name]
    if field.default_factory is not None:
        # Such a default is computed on this machine: it must be named above, not printed.
        raise ValueError(f"setting {name} needs an entry in SYMBOLIC_DEFAULTS")
    return "none" if field.default is None else f"`{field.default}`"


def stale_pages(project: Path) -> list[str]:
    """Paths of the generated pages that are missing below `project` or differ from the code."""
    return [
        name
        for name, text in pages().items()
        if not (project / name).is_file() or (project / name).read_text(encoding="utf-8") != text
    ]


@click.command("docs")
@click.option("--check", is_flag=True, help="Write nothing; fail where a page is not current.")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Folder of the project. Default: the current one.",
)
def command(check: bool, project: Path) -> None:
    """Write docs/dictionary.md and docs/settings.md from the declarations in the code."""
    stale = stale_pages(project)
    if check and stale:
        raise LakeError(
            "\n".join(f"{name} is not current." for name in stale)
            + "\n  Run `lmslake docs` and commit the result."
        )
    for name in stale:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages()[name], encoding="utf-8")
        click.echo(f"wrote {name}")
    if not stale:
        click.echo("The generated pages are current.")


if __name__ == "__main__":
    run(command)
