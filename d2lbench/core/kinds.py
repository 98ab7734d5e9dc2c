"""What can be registered: one dataclass a kind, whose fields are what a declaration may say beside its name.

They are the keyword arguments of :meth:`~d2lbench.core.registry.Registry.register`, which refuses any other and any of
another type. Nothing is required but a dataset's shape and classes. ``Options`` are a registered thing's options by
name, every one of them, cast to their declared types.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias

from d2lbench.core.spec import Component, Config, Measurement  # noqa: TC001  (types are read at run time)

Options: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = tuple[int, ...]
#: How two sides of a claim differ: by subtraction, or by ratio (of natural logarithms).
As: TypeAlias = Literal["difference", "ratio"]
Task: TypeAlias = Literal["classification", "regression"]

#: The dtypes in which a kernel can be timed; float64 is what the others are checked against.
DTYPES: Final = ("float32", "bfloat16", "float64")


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the declaration of a registered thing says beside its name: of any kind, how its options are spelled.

    Attributes
    ----------
    derived
        The options that follow from others, and so are no part of the identity.
    exclusive
        Groups of options that are spellings of one thing: a grid may use one group.
    normalise
        The options that were given, and all with their defaults → all, those that follow from others filled in.
    respell
        The options of a component as written, and a change of it → the options as written after the change.
        None merges the two.
    """

    kind: ClassVar[str]
    derived: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    normalise: Callable[[Options, dict[str, Any]], dict[str, Any]] | None = None
    respell: Callable[[Options, Options], dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class ComponentTraits(Traits):
    """Of what a training run is made of.

    Attributes
    ----------
    check
        Refuses, with a ``GridError``, a configuration whose parts do not go together.
    settle
        Options of this component that depend on the whole configuration, by name.
    """

    check: Callable[[Config], None] | None = None
    settle: Callable[[Config], Options] | None = None


@dataclass(frozen=True, kw_only=True)
class MeasuredTraits(Traits):
    """Of what is measured in place of training; ``check`` refuses, with a ``GridError``, what cannot be measured."""

    check: Callable[[Measurement], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ActivationTraits(Traits):
    """Of an element-wise function between layers."""

    kind = "activation"


@dataclass(frozen=True, kw_only=True)
class DatasetTraits(ComponentTraits):
    """Of a dataset.

    Attributes
    ----------
    shape
        The shape of one example, (channels, height, width) or (features,); may be a function of the options.
    classes
        The number of classes; 0 where numbers are predicted.
    sizes
        How many examples there are to ``train``, for ``validation`` and to ``test`` with default options; a split
        that is not named has an unknown number.
    checksum
        Identifies the data in a cell: the check sum of published files, or of a generator's name and version.
    embedded
        Whether it can be had without any file.
    locate
        Raises a ``DataError`` where its files are missing; None where it has none.
    vocabulary
        Of bags of words, how many words there are; None where examples are no words.
    """

    kind = "dataset"
    shape: Shape | Callable[[Options], Shape]
    classes: int | Callable[[Options], int]
    task: Task = "classification"
    sizes: Mapping[str, int] = field(default_factory=dict)
    checksum: str = ""
    embedded: bool = True
    locate: Callable[[], None] | None = None
    vocabulary: int | Callable[[Options], int] | None = None

    def validates(self, options: Options) -> bool:
        """Whether examples are kept apart for validation; of folds, one always is."""
        share = options.get("validation")
        return bool(options.get("folds") or (self.sizes.get("validation", 1) if share is None else share))

    def shape_with(self, options: Options) -> Shape:
        """Return the shape of one example."""
        return self.shape(options) if callable(self.shape) else self.shape

    def classes_with(self, options: Options) -> int:
        """Return the number of classes; 0 where numbers are predicted."""
        return self.classes(options) if callable(self.classes) else self.classes

    def vocabulary_with(self, options: Options) -> int | None:
        """Return how many words there are; None where examples are no words."""
        return self.vocabulary(options) if callable(self.vocabulary) else self.vocabulary


@dataclass(frozen=True, kw_only=True)
class ModelTraits(ComponentTraits):
    """Of a model.

    Attributes
    ----------
    images
        Whether it takes images only, (channels, height, width).
    stackable
        Whether several cells can train as one tensor program.
    """

    kind = "model"
    images: bool = False
    stackable: bool = True


@dataclass(frozen=True, kw_only=True)
class InitTraits(ComponentTraits):
    """Of an initializer."""

    kind = "init"


def one_for_each_class(classes: int) -> int:
    """Return how many outputs there are of so many classes; one where numbers are predicted."""
    return max(classes, 1)


@dataclass(frozen=True, kw_only=True)
class LossTraits(ComponentTraits):
    """Of a loss.

    Attributes
    ----------
    task
        Whether it compares classes, or numbers as well (``"any"``); None does not say.
    outputs
        The number of classes (0 for numbers) → how many outputs the model needs.
    """

    kind = "loss"
    task: Task | Literal["any"] | None = None
    outputs: Callable[[int], int] = one_for_each_class


@dataclass(frozen=True, kw_only=True)
class RegularizerTraits(ComponentTraits):
    """Of a regularizer."""

    kind = "regularizer"


@dataclass(frozen=True, kw_only=True)
class OptimizerTraits(ComponentTraits):
    """Of an optimizer; ``family`` tells what decides its arithmetic, None that every option but real numbers does."""

    kind = "optimizer"
    family: Callable[[Options], tuple[Hashable, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleTraits(ComponentTraits):
    """Of a learning-rate schedule; ``watches`` says that it follows a metric, and so has no table of rates."""

    kind = "schedule"
    watches: bool = False


@dataclass(frozen=True, kw_only=True)
class StoppingTraits(ComponentTraits):
    """Of what ends training before its last epoch."""

    kind = "stopping"


@dataclass(frozen=True, kw_only=True)
class MetricTraits(Traits):
    """Of a metric, or of one number that an experiment returns.

    Attributes
    ----------
    columns
        The series that it reads; None is the one of its own name.
    as_
        Whether two sides differ by subtraction or by ratio.
    margins
        How large a difference matters by default at a scale (``quick``, ``full``): in the metric's unit, in natural
        logarithms where sides differ by ratio. At a scale that is missing a claim has to say.
    better
        Which way is better; None where nobody can say, and then it picks no trials.
    unit
        In words: ``share``, ``nats``, ``epochs``; "" where it has none.
    curve
        Whether it is read off a curve over training.
    censored
        Whether a run that never got there reads one more than its budget.
    optional
        Whether its series are recorded only where a grid asks for them.
    """

    kind = "metric"
    columns: Callable[[Options], tuple[str, ...]] | None = None
    as_: As = "difference"
    margins: Mapping[str, float] = field(default_factory=dict)
    better: Literal["higher", "lower"] | None = None
    unit: str = ""
    curve: bool = False
    censored: bool = False
    optional: bool = False

    def series(self, metric: Component) -> tuple[str, ...]:
        """Return the series that the metric reads with its options."""
        return self.columns(dict(metric.options)) if self.columns else (metric.name,)


@dataclass(frozen=True, kw_only=True)
class StatisticTraits(Traits):
    """Of a statistic, which sums up a metric's values along an axis.

    Attributes
    ----------
    linear
        Whether sides that differ by ratio give it logarithms; otherwise the logarithm is taken of its result.
    numeric
        Whether the axis must have numbers, two at least.
    own_unit
        Whether its result is not in the metric's unit, so that sides differ by subtraction.
    points
        How many points the axis must have; None is any number.
    along
        What it runs along, where it is particular: the ``trials`` of a tuned arm, or ``arms``.
    edge
        Whether it counts rungs, and so tells only a lower bound at an end of the ladder.
    picks
        Whether it reads two rungs that it does not choose by what it reads.
    reference
        Whether it compares with a ranking that the option ``reference`` describes.
    margins
        As of a metric, and in its place; None is the metric's own.
    """

    kind = "statistic"
    linear: bool = False
    numeric: bool = False
    own_unit: bool = False
    points: int | None = None
    along: Literal["trials", "arms"] | None = None
    edge: bool = False
    picks: bool = False
    reference: bool = False
    margins: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class ExperimentTraits(MeasuredTraits):
    """Of an experiment, a function of its options and the seed that returns numbers.

    Attributes
    ----------
    metrics
        The numbers that it returns, by name. A declaration may write a number's traits as a table, too, or list the
        names alone.
    """

    kind = "experiment"
    metrics: Mapping[str, MetricTraits] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KernelTraits(MeasuredTraits):
    """Of a kernel case, which is timed.

    Attributes
    ----------
    group
        Under which heading it stands.
    phases
        What can be timed apart, of ``store.timings.PHASES``.
    sizes
        What is timed: options by the name of the size.
    implementations
        Several ways to one result: options by name, crossed with the sizes.
    tiny
        Options at which a test takes milliseconds.
    dtypes
        The dtypes that it exists in.
    reference_needed
        Whether a result of float64 must be there to compare with; False where the result is random.
    """

    kind = "kernel"
    group: str = ""
    phases: tuple[str, ...] = ()
    sizes: Mapping[str, Options] = field(default_factory=dict)
    implementations: Mapping[str, Options] = field(default_factory=dict)
    tiny: Options = field(default_factory=dict)
    dtypes: tuple[str, ...] = DTYPES
    reference_needed: bool = True


#: Every kind that something can be registered under, by its name.
KINDS: Final[Mapping[str, type[Traits]]] = {
    traits.kind: traits
    for traits in (
        DatasetTraits,
        ModelTraits,
        ActivationTraits,
        InitTraits,
        LossTraits,
        RegularizerTraits,
        OptimizerTraits,
        ScheduleTraits,
        StoppingTraits,
        MetricTraits,
        StatisticTraits,
        ExperimentTraits,
        KernelTraits,
    )
}
