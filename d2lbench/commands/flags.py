"""The flags that commands share: one place for their names, their help, and the environment variables behind them."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

STORE = Path(".d2lbench/store.sqlite")
REPORT = Path(".d2lbench/report")


class Scale(StrEnum):
    """The two sizes of a grid."""

    quick = "quick"
    full = "full"


class Device(StrEnum):
    """Where training runs."""

    cpu = "cpu"
    cuda = "cuda"


class Format(StrEnum):
    """What `export` writes."""

    csv = "csv"
    json = "json"
    safetensors = "safetensors"


class ListFormat(StrEnum):
    """How `list` prints."""

    text = "text"
    json = "json"
    markdown = "markdown"


class PhaseName(StrEnum):
    """What `time` times apart."""

    forward = "forward"
    forward_train = "forward-train"
    backward = "backward"
    step = "step"
    whole = "whole"


class Dtype(StrEnum):
    """What numbers `time` computes with."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float64 = "float64"


Grids = Annotated[
    list[str] | None, typer.Argument(metavar="GRID", help="Names of grids or paths of grid files. Default: all.")
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
    list[str] | None,
    typer.Option("--only", metavar="ARM", help="Only this arm, as `show` prints it. May be repeated."),
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Python file that registers things of its own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder of the report.")]
OutputFile = Annotated[Path | None, typer.Option("-o", "--output", help="File to write; default: print.")]
Form = Annotated[Format, typer.Option("--format", help="What to write.")]
ListForm = Annotated[
    ListFormat, typer.Option("--format", help="markdown: a page with every kind, or the part of one kind.")
]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes. Default: one a core.")]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="First measure on this machine what is not known of it: a second or so for every structure of the grids. "
        "D2LBENCH_CALIBRATION names the folder that keeps it, or says off.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Train only.")]
NoCosts = Annotated[bool, typer.Option("--no-costs", help="Do not time what the arms cost: up to 20 s, once.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before more than 10,000 cells.")]
Kind = Annotated[str | None, typer.Argument(help="grids, or a kind: optimizers, datasets, metrics, …")]
GridOrCell = Annotated[str, typer.Argument(metavar="NAME", help="A grid, or the first digits of a cell's identity.")]
TimedGrids = Annotated[
    list[str] | None, typer.Argument(metavar="GRID", help="With --claims: grids that have kernels. Default: all.")
]
TimeClaims = Annotated[bool, typer.Option("--claims", help="Test what grids claim about kernels, in fresh processes.")]
Rounds = Annotated[
    int | None, typer.Option("--seeds", metavar="N", min=1, help="With --claims: rounds 0 to N-1, not the grid's own.")
]
Cases = Annotated[
    list[str] | None,
    typer.Option("-k", metavar="PATTERN", help="Only cases whose name or group contains this, or a glob. Repeatable."),
]
Phases = Annotated[list[PhaseName] | None, typer.Option("--phase", help="Only this phase. May be repeated.")]
CaseSizes = Annotated[list[str] | None, typer.Option("--size", metavar="SIZE", help="Only this size. May be repeated.")]
Dtypes = Annotated[
    list[Dtype] | None, typer.Option("--dtype", help="Compute with these numbers; default: float32. May be repeated.")
]
TimeDevice = Annotated[Device, typer.Option("--device", envvar="D2LBENCH_DEVICE", help="Where the kernels run.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads of the kernels on a CPU.")]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        metavar="SECONDS",
        min=0.1,
        help="For everything together. Default: 2 s for each phase; with --claims, 0.6 s for each kernel and round.",
    ),
]
Compiled = Annotated[bool, typer.Option("--compile", help="Time what torch.compile makes of each case.")]
Cold = Annotated[bool, typer.Option("--cold", help="Take other tensors at every call, so that no cache holds them.")]
ListCases = Annotated[bool, typer.Option("--list", help="Say what there is to time, and stop.")]
TimingsFile = Annotated[
    Path | None, typer.Option("-o", "--output", help="File for the JSON, with every sample and the machine.")
]

#: The flags that make a request, each with its default, under the name that `api.session.Request` has for it.
_OF_A_REQUEST: Final[dict[str, tuple[Any, Any]]] = {
    "names": (Grids, None),
    "scale": (ScaleFlag, Scale.quick),
    "store": (StoreFlag, STORE),
    "output": (Output, REPORT),
    "device": (DeviceFlag, Device.cpu),
    "jobs": (Jobs, None),
    "sets": (Sets, None),
    "seeds": (Seeds, None),
    "only": (Only, None),
    "plugins": (Plugins, None),
}
_TUPLES: Final = ("names", "sets", "only", "plugins")


def takes_request(*without: str, names: Any = Grids) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command the flags of a request, and the request they make as its first argument.

    A command's own flags are its keyword-only parameters and come last in `--help`. ``without`` names the flags of a
    request that it does not have, ``names`` is its argument: some grids, or what else it is about.
    """
    shared = {name: flag for name, flag in _OF_A_REQUEST.items() if name not in without}
    shared["names"] = (names, None if names is Grids else inspect.Parameter.empty)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in inspect.signature(command).parameters.values() if each.kind is each.KEYWORD_ONLY]
        written = {"__annotations__": {each.name: each.annotation for each in own}}
        namespace = getattr(command, "__globals__", {})
        hints = typing.get_type_hints(type("Own", (), written), globalns=namespace, include_extras=True)

        @functools.wraps(command)
        def called(**given: Any) -> None:
            from d2lbench.api.session import Request

            values = {name: given.pop(name) for name in shared}
            values |= {name: value.value for name, value in values.items() if isinstance(value, Enum)}
            values |= {name: _tuple(values[name]) for name in _TUPLES if name in values}
            command(Request(**values), **given)

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=usual, annotation=flag)
            for name, (flag, usual) in shared.items()
        ]
        parameters += [each.replace(annotation=hints[each.name]) for each in own]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate


def _tuple(value: str | list[Any] | None) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
