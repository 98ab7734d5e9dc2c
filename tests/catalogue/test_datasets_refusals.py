"""Facts about what the datasets refuse before anything runs, and with which words."""

from __future__ import annotations

import pytest

from d2lbench.catalogue import load
from d2lbench.core.errors import GridError
from d2lbench.core.spec import Component, Config

REGISTRY = load()
DIVISIBLE = [entry.name for entry in REGISTRY.entries("dataset")]


def refusal(name, model=None, **options):
    """Return the error with which a dataset's check meets these options, or None."""
    entry = REGISTRY.get("dataset", name)
    parts = {key: Component(key, "any") for key in ("init", "loss", "regularizer", "optimizer", "schedule")}
    dataset = Component("dataset", name, tuple(sorted(entry.resolve(options).items())))
    config = Config(dataset=dataset, model=model or WORDS, **parts, epochs=1, batch_size=10)
    try:
        entry.traits.check(config)
    except GridError as error:
        return error
    return None


WORDS = Component("model", "embedding-bag", (("vocabulary", 1000),))
PLAIN = Component("model", "mlp", (("hidden", (64,)),))


@pytest.mark.parametrize("name", DIVISIBLE)
def test_the_defaults_and_any_of_the_folds_are_allowed(name):
    assert refusal(name) is None
    for fold in (0, 4):
        assert refusal(name, folds=5, fold=fold, train_size=20) is None


@pytest.mark.parametrize("name", DIVISIBLE)
def test_a_fold_must_be_one_of_the_folds(name):
    error = refusal(name, folds=5, fold=5)
    assert str(error) == "dataset.fold: is none of the 5 folds; given 5; allowed: 0 to 4"
    error = refusal(name, fold=1)
    assert str(error) == "dataset.fold: needs folds; given 1; allowed: folds ≥ 2"


@pytest.mark.parametrize("name", DIVISIBLE)
@pytest.mark.parametrize("folds", [1, 11])
def test_folds_need_an_example_each_and_something_left_to_train_on(name, folds):
    assert refusal(name, folds=10, train_size=10) is None
    assert str(refusal(name, folds=folds, train_size=10)) == (
        "dataset.folds: cannot cut 10 training examples into a part that validates and others that train; "
        f"given {folds}; allowed: 0 for none, or 2 to 10"
    )


@pytest.mark.parametrize(
    ("name", "options", "most"),
    [
        ("digits", {}, 900),
        ("fashion-mnist", {}, 55_000),
        ("mnist", {"validation": 0}, 60_000),
        ("kmnist", {"validation": 10_000}, 50_000),
        ("cifar10", {}, 45_000),
    ],
)
def test_more_images_than_there_are_cannot_train(name, options, most):
    assert refusal(name, train_size=most, **options) is None
    assert str(refusal(name, train_size=most + 1, **options)) == (
        f"dataset.train_size: {name} has fewer training images; given {most + 1}; allowed: 1 to {most}"
    )


def test_images_that_are_left_to_train_cannot_be_none():
    with pytest.raises(GridError, match="whole number ≥ 0 and < 50000"):
        refusal("cifar10", validation=50_000)


def test_no_more_features_can_be_relevant_than_there_are():
    assert refusal("sparse-linear", features=4, relevant=4) is None
    assert str(refusal("sparse-linear", features=4, relevant=5)) == (
        "dataset.relevant: more features are relevant than there are; given 5; allowed: 0 to dataset.features = 4"
    )


def test_copies_must_divide_the_training_set_and_go_into_no_folds():
    assert refusal("least-squares", copies=15) is None
    assert str(refusal("least-squares", copies=7)) == (
        "dataset.train_size: cannot be copies of 7 each; given 1500; allowed: a multiple of dataset.copies = 7"
    )
    assert str(refusal("least-squares", copies=5, folds=5)) == (
        "dataset.copies: would put copies of one example on both sides of a fold; given 5; "
        "allowed: 1 where dataset.folds is set"
    )


@pytest.mark.parametrize(
    ("name", "options", "given"),
    [
        ("high-dim-linear", {"features": 100_000, "train_size": 1000}, "1100 examples × 100000 features"),
        ("sparse-linear", {"noise_features": 99_800, "train_size": 400}, "1500 examples × 100000 features"),
        ("topics", {"length": 10_000, "train_size": 9_000}, "10500 examples × 10000 features"),
    ],
)
def test_data_that_would_fill_the_memory_are_refused(name, options, given):
    assert str(refusal(name, **options)) == (
        f'dataset: {name} would hold too many numbers; given "{given}"; allowed: 100000000 numbers in all'
    )


def test_words_go_only_into_models_that_know_them():
    assert str(refusal("topics", model=PLAIN)) == (
        'model: topics holds numbers of words, not quantities, and the model does not look words up; given "mlp"; '
        "allowed: a model like embedding-bag"
    )
    assert str(refusal("topics", vocabulary=1001)) == (
        "dataset.vocabulary: the model knows fewer words; given 1001; allowed: 2 to model.vocabulary = 1000"
    )


@pytest.mark.parametrize(
    ("name", "option", "value", "allowed"),
    [
        ("sparse-linear", "correlation", 1.0, "number ≥ 0 and < 1"),
        ("least-squares", "condition", 0.5, "number ≥ 1 and ≤ 100000000.0"),
        ("polynomial", "degree", 0, "whole number ≥ 1 and ≤ 100"),
        ("xor", "noise", -0.1, "number ≥ 0"),
        ("topics", "vocabulary", 1, "whole number ≥ 2 and ≤ 100000"),
        ("digits", "train_size", 0, "whole number ≥ 1 and ≤ 100000"),
        ("high-dim-linear", "folds", -1, "whole number ≥ 0"),
    ],
)
def test_an_option_out_of_bounds_is_refused_with_what_is_allowed(name, option, value, allowed):
    with pytest.raises(GridError) as error:
        REGISTRY.get("dataset", name).resolve({option: value})
    assert error.value.key == option
    assert error.value.allowed == allowed
