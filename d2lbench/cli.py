"""The command line: parse, one call, print. Heavy imports happen inside the calls, so `--help` is quick."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from d2lbench import __version__
from d2lbench.errors import D2lbenchError

INTERRUPTED = 130
OUR_BUG = 70


class Scale(str, Enum):
    """The two sizes of a grid."""

    quick = "quick"
    full = "full"


class Device(str, Enum):
    """Where training runs."""

    cpu = "cpu"
    cuda = "cuda"


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

Grids = Annotated[
    list[str] | None, typer.Argument(metavar="[GRID]...", help="Names of grids or paths of grid files. Default: all.")
]
ScaleFlag = Annotated[Scale, typer.Option("--scale", help="quick: embedded data, minutes. full: Fashion-MNIST.")]
StoreFlag = Annotated[
    Path, typer.Option("--store", envvar="D2LBENCH_STORE", help="The file that holds every run.", show_default=True)
]
DeviceFlag = Annotated[Device, typer.Option("--device", envvar="D2LBENCH_DEVICE", help="Where training runs.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the grid: --set epochs=3. May be repeated."),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Run seeds 0 to N-1 instead of the grid's own.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ARM", help="Only arms whose label contains ARM. May be repeated.")
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Python file that registers things of its own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder of the report.")]

STORE = Path(".d2lbench/store.sqlite")
REPORT = Path(".d2lbench/report")


def _request(**given: Any) -> Any:
    from d2lbench.suite import Request

    listed = {name: tuple(given.get(name) or ()) for name in ("names", "sets", "only", "plugins")}
    return Request(**{**given, **listed, "scale": given["scale"].value})


@app.command()
def run(  # noqa: PLR0913  (each is a flag)
    grids: Grids = None,
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    output: Output = REPORT,
    device: DeviceFlag = Device.cpu,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes. Default: one a core.")] = None,
    sets: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    plugins: Plugins = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Train only.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before more than 10,000 cells.")] = False,
    as_json: Json = False,
) -> None:
    """Train what the store lacks, then write the report; its path is printed last.

    A second run trains nothing that is there already, and one that was interrupted goes on where it was.
    """
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, output=output, device=device.value, jobs=jobs, sets=sets, seeds=seeds,
        only=only, plugins=plugins,
    )  # fmt: skip
    if dry_run:
        typer.echo(suite.check_text(request))
        return
    done = suite.run(request, report=not no_report, confirm=None if yes else _confirm)
    typer.echo(done.as_json() if as_json else done.text())
    if not done.summary.complete:
        raise typer.Exit(3)


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(question, err=True)


@app.command()
def check(
    grids: Grids = None,
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    device: DeviceFlag = Device.cpu,
    sets: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Check grids without running anything: size, stacks, estimate; every mistake with its place and remedy."""
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    typer.echo(suite.check_json(request) if as_json else suite.check_text(request))


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="grids, or a kind: optimizers, datasets, metrics, …")] = None,
    *,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """List the grids, or everything registered of one kind with its options."""
    from d2lbench import listing

    typer.echo(listing.listed(kind, tuple(plugins or ()), as_json=as_json))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A grid, or the first digits of a cell's identity.")],
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    device: DeviceFlag = Device.cpu,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show a grid's arms with what is known of them, or one stored run."""
    from d2lbench import listing

    request = _request(names=[name], scale=scale, store=store, device=device.value, plugins=plugins)
    typer.echo(listing.shown(request, as_json=as_json))


@app.command()
def report(
    grids: Grids = None,
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    output: Output = REPORT,
    device: DeviceFlag = Device.cpu,
    sets: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    plugins: Plugins = None,
) -> None:
    """Write the report from the store again; nothing is trained."""
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, output=output, device=device.value, sets=sets, seeds=seeds, only=only,
        plugins=plugins,
    )  # fmt: skip
    typer.echo(suite.write(request))


@app.command()
def claims(
    grids: Grids = None,
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    device: DeviceFlag = Device.cpu,
    sets: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Print every claim with its verdict, effect and interval."""
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    typer.echo(suite.claims_json(request) if as_json else suite.claims_text(request))


class Format(str, Enum):
    """What `export` writes."""

    csv = "csv"
    json = "json"


@app.command()
def export(
    grids: Grids = None,
    *,
    scale: ScaleFlag = Scale.quick,
    store: StoreFlag = STORE,
    device: DeviceFlag = Device.cpu,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; default: print.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.csv,
    sets: Sets = None,
    seeds: Seeds = None,
    only: Only = None,
    plugins: Plugins = None,
) -> None:
    """Write a row per cell: its configuration, what became of it, and a column per metric."""
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    content = suite.exported(request, form.value)
    if output is None:
        typer.echo(content, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(content, encoding="utf-8")
        typer.echo(str(output))


@app.command()
def schema(*, plugins: Plugins = None) -> None:
    """Print the JSON Schema of a grid file, for editors."""
    from d2lbench import listing

    typer.echo(listing.schema(tuple(plugins or ())))


def _version(asked: bool) -> None:  # noqa: FBT001  (typer's callback)
    if asked:
        typer.echo(f"d2lbench {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    del version


def _terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and end the process with the exit code that `--help` explains."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(standalone_mode=False)
    except D2lbenchError as error:
        _say(f"d2lbench: {error}")
        code = error.exit_code
    except KeyboardInterrupt:
        _say("d2lbench: interrupted; what was finished is stored, run again to go on")
        code = INTERRUPTED
    except typer.Abort:
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001  (the last stop before the user: own the bug)
        code = _usage(error)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> int:
    """Return click's own exit code for a usage error; own any other error as our bug."""
    show = getattr(error, "show", None)
    if show is not None:
        show()
        return int(getattr(error, "exit_code", 2))
    traceback.print_exc()
    _say(
        "d2lbench: this is a bug of ours. Please report it with the command, the lines above and the output of "
        f"`d2lbench --version` ({__version__}); what was finished is stored."
    )
    return OUR_BUG


def _say(text: str) -> None:
    sys.stderr.write("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text) + "\n")
