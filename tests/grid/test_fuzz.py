"""Any text and any TOML document is a grid or a GridError, never another exception.

The long run: the environment variable ``D2LBENCH_FUZZ`` says how many examples each gets.
"""

from __future__ import annotations

import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2lbench import catalogue
from d2lbench.core.errors import GridError
from d2lbench.grid import count, load
from d2lbench.grid.file.claims import ClaimText
from d2lbench.grid.file.shape import BASE_KEYS
from d2lbench.grid.model import Grid

pytestmark = pytest.mark.slow

REGISTRY = catalogue.load()
EXAMPLES = int(os.environ.get("D2LBENCH_FUZZ", "500"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

TOP = ("format", "title", "question", "seeds", "metrics", "keep_weights", "checks", "base", "vary", "product", "zip",
       "exclude", "when", "tune", "quick", "claims")  # fmt: skip
NAMES = [name for kind in REGISTRY.kinds() for name in REGISTRY.names(kind)]
OPTIONS = sorted({option for kind in REGISTRY.kinds() for entry in REGISTRY.entries(kind) for option in entry.options})
WORDS = ["name", "match", "set", "space", "budget", "low", "high", "log", "stage", "id", "part", *OPTIONS]
KEYS = st.sampled_from(
    [*TOP, *BASE_KEYS, *ClaimText.known(), *WORDS, "model.depth", "optimizer.lr", "a.b", "", "é", "\x7f"]
)


def toml(value):
    """Spell a value in TOML, tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007F")
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + " }"
    return repr(value)


def document(table):
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in table.items()) + "\n"


texts = st.one_of(
    st.sampled_from([*NAMES, "baseline", "tuned", "trials", "quick", "comparison", "epoch", "model.depth", "each"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8),
)
plain = st.one_of(
    texts,
    st.booleans(),
    st.integers(-2, 5),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.1, 0.5, 1e-3]),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)

#: What tomllib, pydantic and Python say of a mistake.
WORDS_OF_OTHERS = re.compile(
    r"\(at line|Input should|Field required|Extra inputs|validation error|namespace|Traceback|Invalid initial|"
    r"<class|object at 0x|NoneType|dict\b|tuple|Cannot (declare|overwrite|mutate)"
)

GOOD = {
    "format": 1,
    "title": "A grid",
    "seeds": 12,
    "base": {
        "dataset": "digits",
        "model": {"name": "mlp", "hidden": [8, 8]},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "epochs": 2,
        "batch_size": 8,
    },
    "product": {"model": {"activation": ["relu", "tanh"]}},
    "vary": {"optimizer": ["adam", {"name": "sgd", "momentum": 0.9}], "regularizer": [{"name": "dropout", "p": 0.5}]},
    "exclude": [{"regularizer": "dropout", "model": {"activation": "tanh"}}],
    "when": [{"match": {"optimizer": "adam"}, "set": {"epochs": 3}}],
    "tune": [{"space": {"optimizer": {"lr": [0.1, 0.2]}}}],
    "quick": {"epochs": 1, "vary": {"optimizer": ["adam"]}},
    "claims": [
        {
            "id": "it", "kind": "comparison", "origin": "ours", "says": "so", "source": "us",
            "metric": "test_accuracy", "higher": {"optimizer": "adam"}, "than": "baseline",
        }
    ],
}  # fmt: skip


def places(value, path=()):
    """Return the paths of everything within a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [found for key, item in items for found in places(item, (*path, key))]


def altered(value, path, change):
    """Return the document with what is at a path changed."""
    if not path:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = altered(value[path[0]], path[1:], change)
    return copy


@st.composite
def damaged(draw):
    """Take a good grid and put up to four other values, or other keys, into it."""
    found = GOOD
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(found)[1:]))
        value = draw(values)
        key = draw(KEYS)
        if draw(st.booleans()):
            found = altered(found, path, lambda _, value=value: value)
        else:
            put = lambda old, key=key, value=value: {**old, key: value} if isinstance(old, dict) else [old, value]  # noqa: E731
            found = altered(found, path, put)
    return found


def read(text):
    """Load a text at both scales; a refusal names the file."""
    for scale in ("quick", "full"):
        try:
            size = count(text + "\n", REGISTRY, scale=scale)
            if size.total > 5_000:  # a caller asks before it expands so much
                continue
            grid = load(text + "\n", REGISTRY, scale=scale, file="grid.toml")
        except GridError as error:
            assert str(error)  # noqa: PT017
            assert all(str(each).isprintable() for each in error.problems)  # noqa: PT017
            assert not WORDS_OF_OTHERS.search(str(error))  # noqa: PT017
        else:
            assert isinstance(grid, Grid)
            assert len(list(grid.cells())) > 0 or not grid.arms


def test_the_good_grid_is_good():
    for scale in ("quick", "full"):
        assert load(document(GOOD), REGISTRY, scale=scale).claims[0].parts


@FUZZ
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_grid_or_a_grid_error(text):
    read(text)


@FUZZ
@given(st.dictionaries(KEYS, values, max_size=6))
def test_any_document_is_a_grid_or_a_grid_error(table):
    read(document(table))


@FUZZ
@given(damaged())
def test_a_damaged_grid_is_a_grid_or_a_grid_error(table):
    read(document(table))


@FUZZ
@given(st.dictionaries(st.sampled_from(TOP), values, max_size=4))
def test_a_good_grid_with_other_parts_is_a_grid_or_a_grid_error(parts):
    read(document({**GOOD, **parts}))
