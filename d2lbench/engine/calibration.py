"""What a structure's training costs on this machine: measured once, kept in the user's cache; never imports torch.

The plan reads from it how many rows of a structure train fastest together and how long a stack will take. Where a
structure has not been measured, a rule of thumb stands in; it decides how stacks are cut, and is never shown as an
estimate.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import walk
from d2lbench.catalogue.models import model_of, shape_of, training_examples
from d2lbench.catalogue.shapes import multiplications
from d2lbench.core.environment import cpu_model, environment
from d2lbench.core.errors import CalibrationError
from d2lbench.core.files import cache_folder, replace_file
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.spec import ENGINE_VERSION, Config, Measurement, configs

if TYPE_CHECKING:
    from d2lbench.core.spec import Cell

FORMAT: Final = 3
#: A wider stack must be this much faster a cell to be preferred: it takes more memory and is harder to share out.
WORTH: Final = 0.97
#: The rule of thumb, in seconds: what a step costs whatever is in it, for each layer and each row; what a row costs
#: before its first step, for its data and its first numbers; and operations a second of one thread.
STEP, LAYER, ROW, BEGIN, OPERATIONS = 1.1e-4, 2e-5, 1.5e-6, 1e-3, 5e10


@dataclass(frozen=True)
class Gauge:
    """What one structure costs one process, in seconds.

    Attributes
    ----------
    steps
        Width → a training step of a stack that wide, all its rows together.
    evaluation
        One evaluation of all splits, a row.
    start
        Building the stack and looking at it before its first step, a row.
    memory
        Bytes that the process held at most, all told.
    """

    steps: Mapping[int, float]
    evaluation: float
    start: float
    memory: int

    @property
    def width(self) -> int:
        """The narrowest width that was measured at which a row is about as cheap as at the best."""
        best = min(seconds / width for width, seconds in self.steps.items())
        return min(width for width, seconds in self.steps.items() if WORTH * seconds / width <= best)

    def step(self, width: int) -> float:
        """Return the seconds of a step at any width: between two that were measured, along the line through them."""
        known = sorted(self.steps.items())
        if len(known) == 1:
            return known[0][1] * width / known[0][0]
        upper = next((place for place, (each, _) in enumerate(known) if each >= width), len(known) - 1)
        (w0, s0), (w1, s1) = known[max(upper - 1, 0)], known[max(upper, 1)]
        return s0 + (s1 - s0) * (width - w0) / (w1 - w0)


@dataclass(frozen=True)
class Calibration:
    """The gauges of one device, by structure, and how many processes do most on it."""

    processes: int
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    crowd: Mapping[int, float] = field(default_factory=dict)

    def gauge_of(self, structure: tuple[Hashable, ...]) -> Gauge | None:
        """Return what is known of a structure."""
        return self.gauges.get(key_of(structure)) if self.gauges else None

    def seconds(self, cells: Sequence[Cell], structure: tuple[Hashable, ...]) -> float:
        """Return how long a stack of these cells takes one process; by the rule of thumb where nothing is known."""
        config = cells[0].config
        gauge = self.gauge_of(structure)
        if isinstance(config, Measurement):
            return len(cells) * gauge.step(1) if gauge else 0.0
        gauge = gauge or rule_of_thumb(config)
        trained = configs(cells)
        steps = steps_of(config) * max(each.epochs for each in trained)
        looks = sum(map(_looks, trained))
        return steps * gauge.step(len(cells)) + len(cells) * gauge.start + looks * gauge.evaluation


def steps_of(config: Config) -> int:
    """Return how many steps an epoch has."""
    return math.ceil((training_examples(config.dataset) or 0) / config.batch_size)


def _looks(config: Config) -> float:
    """Return how many evaluations of all splits a run's are worth, the one before its first step left out."""
    train, held_out = _examples(config)
    whole = math.ceil(config.epochs / (config.eval_train_every or config.eval_every))
    partial = math.ceil(config.epochs / config.eval_every) - whole
    return whole + partial * held_out / max(train + held_out, 1)


def _examples(config: Config) -> tuple[int, int]:
    """Return how many examples a run trains on, and how many it is only judged by."""
    sizes = load().get(DatasetTraits, config.dataset.name).traits.sizes
    return training_examples(config.dataset) or 0, sum(sizes.values()) - sizes.get("train", 0)


@functools.lru_cache(maxsize=4096)
def rule_of_thumb(config: Config) -> Gauge:
    """Return what a structure may cost on a machine of which nothing is known."""
    model = model_of(config)
    count = multiplications(model, shape_of(config.dataset))
    step = STEP + LAYER * sum(1 for _ in walk(model))
    product = 2 * count * (2 if config.dtype == "float64" else 1) / OPERATIONS  # two operations, of half the speed
    row = ROW + 3 * product * config.batch_size  # forward and twice back
    evaluation = product * sum(_examples(config))
    return Gauge({1: step + row, 2: step + 2 * row}, evaluation, BEGIN + evaluation, 0)


@functools.lru_cache(maxsize=4096)
def key_of(structure: tuple[Hashable, ...]) -> str:
    """Return a structure's name in the cache."""
    return hashlib.sha256(repr(structure).encode()).hexdigest()[:24]


def cores() -> int:
    """Return how many processes can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def uncalibrated(device: str = "cpu") -> Calibration:
    """Return what is taken where nothing has been measured: a process a core, or one for a GPU."""
    return Calibration(cores() if device == "cpu" else 1)


def folder() -> Path | None:
    """Return where calibrations lie: ``$D2LBENCH_CALIBRATION``, else the user's cache; None where it says ``off``."""
    named = os.environ.get("D2LBENCH_CALIBRATION")
    if named == "off":
        return None
    return Path(named) if named else cache_folder() / "calibration"


def machine(device: str) -> dict[str, Any]:
    """Return what a calibration holds for: where one of these changes, another one is made."""
    return {
        "processor": cpu_model(),
        "cores": cores(),
        "environment": environment(device).key,
        "engine": ENGINE_VERSION,
    }


def path_of(device: str) -> Path | None:
    """Return the file of this machine's calibration; None where calibrations are switched off."""
    place = folder()
    if place is None:
        return None
    name = hashlib.sha256(json.dumps(machine(device), sort_keys=True).encode()).hexdigest()[:16]
    return place / f"{device}-{name}.json"


def read(device: str = "cpu") -> Calibration:
    """Return this machine's calibration; a file that cannot be read is one that is not there, and is made anew."""
    path = path_of(device)
    try:
        content = json.loads(path.read_bytes()) if path else {}
        known = TypeAdapter(Calibration).validate_python(content)
    except (OSError, ValueError):
        return uncalibrated(device)
    return known if content.get("format") == FORMAT else uncalibrated(device)


def save(added: Calibration, device: str = "cpu") -> Calibration:
    """Put new gauges beside those that are kept, whole or not at all, and return all of them.

    Raises
    ------
    CalibrationError
        The file cannot be written; says how to do without.
    """
    path = path_of(device)
    if path is None:
        return added
    known = read(device)
    whole = Calibration(added.processes, {**known.gauges, **added.gauges}, added.crowd or known.crowd)
    content = {"format": FORMAT, "machine": machine(device), **asdict(whole)}
    try:
        replace_file(path, json.dumps(content, indent=1))
    except OSError as error:
        way_out = "D2LBENCH_CALIBRATION names another folder, or says off"
        problem = f"{path} could not be written: {error.strerror or error}; {way_out}"
        raise CalibrationError(problem) from error
    return whole
