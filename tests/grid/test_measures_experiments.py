"""Facts about claims in a grid whose arms are different experiments: each reads the metrics of its own sides."""

from __future__ import annotations

import pytest

from d2lbench.core.errors import GridError
from d2lbench.core.spec import Component
from d2lbench.grid import load
from d2lbench.grid.claims.measures import metric_of

GRID = """
format = 1
title = "Two experiments"
seeds = 12
[base]
experiment = { name = "toy", factors = 2 }
[vary]
experiment = [{ name = "toy", factors = 9 }, { name = "other", size = [1, 2] }, "third", "silent"]
"""


@pytest.fixture(scope="module")
def two(with_experiment):
    """Return a registry with experiments that share a metric's name, one of which means something else by it."""

    @with_experiment.register("experiment", "other", metrics={"bytes": {"unit": "bytes"}, "deviation": _SHARED})
    def other(seed: int, /, *, size: int = 1) -> dict[str, float]:
        """Nothing."""
        return {"bytes": float(seed + size), "deviation": 0.0}

    @with_experiment.register("experiment", "third", metrics={"deviation": {"as_": "ratio"}})
    def third(seed: int, /) -> dict[str, float]:
        """Nothing."""
        return {"deviation": float(seed)}

    @with_experiment.register("experiment", "silent")
    def silent(seed: int, /) -> dict[str, float]:
        """Nothing."""
        return {"deviation": float(seed)}

    return with_experiment


_SHARED = {"as_": "difference", "margins": {"quick": 0.1}}


def ask(registry, claim_text, fields, kind="identity"):
    return load(GRID + claim_text(fields, kind), registry).claims[0]


def test_a_claim_reads_the_metrics_of_the_experiments_that_its_sides_select(two, claim_text):
    fields = 'metric = "{}"\nsame = [{{ experiment = {{ name = "other", size = {} }} }}, 3]'
    claim = ask(two, claim_text, fields.format("bytes", 1))
    assert claim.measure.metric.traits.unit == "bytes"
    with pytest.raises(GridError, match=r'returns no such metric: "other"; given "bites".*did you mean "bytes"'):
        ask(two, claim_text, fields.format("bites", 1))


def test_a_metric_of_the_baselines_experiment_is_none_of_anothers(two, claim_text):
    with pytest.raises(GridError, match=r'claims.it.metric: the experiment returns no such metric: "toy"'):
        ask(two, claim_text, 'metric = "bytes"\nsame = ["baseline", 3]')


def test_two_experiments_are_compared_on_a_metric_that_both_return(two, claim_text):
    fields = 'metric = "{}"\nhigher = {{ experiment = {{ name = "other", size = 2 }} }}\nthan = "baseline"'
    claim = ask(two, claim_text, fields.format("deviation"), "comparison")
    assert (claim.measure.metric.name, claim.measure.margin) == ("deviation", 0.1)
    with pytest.raises(GridError, match=r'returns no such metric: "toy"'):
        ask(two, claim_text, fields.format("bytes"), "comparison")


def test_two_experiments_that_mean_different_things_by_a_name_are_not_compared(two, claim_text):
    with pytest.raises(GridError, match=r'declared differently.*not "toy" and "third"'):
        ask(two, claim_text, 'metric = "deviation"\nhigher = { experiment = "third" }\nthan = "baseline"', "comparison")


def test_an_experiment_that_declares_no_metrics_answers_no_claim(two, claim_text):
    with pytest.raises(GridError, match=r'returns no such metric: "silent".*allowed: none: it declares no metrics'):
        ask(two, claim_text, 'metric = "deviation"\nsame = [{ experiment = "silent" }, 0]')


def test_a_number_of_an_experiment_has_no_options(two, claim_text):
    with pytest.raises(GridError, match=r"is one number of an experiment and has no options"):
        ask(two, claim_text, 'metric = { name = "bytes", at = "last" }\nsame = [{ experiment = { size = 2 } }, 0]')


def test_a_side_that_selects_nothing_is_told_before_any_metric(two, claim_text):
    fields = 'metric = "bytes"\nsame = [{ experiment = { name = "other", size = 7 } }, 3]'
    with pytest.raises(GridError, match=r"claims.it.same\[0\]: selects no arm"):
        ask(two, claim_text, fields)


def test_parts_in_different_units_are_refused_for_experiments_too(two, claim_text):
    sides = '{ experiment = { name = "other", size = 2 } }'
    parts = "".join(f'[[claims.part]]\nmetric = "{name}"\nsame = [{sides}, 0]\n' for name in ("bytes", "deviation"))
    with pytest.raises(GridError, match=r"has parts in different units"):
        ask(two, claim_text, parts)


def test_the_words_of_an_experiments_metric_are_its_name_alone(two, claim_text):
    claim = ask(two, claim_text, 'metric = "bytes"\nsame = [{ experiment = { name = "other", size = 2 } }, 3]')
    assert claim.measure.metric.label() == "bytes"
    assert metric_of(two, Component("metric", "test_accuracy")).traits is two.get("metric", "test_accuracy").traits
