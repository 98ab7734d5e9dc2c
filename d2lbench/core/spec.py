"""What a grid expands to: frozen records of fully resolved configurations, and their identity.

A cell's identity is the SHA-256 of canonical JSON: every number cast to its declared type, defaults dropped, keys
sorted, the dataset's checksum and :data:`ENGINE_VERSION` included. Two cells with one identity are one cell.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias, cast

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | None"

#: Raised when the engine's numerics or a default of the catalogue change: older runs then no longer answer.
ENGINE_VERSION: Final = 1

#: The keys of a configuration that name a registered thing, in the order in which they are shown.
COMPONENT_KEYS: Final = ("dataset", "model", "init", "loss", "regularizer", "optimizer", "schedule", "stopping")
#: The keys of a configuration that are plain values.
SCALAR_KEYS: Final = (
    "epochs",
    "batch_size",
    "eval_every",
    "eval_train_every",
    "dtype",
    "clip_norm",
    "rebuild_at",
    "replica",
)


@dataclass(frozen=True)
class Component:
    """A registered thing with every one of its options.

    ``options`` holds all of them, sorted by name; ``canonical`` only those that define identity: defaults and
    derived options (an MLP's depth, which its ``hidden`` implies) are left out.
    """

    kind: str
    name: str
    options: tuple[tuple[str, Value], ...] = ()
    canonical: tuple[tuple[str, Value], ...] = ()

    def get(self, option: str, default: Value = None) -> Any:
        """Return the value of one option."""
        return dict(self.options).get(option, default)

    def label(self) -> str:
        """Return name and non-default options as a grid would spell them: ``sgd(lr=0.1)``."""
        inner = ", ".join(f"{name}={spelled(value)}" for name, value in self.canonical)
        return f"{self.name}({inner})" if inner else self.name


#: Training goes on to its last epoch.
NO_STOPPING: Final = Component("stopping", "none")


@dataclass(frozen=True)
class Config:
    """Everything that decides a training run but its seed.

    The training split is evaluated every ``eval_train_every`` epochs, and whenever the others are where that is None.
    ``clip_norm`` bounds the global norm of a cell's gradient; None leaves it alone. After the epoch ``rebuild_at`` the
    optimizer is built anew, its state lost; None keeps it. ``stopping`` may end the run before its last epoch.
    """

    dataset: Component
    model: Component
    init: Component
    loss: Component
    regularizer: Component
    optimizer: Component
    schedule: Component
    epochs: int
    batch_size: int
    stopping: Component = NO_STOPPING
    eval_every: int = 1
    eval_train_every: int | None = None
    dtype: str = "float32"
    clip_norm: float | None = None
    rebuild_at: int | None = None
    replica: int = 0
    checksum: str = ""

    def components(self) -> Iterator[Component]:
        """Iterate over the registered things in it."""
        for key in COMPONENT_KEYS:
            yield getattr(self, key)

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical, JSON-able form: what the cell's hash is taken of."""
        named: dict[str, Any] = {"checksum": self.checksum}
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name in named or value == spec.default:
                continue
            if isinstance(value, Component):
                named[value.kind] = {"name": value.name, **dict(value.canonical)}
            else:
                named[spec.name] = value
        return named


@dataclass(frozen=True)
class Measurement:
    """What is measured in place of training: an experiment, or a kernel in one phase and setting.

    An experiment is a registered function of its options and the seed. A kernel is timed once in each round, which is
    a fresh process; the seed is the number of the round.
    """

    experiment: Component
    replica: int = 0

    @property
    def is_timed(self) -> bool:
        """Whether it is a kernel, which `d2lbench time --claims` measures and `run` leaves alone."""
        return self.experiment.kind == "kernel"

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical, JSON-able form."""
        return {self.experiment.kind: {"name": self.experiment.name, **dict(self.experiment.canonical)}}


@dataclass(frozen=True)
class Cell:
    """One fully resolved configuration with its seed: the unit that is run, stored and resumed."""

    config: Config | Measurement
    seed: int

    @property
    def is_timed(self) -> bool:
        """Whether it is a kernel in one round."""
        return isinstance(self.config, Measurement) and self.config.is_timed

    @property
    def identity(self) -> str:
        """The configuration as canonical JSON, without the seed."""
        return canonical_json(self.config.identity)

    @functools.cached_property
    def id(self) -> str:
        """The cell's identity: 64 hexadecimal digits."""
        content = {"engine": ENGINE_VERSION, "seed": self.seed, **self.config.identity}
        return digest(content)


def configs(cells: Iterable[Cell]) -> list[Config]:
    """Return the configurations of cells that train."""
    return [cast("Config", cell.config) for cell in cells]


def canonical_json(content: Mapping[str, Any]) -> str:
    """Return JSON with sorted keys and no white space; refuses NaN and infinities."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of ``content`` in hexadecimal."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def spelled(value: Value) -> str:
    """Return a value as a grid file would spell it: ``0.001``, ``[64, 64]``, ``true``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(spelled(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
