"""The command line: parse, one call, print. Heavy imports happen inside the calls, so `--help` is quick."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from d2lbench.commands import flags
from d2lbench.commands.printing import show as _print
from d2lbench.commands.time import time_
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


def _request(**given: Any) -> Any:
    from d2lbench.api.session import Request

    listed = {name: tuple(given.get(name) or ()) for name in ("names", "sets", "only", "plugins")}
    return Request(**{**given, **listed, "scale": given["scale"].value})


@app.command()
def run(
    grids: flags.Grids = None,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    output: flags.Output = flags.REPORT,
    device: flags.DeviceFlag = flags.Device.cpu,
    jobs: flags.Jobs = None,
    sets: flags.Sets = None,
    seeds: flags.Seeds = None,
    only: flags.Only = None,
    plugins: flags.Plugins = None,
    dry_run: flags.DryRun = False,
    no_report: flags.NoReport = False,
    no_costs: flags.NoCosts = False,
    yes: flags.Yes = False,
    as_json: flags.Json = False,
) -> None:
    """Train what the store lacks, then write the report; its path is printed last.

    A second run trains nothing that is there already, and one that was interrupted goes on where it was.
    """
    from d2lbench.api import check as checking
    from d2lbench.api import run as running

    request = _request(
        names=grids, scale=scale, store=store, output=output, device=device.value, jobs=jobs, sets=sets, seeds=seeds,
        only=only, plugins=plugins,
    )  # fmt: skip
    if dry_run:
        _print(checking.check_text(request))
        return
    done = running.run(request, report=not no_report, costs=not no_costs, confirm=None if yes else _confirm)
    _print(done.as_json() if as_json else done.text())
    if not done.summary.complete:
        raise typer.Exit(3)


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(question, err=True)


@app.command()
def check(
    grids: flags.Grids = None,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    device: flags.DeviceFlag = flags.Device.cpu,
    sets: flags.Sets = None,
    seeds: flags.Seeds = None,
    only: flags.Only = None,
    plugins: flags.Plugins = None,
    calibrate: flags.Calibrate = False,
    as_json: flags.Json = False,
) -> None:
    """Check grids without running anything: size, stacks, estimate; every mistake with its place and remedy."""
    from d2lbench.api import check as checking

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    _print((checking.check_json if as_json else checking.check_text)(request, calibrate=calibrate))


@app.command("list")
def list_(
    kind: flags.Kind = None,
    *,
    form: flags.ListForm = flags.ListFormat.text,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """List the grids, or everything registered of one kind with its options.

    With --format markdown: a page of everything that a grid can name.
    """
    from d2lbench.api import listing

    as_json = as_json or form is flags.ListFormat.json
    as_markdown = form is flags.ListFormat.markdown and not as_json
    _print(listing.listed(kind, tuple(plugins or ()), as_json=as_json, as_markdown=as_markdown))


@app.command()
def show(
    name: flags.GridOrCell,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    device: flags.DeviceFlag = flags.Device.cpu,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """Show a grid's arms with what is known of them, or one stored run."""
    from d2lbench.api import show as showing

    request = _request(names=[name], scale=scale, store=store, device=device.value, plugins=plugins)
    _print(showing.shown(request, as_json=as_json))


@app.command()
def report(
    grids: flags.Grids = None,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    output: flags.Output = flags.REPORT,
    device: flags.DeviceFlag = flags.Device.cpu,
    sets: flags.Sets = None,
    seeds: flags.Seeds = None,
    only: flags.Only = None,
    plugins: flags.Plugins = None,
) -> None:
    """Write the report from the store again; nothing is trained."""
    from d2lbench.api import report as reporting

    request = _request(
        names=grids, scale=scale, store=store, output=output, device=device.value, sets=sets, seeds=seeds, only=only,
        plugins=plugins,
    )  # fmt: skip
    _print(str(reporting.write(request)))


@app.command()
def claims(
    grids: flags.Grids = None,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    device: flags.DeviceFlag = flags.Device.cpu,
    sets: flags.Sets = None,
    seeds: flags.Seeds = None,
    only: flags.Only = None,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """Print every claim with its verdict, effect and interval."""
    from d2lbench.api import claims as judging

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    _print(judging.claims_json(request) if as_json else judging.claims_text(request))


@app.command()
def export(
    grids: flags.Grids = None,
    *,
    scale: flags.ScaleFlag = flags.Scale.quick,
    store: flags.StoreFlag = flags.STORE,
    device: flags.DeviceFlag = flags.Device.cpu,
    output: flags.OutputFile = None,
    form: flags.Form = flags.Format.csv,
    sets: flags.Sets = None,
    seeds: flags.Seeds = None,
    only: flags.Only = None,
    plugins: flags.Plugins = None,
) -> None:
    """Write a row per cell: its configuration, what became of it, and a column per metric.

    With --format safetensors, write the final weights of grids that say keep_weights = true: a file per cell into the
    folder that -o names.
    """
    from d2lbench.api import export as exporting
    from d2lbench.core import files

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    if form is flags.Format.safetensors:
        _print(exporting.export_weights(request, output))
        return
    content = exporting.exported(request, form.value)
    if output is None:
        _print(content, end="")
    else:
        files.write_file(output, content)
        _print(str(output))


app.command("time")(time_)


@app.command()
def schema(*, plugins: flags.Plugins = None) -> None:
    """Print the JSON Schema of a grid file, for editors."""
    from d2lbench.api import listing

    _print(listing.schema(tuple(plugins or ())))


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
