"""Write the properties file that spark-submit needs, and print its path."""

from __future__ import annotations

import click

from jobs.cli import run


@click.command()
def command() -> None:
    """Write the properties file that spark-submit needs, and print its path.

    A driver's class path is fixed before Python starts, so spark-submit must be told:

    \b
      . .venv/bin/activate
      spark-submit --master spark://HOST:7077 --properties-file "$(lmslake spark-conf)" \\
          jobs/build.py --date 2026-01-31

    The file holds no secret; the job reads LMSLAKE_… from its environment.
    """
    from lake.session import write_submit_properties
    from lake.settings import Settings

    def tell(text: str) -> None:
        click.echo(text, err=True)

    click.echo(write_submit_properties(Settings.from_env(), tell))


if __name__ == "__main__":
    run(command)
