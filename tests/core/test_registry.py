"""Facts about registering: what a declaration may say, and how what it may not say is refused."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from d2lbench.core.kinds import KINDS, DatasetTraits, ExperimentTraits, KernelTraits, MetricTraits, OptimizerTraits
from d2lbench.core.registry import Registry


@pytest.fixture
def registry():
    return Registry()


def thing():
    """A thing."""


def refusal(registry, kind, name, **traits):
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        registry.register(kind, name, **traits)
    return str(caught.value)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"dataset"}))
def test_a_name_is_all_that_a_declaration_needs(registry, kind):
    assert registry.register(kind, "bare")(thing) is thing
    entry = registry.get(kind, "bare")
    assert (entry.kind, entry.name, entry.summary) == (kind, "bare", "A thing.")
    assert entry.traits == KINDS[kind]()


def test_a_dataset_has_a_shape_and_classes(registry):
    assert refusal(registry, "dataset", "mine", classes=2) == (
        'dataset "mine".shape: must be declared; allowed: list, each a whole number or function'
    )
    registry.register("dataset", "mine", shape=(4,), classes=2)(thing)
    assert registry.get("dataset", "mine").traits == DatasetTraits(shape=(4,), classes=2)


def test_what_a_dataset_declares_may_depend_on_its_options(registry):
    shape = {"shape": lambda options: (options["features"],), "classes": lambda options: options["features"] - 1}
    registry.register("dataset", "drawn", **shape)(thing)
    traits = registry.get(DatasetTraits, "drawn").traits
    assert (traits.shape_with({"features": 7}), traits.classes_with({"features": 7})) == ((7,), 6)
    assert traits.vocabulary_with({}) is None


def test_a_kind_is_named_by_its_word_or_by_its_dataclass(registry):
    registry.register(OptimizerTraits, "typed", derived=("x",))(thing)
    registry.register("optimizer", "named", derived=("x",))(thing)
    typed, named = registry.entries(OptimizerTraits)
    assert registry.entries("optimizer") == (typed, named)
    assert typed.traits == named.traits == OptimizerTraits(derived=("x",))
    assert registry.get("optimizer", "typed") is registry.get(OptimizerTraits, "typed") is typed


def test_an_unknown_kind_is_refused_with_the_nearest_one(registry):
    assert refusal(registry, "optimiser", "mine") == (
        'optimiser "mine": there is no such kind of thing; given "optimiser"; '
        f'allowed: {", ".join(KINDS)}; did you mean "optimizer"?'
    )


def test_an_unknown_trait_is_refused_with_the_nearest_one(registry):
    assert refusal(registry, "metric", "mine", beter="lower") == (
        'metric "mine".beter: there is no such trait; given "lower"; '
        f'allowed: {", ".join(each.name for each in fields(MetricTraits))}; did you mean "better"?'
    )


@pytest.mark.parametrize(
    ("kind", "trait", "given", "told"),
    [
        ("metric", "better", "smaller", 'given "smaller"; allowed: "higher" or "lower"'),
        ("metric", "columns", "loss", 'given "loss"; allowed: function'),
        ("metric", "margins", {"quick": "small"}, 'given { quick = "small" }; allowed: table'),
        ("metric", "curve", "yes", 'given "yes"; allowed: true or false'),
        ("statistic", "points", 2.5, "given 2.5; allowed: whole number"),
        ("statistic", "along", "trial", 'given "trial"; allowed: "trials" or "arms"; did you mean "trials"?'),
        ("model", "check", 1, "given 1; allowed: function"),
        ("kernel", "sizes", {"small": 3}, "given { small = 3 }; allowed: table"),
    ],
)
def test_a_trait_of_another_type_is_refused(registry, kind, trait, given, told):
    assert refusal(registry, kind, "mine", **{trait: given}) == f'{kind} "mine".{trait}: is not allowed here; {told}'


def test_one_word_and_a_list_do_for_several_words(registry):
    registry.register("kernel", "one", phases="forward")(thing)
    registry.register("kernel", "two", phases=["forward", "backward"])(thing)
    assert [entry.traits.phases for entry in registry.entries(KernelTraits)] == [("forward",), ("forward", "backward")]


@pytest.mark.parametrize("metrics", [("error",), ["error"], {"error": {}}, {"error": MetricTraits()}])
def test_an_experiment_lists_its_numbers_or_says_more_of_each(registry, metrics):
    registry.register("experiment", "mine", metrics=metrics)(thing)
    assert registry.get(ExperimentTraits, "mine").traits.metrics == {"error": MetricTraits()}


def test_what_an_experiment_says_of_a_number_is_checked_too(registry):
    told = refusal(registry, "experiment", "mine", metrics={"error": {"units": "nats"}})
    assert told.startswith('experiment "mine".metrics.error.units: there is no such trait; given "nats"; allowed: ')
    assert told.endswith('did you mean "unit"?')


def test_a_name_is_taken_once(registry):
    registry.register("loss", "mine")(thing)
    with pytest.raises(ValueError, match=r'loss "mine" is registered already, by .*test_registry'):
        registry.register("loss", "mine")(thing)


def test_a_registry_with_other_things_of_one_kind_leaves_the_first_as_it_is(registry):
    registry.register("loss", "mine")(thing)
    registry.register("model", "kept")(thing)
    other = registry.having("loss", ())
    other.register("loss", "yours")(thing)
    assert (registry.names("loss"), other.names("loss"), other.names("model")) == (("mine",), ("yours",), ("kept",))
