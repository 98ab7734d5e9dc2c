"""Look names and options up in the registry: from tables as written to components and configurations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from annotated_types import Ge, Gt, Le

from d2lbench.core.errors import GridError, Mistakes, nearest_key, shown
from d2lbench.core.kinds import ComponentTraits, DatasetTraits, MeasuredTraits
from d2lbench.core.registry import Option
from d2lbench.core.spec import COMPONENT_KEYS, SCALAR_KEYS, Component, Config, Measurement
from d2lbench.grid.file.shape import MEASURED_KEYS, NAMED_KEYS
from d2lbench.grid.kernels import with_settings

if TYPE_CHECKING:
    from d2lbench.core.kinds import Traits
    from d2lbench.core.registry import Entry, Registry
    from d2lbench.grid.arms import Configuration

MILLION: Final = 1_000_000
_Positive = Annotated[int, Ge(1), Le(MILLION)]
#: What the plain keys of a configuration may hold.
SCALARS: Final[Mapping[str, Option]] = {
    "epochs": Option("epochs", _Positive, None),
    "batch_size": Option("batch_size", _Positive, None),
    "eval_every": Option("eval_every", _Positive, 1),
    "eval_train_every": Option("eval_train_every", _Positive | None, None),
    "dtype": Option("dtype", Literal["float32", "float64"], "float32"),
    "clip_norm": Option("clip_norm", Annotated[float, Gt(0)] | None, None),
    "rebuild_at": Option("rebuild_at", _Positive | None, None),
    "replica": Option("replica", Annotated[int, Ge(0), Le(MILLION)], 0),
}
#: What ``[base]`` means where it is silent.
DEFAULTS: Final[Mapping[str, Any]] = {
    "init": {"name": "default"},
    "loss": {"name": "cross-entropy"},
    "regularizer": {"name": "none"},
    "schedule": {"name": "constant"},
    "stopping": {"name": "none"},
    "eval_every": 1,
    "eval_train_every": None,
    "dtype": "float32",
    "clip_norm": None,
    "rebuild_at": None,
    "replica": 0,
}
REQUIRED: Final = ("dataset", "model", "optimizer", "epochs", "batch_size")


@dataclass(frozen=True)
class Written:
    """A value of a configuration as it is written, and where: ``{"name": "sgd", "lr": 1}``, ``vary.optimizer[1]``."""

    value: Any
    origin: str


Draft: TypeAlias = Mapping[str, Written]


def at_option(origin: str, option: str) -> str:
    """Return the key of an option within ``origin``, which may be that option's own key."""
    stem = origin.rpartition("[")[0] if origin.endswith("]") else origin
    return origin if stem.endswith((f".{option}", f" {option}")) else f"{origin}.{option}"


