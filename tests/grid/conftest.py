"""A small grid to write variations of, and the registry it is looked up in."""

from __future__ import annotations

from typing import Annotated

import pytest
from annotated_types import Ge

from d2lbench.grid import load
from d2lbench.timing import cases

BASE = {
    "dataset": '"digits"',
    "model": '{ name = "mlp", hidden = [64, 64] }',
    "optimizer": '{ name = "sgd", lr = 0.1 }',
    "epochs": "4",
    "batch_size": "32",
}


def written(rest="", *, top="seeds = 12", **base):
    """Return a grid's text: keys at the top, base with some keys replaced (or dropped, by None), and the rest."""
    lines = [f"{key} = {value}" for key, value in {**BASE, **base}.items() if value is not None]
    return "\n".join(['format = 1\ntitle = "A grid"', top, "[base]", *lines, rest, ""])


def asked(fields, kind="comparison", name="it"):
    """Return a claim's text with the fields that every claim has."""
    head = f'id = "{name}"\nkind = "{kind}"\norigin = "ours"\nsays = "It is so."\nsource = "us"\n'
    return f"[[claims]]\n{head}{fields}\n"


@pytest.fixture(scope="session")
def registry():
    return cases.load()


@pytest.fixture(scope="session")
def grid_text():
    return written


@pytest.fixture(scope="session")
def claim_text():
    return asked


@pytest.fixture(scope="session")
def loaded(registry):
    """Load what the small grid becomes with the given changes."""

    def loads(rest="", *, scale="quick", sets=(), seeds=None, only=(), **changes):
        text = written(rest, **changes)
        return load(text, registry, scale=scale, sets=sets, seeds=seeds, only=only, file="grid.toml")

    return loads


@pytest.fixture(scope="session")
def with_experiment(registry):
    """Return a registry that has a toy experiment, too; the shared one stays as it is."""
    own = registry.having("experiment", registry.entries("experiment"))

    @own.register("experiment", "toy", metrics={"deviation": {"as_": "difference", "margins": {"quick": 0.1}}})
    def toy(seed: int, /, *, factors: Annotated[int, Ge(1)], size: int = 4) -> dict[str, float]:
        """Nothing."""
        return {"deviation": float(seed + factors + size)}

    return own


@pytest.fixture
def ask(loaded, claim_text):
    """Load a grid with one claim and return the claim."""

    def asks(
        fields,
        before='[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n',
        *,
        kind="comparison",
        model='{ name = "mlp", depth = 2, width = 64 }',
        **options,
    ):
        grid = loaded(before + claim_text(fields, kind), model=model, **options)
        return grid.claims[0]

    return asks
