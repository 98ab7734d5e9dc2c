"""The command line: the list of verbs, a module each. They import what is heavy when called: `--help` is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from d2lbench.commands import check, claims, export, list, report, run, schema, show, time  # noqa: A004  (verbs)
from d2lbench.commands.printing import show as _print
from d2lbench.core.version import __version__

app = typer.Typer(
    name="d2lbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Put what Dive into Deep Learning teaches about training to the test.\n\n"
    "A question is a grid: a TOML file that says what varies and what is claimed. `d2lbench run` trains what is "
    "missing and writes a report with figures, intervals and a verdict for each claim.\n\n"
    "Start with: d2lbench check; d2lbench run; d2lbench list optimizers",
    epilog="Exit codes: 0 good, 1 a check failed, 2 usage or grid, 3 some cells failed or were skipped or the storage "
    "failed, 70 a bug of ours, 130 interrupted.",
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("list")(list.list_)
app.command("show")(show.show)
app.command("report")(report.report)
app.command("claims")(claims.claims)
app.command("export")(export.export)
app.command("time")(time.time_)
app.command("schema")(schema.schema)


def _version(asked: bool) -> None:  # noqa: FBT001  (typer's callback)
    if asked:
        _print(f"d2lbench {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version
