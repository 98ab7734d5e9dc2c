"""What a claim is decided by: what picks, the margin, and enough seeds."""

from __future__ import annotations

import math

import pytest

from d2lbench.core.errors import GridError
from d2lbench.grid.claims.claim import family_seeds

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'
LADDER = '[[tune]]\nspace."optimizer.lr" = [1.0, 0.01, 0.1]\n'
HIGHER = 'metric = "test_accuracy"\nhigher = { optimizer = "adam" }\nthan = "baseline"\n'


def measure(claim):
    (part,) = claim.parts
    return part.measure


@pytest.mark.parametrize(
    ("metric", "picks"),
    [
        ('"test_accuracy"', "validation_accuracy"),
        ('"test_loss"', "validation_loss"),
        ('"validation_loss"', "validation_loss"),
        ('{ name = "test_accuracy", at = "best" }', "validation_accuracy(at=best)"),
        ('{ name = "epochs_to_target", target = 0.9 }', "epochs_to_target(target=0.9)"),
        ('"sparsity"\nselect = "validation_loss"', "validation_loss"),
    ],
)
def test_what_picks_is_the_metrics_twin_unless_the_claim_says(ask, metric, picks):
    measured = measure(ask(f'metric = {metric}\nhigher = {{ optimizer = "adam" }}\nthan = "baseline"', VARY + LADDER))
    assert measured.select.label() == picks


def test_what_picks_is_needed_only_where_something_is_tuned(ask):
    fields = 'metric = "sparsity"\nhigher = { optimizer = "adam" }\nthan = "baseline"\n'
    assert measure(ask(fields)).select is None
    assert measure(ask(fields + 'stage = "default"', VARY + LADDER)).select is None


@pytest.mark.parametrize(
    ("metric", "quick", "full", "as_"),
    [
        ("test_accuracy", 0.01, 0.005, "difference"),
        ("test_loss", 0.05, 0.05, "ratio"),
        ("weight_norm", 0.05, 0.05, "ratio"),
        ("log10_gradient_norm", 0.2, 0.2, "difference"),
        ("{ name = 'epochs_to_target', target = 0.9 }", 1.0, 1.0, "difference"),
    ],
)
def test_the_margin_is_the_metrics_at_each_scale(ask, metric, quick, full, as_):
    name = metric if metric.startswith("{") else f'"{metric}"'
    fields = f'metric = {name}\nhigher = {{ optimizer = "adam" }}\nthan = "baseline"'
    both = [measure(ask(fields, scale=scale)) for scale in ("quick", "full")]
    assert [each.margin for each in both] == [quick, full]
    assert {each.as_ for each in both} == {as_}


def test_a_margin_of_ones_own_has_a_reason_and_may_differ_at_quick(ask):
    fields = HIGHER + 'margin = 0.03\nreason = "it matters"\nquick = { margin = 0.04, metric = "test_loss" }'
    full, quick = measure(ask(fields, scale="full")), measure(ask(fields))
    assert (full.margin, full.metric.name, full.reason) == (0.03, "test_accuracy", "it matters")
    assert (quick.margin, quick.metric.name) == (0.04, "test_loss")


def test_against_a_number_the_margin_is_nothing(ask):
    assert measure(ask('metric = "test_accuracy"\nhigher = "baseline"\nthan = 0.5')).margin == 0.0


@pytest.mark.parametrize("m", [1, 2, 5, 10, 13, 34])
def test_seeds_suffice_when_the_smallest_p_survives_the_correction_twice_over(m):
    n = family_seeds(m)
    # two sign vectors of 2^n are as extreme as all signs alike: the smallest p is 2 / 2^n
    assert m * 2 / 2 ** (n - 2) <= 0.05 < m * 2 / 2 ** (n - 3)
    assert n == math.ceil(math.log2(2 * m / 0.05)) + 2


def test_only_comparisons_and_equivalences_that_are_asked_need_seeds(loaded, claim_text):
    first = claim_text(HIGHER + 'scales = ["full"]', name="first")
    second = claim_text(HIGHER, "demonstration", name="second")
    grid = loaded(VARY + first + second, top="seeds = 1")
    assert (grid.seeds_required, [claim.asked for claim in grid.claims]) == (0, [False, True])
    with pytest.raises(GridError, match="too few seeds for a family of 1 at the full scale: 8 are needed; given 1"):
        loaded(VARY + first + second, top="seeds = 1", scale="full")


def test_fewer_seeds_on_the_command_line_run_and_the_file_says_how_many_it_takes(loaded, claim_text):
    for options in ({"seeds": 2}, {"sets": ["seeds=2"]}):
        grid = loaded(VARY + claim_text(HIGHER), **options)
        assert grid.seeds == (0, 1)
        assert (grid.seeds_required, len(grid.declared_seeds)) == (8, 12)
