"""The command line: parse, one call, print. Heavy imports happen inside the calls, so `--help` is quick."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer

from d2lbench import __version__, flags
from d2lbench.errors import D2lbenchError, StoreError

INTERRUPTED = 130
OUR_BUG = 70


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
    from d2lbench.session import Request

    listed = {name: tuple(given.get(name) or ()) for name in ("names", "sets", "only", "plugins")}
    return Request(**{**given, **listed, "scale": given["scale"].value})


class _NobodyReadsError(Exception):
    """Whoever read our output has gone, as `head` does."""


def _print(text: str, end: str = "\n") -> None:
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise _NobodyReadsError from error
    except OSError as error:
        problem = f"standard output could not be written: {error.strerror}"
        raise StoreError(problem) from error


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
    yes: flags.Yes = False,
    as_json: flags.Json = False,
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
        _print(suite.check_text(request))
        return
    done = suite.run(request, report=not no_report, confirm=None if yes else _confirm)
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
    as_json: flags.Json = False,
) -> None:
    """Check grids without running anything: size, stacks, estimate; every mistake with its place and remedy."""
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    _print(suite.check_json(request) if as_json else suite.check_text(request))


@app.command("list")
def list_(
    kind: flags.Kind = None,
    *,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """List the grids, or everything registered of one kind with its options."""
    from d2lbench import listing

    _print(listing.listed(kind, tuple(plugins or ()), as_json=as_json))


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
    from d2lbench import listing

    request = _request(names=[name], scale=scale, store=store, device=device.value, plugins=plugins)
    _print(listing.shown(request, as_json=as_json))


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
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, output=output, device=device.value, sets=sets, seeds=seeds, only=only,
        plugins=plugins,
    )  # fmt: skip
    _print(str(suite.write(request)))


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
    from d2lbench import suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    _print(suite.claims_json(request) if as_json else suite.claims_text(request))


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
    """Write a row per cell: its configuration, what became of it, and a column per metric."""
    from d2lbench import session, suite

    request = _request(
        names=grids, scale=scale, store=store, device=device.value, sets=sets, seeds=seeds, only=only, plugins=plugins
    )
    content = suite.exported(request, form.value)
    if output is None:
        _print(content, end="")
    else:
        session.write_file(output, content)
        _print(str(output))


@app.command()
def schema(*, plugins: flags.Plugins = None) -> None:
    """Print the JSON Schema of a grid file, for editors."""
    from d2lbench import listing

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


def _terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and end the process with the exit code that `--help` explains."""
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shall not end a run
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        code = app(prog_name="d2lbench", standalone_mode=False)  # an interrupt comes back as its exit code
    except D2lbenchError as error:
        _say(f"d2lbench: {error}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except _NobodyReadsError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  (the last stop before the user: own the bug)
        return _usage(error)
    if code == INTERRUPTED:
        _say("d2lbench: interrupted; what was finished is stored, run again to go on")
    return code if isinstance(code, int) else 0


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
