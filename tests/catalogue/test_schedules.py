"""Facts about the schedules' options: what is refused, and what every schedule shares."""

from __future__ import annotations

import pytest

from d2lbench import catalogue
from d2lbench.core.errors import GridError
from d2lbench.grid import load

REGISTRY = catalogue.load()
GRID = """
format = 1
title  = "A grid"
seeds  = 12
[base]
dataset    = "digits"
model      = "mlp"
optimizer  = "sgd"
epochs     = 4
batch_size = 32
schedule   = {schedule}
"""


def refusal(schedule):
    with pytest.raises(GridError) as caught:
        load(GRID.replace("{schedule}", schedule), REGISTRY, file="grid.toml")
    return str(caught.value).removeprefix("grid.toml: base.schedule")


@pytest.mark.parametrize("entry", REGISTRY.entries("schedule"), ids=lambda entry: entry.name)
def test_every_schedule_takes_a_warm_up_and_refuses_one_that_fills_the_budget(entry):
    assert {"warmup", "warmup_start"} <= set(entry.options)
    said = '.warmup: the warm-up takes the whole budget (arm "baseline"); given 4; allowed: fewer than 4 epochs'
    assert refusal(f'{{ name = "{entry.name}", warmup = 4 }}') == said


def test_the_schedules_that_the_book_sets_by_hand_can_come_late():
    late = {entry.name for entry in REGISTRY.entries("schedule") if "late" in entry.options}
    assert late == {"square-root", "cosine"}


def test_a_cycle_must_have_time_to_rise():
    said = (
        '.pct_start: the rate cannot rise within one of 3 epochs (arm "baseline"); given 0.3; '
        'allowed: more than 1/3, or unit = "step"'
    )
    assert refusal('{ name = "one-cycle", warmup = 1 }') == said
    rising = '{ name = "one-cycle", warmup = 1, pct_start = 0.4 }'
    by_step = '{ name = "one-cycle", unit = "step" }'
    for schedule in (rising, by_step):
        assert load(GRID.replace("{schedule}", schedule), REGISTRY).arms


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (
            '{ name = "one-cycle", pct_start = 1.0 }',
            ".pct_start: is not allowed here; given 1.0; allowed: number > 0 and < 1",
        ),
        (
            '{ name = "one-cycle", div_factor = 0.5 }',
            ".div_factor: is not allowed here; given 0.5; allowed: number ≥ 1",
        ),
        ('{ name = "cosine", until = 0 }', ".until: is not allowed here; given 0; allowed: whole number ≥ 1"),
        ('{ name = "cosine", late = 1 }', ".late: is not allowed here; given 1; allowed: true or false"),
        (
            '{ name = "cosine-restarts", growth = 0 }',
            ".growth: is not allowed here; given 0; allowed: whole number ≥ 1",
        ),
        ('{ name = "multi-step", spent = -1 }', ".spent: is not allowed here; given -1; allowed: whole number ≥ 0"),
        ('{ name = "square-root", scale = 0.0 }', ".scale: is not allowed here; given 0.0; allowed: number > 0"),
    ],
)
def test_an_option_out_of_bounds_is_refused_with_its_bounds(schedule, said):
    assert refusal(schedule) == said


def test_a_default_that_is_spelled_out_is_the_same_arm():
    grids = [
        load(GRID.replace("{schedule}", text), REGISTRY) for text in ('"cosine"', '{ name = "cosine", late = false }')
    ]
    first, second = (grid.arms[0].config.schedule.canonical for grid in grids)
    assert first == second == ()
