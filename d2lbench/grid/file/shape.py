"""A grid file as it is written: which keys there are and what each may hold, before any name is looked up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, PlainValidator, ValidationError

from d2lbench.core.errors import GridError
from d2lbench.core.spec import COMPONENT_KEYS, SCALAR_KEYS
from d2lbench.grid.file import claims as written
from d2lbench.grid.file import document
from d2lbench.grid.file.table import Listed, Metric, Selector, Table, defined, nested, refusal, translated, unknown

#: The keys of ``[base]`` of which one stands instead of everything that trains, with what may stand beside it.
MEASURED_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"experiment": ("replica",), "kernel": ()}
#: The keys of ``[base]`` that name a registered thing.
NAMED_KEYS: Final = (*COMPONENT_KEYS, *MEASURED_KEYS)
#: All keys of ``[base]``.
BASE_KEYS: Final = (*NAMED_KEYS, *SCALAR_KEYS)
#: The keys that ``[quick]`` may hold beside those of ``[base]``; each replaces its namesake.
QUICK_KEYS: Final = ("seeds", "vary", "product", "zip", "tune")
MOST_SEEDS: Final = 1_000_000


def seed_list(value: Any) -> Sequence[int]:
    """Return the seeds that a number (0 to n − 1) or a list stands for, without making a long list of them.

    Raises
    ------
    GridError
        Neither a number of seeds nor a list of different ones.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return range(value)
    whole = isinstance(value, list | tuple) and all(
        isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= document.LARGEST for seed in value
    )
    if not whole or not value or len(set(value)) < len(value):
        allowed = f"how many (1 to {MOST_SEEDS}), or a list of different whole numbers ≥ 0"
        problem = "are not seeds"
        raise GridError(problem, given=value, allowed=allowed)
    return tuple(value)


def _seeds(value: Any) -> Sequence[int]:
    try:
        return seed_list(value)
    except GridError as error:
        raise refusal(((), error)) from None


def with_article(word: str) -> str:
    """Return ``an experiment``, ``a kernel``."""
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def _known(value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return a table that holds known keys only, its dotted keys nested."""
    if not isinstance(value, Mapping):
        raise refusal(((), GridError("is not a table", given=value, allowed="a table")))
    table = nested(value)
    extra = [name for name in table if name not in keys]
    if extra:
        raise refusal(*[((name,), unknown(name, "", keys)) for name in extra])
    return table


def _axes(value: Any) -> dict[str, Any]:
    return _known(value, BASE_KEYS)


def _base(value: Any) -> dict[str, Any]:
    """Return the table of ``[base]``, which trains or names one thing that is measured."""
    table = _known(value, BASE_KEYS)
    measured = next((name for name in MEASURED_KEYS if name in table), None)
    if measured is None:
        return table
    problem = f"does not go with {with_article(measured)}, which stands instead of what trains"
    wrong = next((name for name in table if name not in (measured, *MEASURED_KEYS[measured])), None)
    if wrong is not None:
        raise refusal(((wrong,), GridError(problem, given=table[wrong], allowed=measured)))
    return table


def _nonempty(problem: str, allowed: str) -> AfterValidator:
    def check(table: dict[str, Any]) -> dict[str, Any]:
        if not table:
            raise refusal(((), GridError(problem, given=table, allowed=allowed)))
        return table

    return AfterValidator(check)


Seeds = Annotated[Any, PlainValidator(_seeds), defined("seeds")]
Axes = Annotated[dict[str, Any], PlainValidator(_axes), defined("axes")]
Space = Annotated[Axes, _nonempty("names nothing to tune", 'space."optimizer.lr" = [...]')]
Changes = Annotated[Axes, _nonempty("sets nothing", "a table of changes"), defined("changes")]


class TuneEntry(Table):
    """One ``[[tune]]``: which arms it is for, what each key may be, and how many trials of a drawn one."""

    space: Annotated[Space, defined("space")]
    match: Selector = None
    budget: Annotated[int, Ge(1), Le(10_000)] | None = None


class WhenEntry(Table):
    """One ``[[when]]``: arms that match take the changes in ``set``."""

    match: Selector
    set: Changes


Tune = Listed[TuneEntry]


class _Sections(Table):
    """The keys of a grid that ``[quick]`` replaces as they are."""

    seeds: Seeds = None
    vary: Axes | None = None
    product: Axes | None = None
    zip: Axes | None = None
    tune: Tune = ()


def _quick(value: Any) -> dict[str, Any]:
    """Return the table of ``[quick]`` in its order."""
    table = _known(value, (*BASE_KEYS, *QUICK_KEYS))
    sections = {key: item for key, item in table.items() if key in QUICK_KEYS}
    try:
        found = _Sections.model_validate(sections)
    except ValidationError as error:
        raise refusal(*translated(error, _Sections, sections)) from None
    return {**table, **{key: getattr(found, key) for key in sections}}


class GridKeys(Table):
    """The keys at the top of a grid file."""

    format: Literal[1]
    title: written.Text
    question: str = ""
    seeds: Seeds = None
    scales: written.Scales = ("quick", "full")
    metrics: Listed[Metric] = ()
    keep_weights: bool = False
    checks: bool = True
    base: Annotated[dict[str, Any], PlainValidator(_base), defined("changes")] = Field(default_factory=dict)
    vary: Axes = Field(default_factory=dict)
    product: Axes = Field(default_factory=dict)
    zip: Axes = Field(default_factory=dict)
    exclude: Listed[Selector] = ()
    when: Listed[WhenEntry] = ()
    tune: Tune = ()
    quick: Annotated[dict[str, Any], PlainValidator(_quick), defined("quick")] = Field(default_factory=dict)
    claims: written.Claims = ()
    published: written.PublishedNumbers = ()
    untested: written.UntestedStatements = ()


class GridFile(GridKeys):
    """A grid file as it is written; ``changes`` are what a scale or the command line puts over ``base``.

    ``seeds`` are what the file declares, ``run_seeds`` what the command line asks for instead. ``origins`` say where
    ``vary``, ``product``, ``zip`` and ``tune`` are written, for messages. ``is_whole`` unless something that decides on
    the arms was left out of it because it is mistaken; ``left_out`` are the entries of lists for which that is so.
    """

    document: Mapping[str, Any] = Field(default_factory=dict)
    changes: tuple[tuple[str, Any, str], ...] = ()
    origins: Mapping[str, str] = Field(default_factory=dict)
    run_seeds: Sequence[int] | None = None
    is_whole: bool = True
    left_out: frozenset[tuple[str, int]] = frozenset()

    def numbered(self, key: Literal["tune", "when"]) -> Iterator[tuple[int, Any]]:
        """Iterate over the entries of a list with the numbers that they have in the file."""
        numbers = (number for number in itertools.count() if (key, number) not in self.left_out)
        return zip(numbers, getattr(self, key), strict=False)

    def origin(self, key: str) -> str:
        """Return where ``vary``, ``product``, ``zip`` or ``tune`` is written, for messages."""
        return self.origins.get(key, key)