class Resolver:
    """Looks things up in one registry, and remembers what it found."""

    def __init__(self, registry: Registry) -> None:
        self.registry = with_settings(registry)
        self._components: dict[Any, Component] = {}
        self._cast: dict[Any, dict[str, Any]] = {}

    def entry(self, kind: str, name: object, origin: str) -> Entry[Traits]:
        """Return the registered thing; the error says where its name stands."""
        if not isinstance(name, str):
            problem = "is not a name"
            raise GridError(problem, key=f"{origin}.name", given=name, allowed=", ".join(self.registry.names(kind)))
        try:
            return self.registry.get(kind, name)
        except GridError as error:
            raise error.located(key=origin) from None

    def cast_options(self, kind: str, table: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Return the options that ``table`` names, each checked on its own and cast.

        Raises
        ------
        GridError
            Every option that is unknown or not allowed.
        """
        key = (kind, frozen(table))
        if key not in self._cast:
            entry = self.entry(kind, table.get("name"), origin)
            cast, mistakes = {}, Mistakes()
            for name, value in table.items():
                if name != "name":
                    with mistakes:
                        cast[name] = _option(entry, name, value, origin)
            mistakes.refuse()
            self._cast[key] = cast
        return self._cast[key]

    def component(self, kind: str, written: Written) -> Component:
        """Return the component that a table with a name stands for."""
        key = (kind, frozen(written.value))
        if key not in self._components:
            entry = self.entry(kind, written.value["name"], written.origin)
            given = self.cast_options(kind, written.value, written.origin)
            _refuse_two_spellings(entry, given, written.origin)
            try:
                options = entry.resolve(given)
            except GridError as error:
                raise _named(error, written.origin) from None
            normalise = entry.traits.normalise
            self._components[key] = described(entry, normalise(given, options) if normalise else options)
        return self._components[key]

    def scalar(self, key: str, written: Written) -> Any:
        """Return the value of a plain key, cast."""
        try:
            return SCALARS[key].cast(written.value)
        except GridError as error:
            raise _named(error, written.origin) from None

    def configuration(self, draft: Draft) -> Configuration:
        """Return the configuration that a draft stands for, settled; nothing is checked across components yet."""
        measured = next((key for key in MEASURED_KEYS if key in draft), None)
        if measured is not None:
            plain = {key: self.scalar(key, draft[key]) for key in MEASURED_KEYS[measured]}
            return Measurement(self.component(measured, draft[measured]), **plain)
        named: dict[str, Any] = {key: self.component(key, draft[key]) for key in COMPONENT_KEYS}
        plain = {key: self.scalar(key, draft[key]) for key in SCALAR_KEYS}
        checksum = self.registry.get(DatasetTraits, named["dataset"].name).traits.checksum
        return self._settled(Config(**named, **plain, checksum=checksum))

    def _settled(self, config: Config) -> Config:
        for part in tuple(config.components()):
            entry = self.registry.get(part.kind, part.name)
            traits = entry.traits
            if isinstance(traits, ComponentTraits) and traits.settle:
                changes = {name: entry.options[name].cast(value) for name, value in traits.settle(config).items()}
                whole: Any = described(entry, {**dict(part.options), **changes})
                config = replace(config, **{part.kind: whole})
        return config

    def check(self, config: Configuration) -> None:
        """Run what the registered things check across components, and what plain values ask of each other."""
        if isinstance(config, Measurement):
            measured = self.registry.get(config.experiment.kind, config.experiment.name).traits
            if isinstance(measured, MeasuredTraits) and measured.check:
                measured.check(config)
            return
        _check_epochs(config)
        for part in config.components():
            traits = self.registry.get(part.kind, part.name).traits
            if isinstance(traits, ComponentTraits) and traits.check:
                traits.check(config)

    def checked(self, draft: Draft, label: str) -> Configuration:
        """Return the configuration of a draft after every check; an error across components names the arm."""
        try:
            config = self.configuration(draft)
            self.check(config)
        except GridError as error:
            kind, _, option = error.key.partition(".")
            if kind not in draft:  # the key says in which table the value stands already
                raise
            origin = draft[kind].origin
            whole = at_option(origin, option) if option else origin
            raise error.reworded(problem=f'{error.problem} (arm "{label}")', key=whole) from None
        return config

    def lenient(self, draft: Draft) -> dict[str, Any]:
        """Return components and plain values by key, those that do not resolve as they are written.

        So that ``exclude`` can name an arm that makes no sense, which is what it is for.
        """
        found: dict[str, Any] = {}
        for key, written in draft.items():
            if key not in NAMED_KEYS:
                found[key] = written.value
                continue
            try:
                found[key] = self.component(key, written)
            except GridError:
                options = ((name, as_value(value)) for name, value in written.value.items() if name != "name")
                found[key] = Component(key, str(written.value["name"]), tuple(options))
        return found

    def option(self, kind: str, name: object, option: str) -> Option | None:
        """Return an option of a thing; of the kind's other things where ``name`` has no such option."""
        entries = self.registry.entries(kind)
        own = [entry for entry in entries if entry.name == name]
        return next((entry.options[option] for entry in (*own, *entries) if option in entry.options), None)


def _check_epochs(config: Config) -> None:
    """Refuse epochs that do not go together.

    Raises
    ------
    GridError
        The optimizer is rebuilt after the end, or the training split is to be looked at when the others are not.
    """
    if config.rebuild_at is not None and config.rebuild_at >= config.epochs:
        problem = "leaves the new optimizer no epoch"
        raise GridError(problem, key="rebuild_at", given=config.rebuild_at, allowed=f"less than {config.epochs}")
    if config.eval_train_every is not None and config.eval_train_every % config.eval_every:
        problem = "the training split is evaluated together with the others"
        allowed = f"a multiple of eval_every = {config.eval_every}"
        raise GridError(problem, key="eval_train_every", given=config.eval_train_every, allowed=allowed)


def described(entry: Entry[Traits], options: Mapping[str, Any]) -> Component:
    """Return the component with its canonical options: no defaults, nothing that others imply."""
    ordered = tuple(sorted(options.items()))
    canonical = tuple(
        (name, value)
        for name, value in ordered
        if name not in entry.traits.derived and value != entry.options[name].default
    )
    return Component(entry.kind, entry.name, ordered, canonical)


def _option(entry: Entry[Traits], name: str, value: Any, origin: str) -> Any:
    key = at_option(origin, name)
    if name not in entry.options:
        problem = f'{entry.kind} "{entry.name}" has no such option'
        allowed, nearest = ", ".join(entry.options) or "no options", nearest_key(name, entry.options)
        raise GridError(problem, key=key, allowed=allowed, nearest=nearest)
    try:
        cast = entry.options[name].cast(value)
    except GridError as error:
        raise _named(error, origin) from None
    _refuse_large(entry.kind, value, key)
    return cast


def _named(error: GridError, origin: str) -> GridError:
    """Return the error with the whole key of its option in place of the option's name."""
    key = at_option(origin, error.key)
    if key.startswith("--set ") and isinstance(error.given, str) and '"' not in error.allowed:
        what = re.split(" [≥>≤<]", error.allowed)[0]
        bounds = error.allowed if error.allowed != what else ""
        return GridError(f"needs a {what}", key=f"{key}={shown(error.given)[1:-1]}", allowed=bounds)
    return error.reworded(key=key)


def _refuse_large(kind: str, value: Any, key: str) -> None:
    """Refuse layers by the million: a list of that length would be made before anybody could say no."""
    values = value if isinstance(value, list | tuple) else (value,)
    if kind == "model" and any(isinstance(item, int) and item > MILLION for item in values):
        problem = "is too large"
        raise GridError(problem, key=key, given=value, allowed=f"whole numbers to {MILLION}")


def _refuse_two_spellings(entry: Entry[Traits], given: Mapping[str, Any], origin: str) -> None:
    groups = entry.traits.exclusive
    used = [[name for name in group if name in given] for group in groups]
    if sum(1 for names in used if names) > 1:
        problem = "are two spellings of one thing"
        both = [name for names in used for name in names]
        raise GridError(problem, key=origin, given=both, allowed=" or ".join(" with ".join(g) for g in groups))


def frozen(value: Any) -> Any:
    """Return a hashable image of a plain value that keeps 1, 1.0 and true apart."""
    if isinstance(value, Mapping):
        return tuple((name, frozen(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return (type(value).__name__, value)


def as_value(value: Any) -> Any:
    """Return lists as tuples, tables as tuples of pairs, anything else as it is."""
    if isinstance(value, Mapping):
        return tuple((name, as_value(item)) for name, item in value.items())
    return tuple(as_value(item) for item in value) if isinstance(value, list | tuple) else value
