"""Facts about grids of kernels: what their options stand for, what they are told apart by, and what may be claimed."""

from __future__ import annotations

import math

import pytest

from d2lbench.core.errors import GridError
from d2lbench.grid import load
from d2lbench.timing.kernels import cases as kernel_cases

RELU = '{ name = "relu", size = "small", phase = "whole" }'
VARIED = """[vary]
kernel = [
  { name = "relu", size = "large", phase = "whole" },
  { name = "sigmoid", size = ["small", "large"], phase = "whole" },
  { name = "mlp", depth = [1, 2, 4], phase = "forward-train" },
  { name = "train-step", implementation = ["concise", "scratch"] },
]
"""

#: A claim over an option of kernels: statistic, option, and the kernels of the two sides.
OVER = 'statistic = "{}"\nover = "kernel.{}"\nlower = {{ kernel = {} }}\nthan = {{ kernel = {} }}'


@pytest.fixture(scope="module")
def kernels(registry):
    """Load a grid of kernels with some base, some rest, and claims."""

    def loads(rest="", *, kernel=RELU, top="seeds = 12", **options):
        text = f'format = 1\ntitle = "Kernels"\n{top}\n[base]\nkernel = {kernel}\n{rest}'
        return load(text, registry, file="grid.toml", **options)

    return loads


@pytest.fixture(scope="module")
def claim(kernels, claim_text):
    def claims(fields, kind="timing", *, before=VARIED):
        return kernels(before + claim_text(fields, kind)).claims[0]

    return claims


def component(grid):
    return grid.arms[0].config.experiment


def test_a_size_stands_for_options_and_those_that_are_named_go_before_it(kernels):
    large = component(kernels(kernel='{ name = "relu", size = "large", phase = "forward" }'))
    assert (large.get("batch"), large.get("features"), large.get("size")) == (2048, 4096, "large")
    own = component(kernels(kernel='{ name = "relu", size = "large", features = 8, phase = "forward" }'))
    assert (own.get("batch"), own.get("features"), own.get("size")) == (2048, 8, "own")


def test_a_kernel_is_the_same_whether_its_size_is_named_or_spelled_out(kernels):
    named = kernels(kernel='{ name = "relu", size = "large", phase = "forward" }')
    spelled = kernels(kernel='{ name = "relu", batch = 2048, features = 4096, phase = "forward" }')
    other = kernels(kernel='{ name = "relu", size = "large", phase = "backward" }')
    ids = [next(grid.cells()).id for grid in (named, spelled, other)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("setting", ['dtype = "float64"', "threads = 2", "cold = true", "compiled = true"])
def test_another_setting_is_another_cell(kernels, setting):
    plain, changed = (
        next(kernels(kernel=f'{{ name = "relu", phase = "forward"{more} }}').cells()) for more in ("", f", {setting}")
    )
    assert plain.id != changed.id


def test_an_implementation_stands_for_options_unless_the_case_has_one_of_that_name(kernels):
    decayed = component(kernels(kernel='{ name = "train-step", implementation = "weight-decay" }'))
    assert (decayed.get("decay"), decayed.get("phase")) == ("optimizer", "step")
    stacked = component(kernels(kernel='{ name = "adam", implementation = "stacked", rows = 16 }'))
    assert (stacked.get("implementation"), stacked.get("rows")) == ("stacked", 16)


@pytest.mark.slow
def test_every_case_has_the_phases_and_dtypes_that_the_harness_knows(registry, kernels):
    for case in kernel_cases(registry):
        for phase in case.phases:
            chosen = component(
                kernels(kernel=f'{{ name = "{case.entry.name}", size = "{case.size}", phase = "{phase}" }}')
            )
            resolved = case.entry.resolve({**(case.entry.traits.sizes[case.size])})
            first = next(iter((case.entry.traits.implementations or {"": {}}).values()))
            expected = {**resolved, **first} if "implementation" not in case.entry.options else resolved
            assert {name: chosen.get(name) for name in case.entry.options} == expected


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ('{ name = "rellu", phase = "whole" }', r'base\.kernel: unknown kernel; given "rellu".*did you mean "relu"\?'),
        ('{ name = "relu" }', r'base\.kernel\.phase: kernel "relu" needs this option; allowed: "forward" or'),
        ('{ name = "relu", phase = "backwards" }', r'kernel\.phase: is not allowed.*did you mean "backward"\?'),
        ('{ name = "relu", phase = "step" }', r'kernel\.phase: is not allowed here; given "step"'),
        ('{ name = "relu", size = "smal", phase = "whole" }', r'kernel\.size: .*did you mean "small"\?'),
        ('{ name = "relu", phase = "whole", width = 3 }', r'"relu" has no such option; allowed: batch, features, size'),
        ('{ name = "train-step", implementation = "concize" }', r'implementation: .*did you mean "concise"\?'),
        ('{ name = "lbfgs", dtype = "bfloat16" }', r'kernel\.dtype: .*allowed: "float32" or "float64"'),
        ('{ name = "relu", phase = "whole", threads = 0 }', r"kernel\.threads: .*allowed: whole number ≥ 1"),
        ('{ name = "descent", compiled = true }', r"base\.kernel\.compiled: a step is not compiled"),
        ('{ name = "relu", phase = "whole", cold = true, compiled = true }', r"compiled: does not go with cold"),
    ],
)
def test_a_kernel_that_cannot_be_measured_is_refused_with_what_could(kernels, kernel, message):
    with pytest.raises(GridError, match=message):
        kernels(kernel=kernel)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ('dataset = "digits"\n', r"base\.dataset: does not go with a kernel, which stands instead of what trains"),
        ("replica = 1\n", r"base\.replica: does not go with a kernel"),
        ('experiment = "matrix-product"\n', r"base\.kernel: does not go with an experiment"),
        ("[vary]\nepochs = [1]\n", r"vary\.epochs\[0\]: a kernel stands instead of everything.*allowed: kernel"),
        ('[[tune]]\nspace."kernel.batch" = [1, 2]\n', r"tune\[0\]: a kernel has nothing to tune"),
    ],
)
def test_what_trains_does_not_stand_beside_a_kernel(kernels, rest, message):
    with pytest.raises(GridError, match=message):
        kernels(rest)


def test_a_kernel_does_not_stand_beside_what_trains(loaded):
    with pytest.raises(GridError, match=r"quick\.kernel: a kernel stands instead of everything that trains"):
        loaded('[quick]\nkernel = { name = "relu", phase = "whole" }\n')


def test_the_seeds_of_kernels_are_rounds_and_there_are_no_checks(kernels):
    grid = kernels(VARIED)
    assert grid.size_text == "108 cells = (1 + 8 [kernel]) × 12 [round]"
    assert (grid.is_timed, grid.checks) == (True, ())


def test_a_timing_claim_is_about_time_by_ratio_within_five_percent(claim):
    timing = claim('lower = "baseline"\nthan = { kernel = { name = "sigmoid", size = "small" } }')
    (part,) = timing.parts
    assert (part.measure.metric.name, part.measure.as_) == ("time", "ratio")
    assert math.exp(part.measure.margin) == pytest.approx(1.05, abs=1e-4)
    assert timing.in_family
    assert part.measure.metric.traits.unit == "s"


def test_timings_are_a_family_that_needs_rounds(kernels, claim_text):
    fields = 'lower = "baseline"\nthan = { kernel = { name = "sigmoid", size = "small" } }'
    counted = 'metric = "flops"\nsame = ["baseline", 0]'
    text = VARIED + claim_text(fields, "timing") + claim_text(counted, "count", "other")
    assert kernels(text).seeds_required == 8  # ⌈log2(2·1/0.05)⌉ + 2
    with pytest.raises(GridError, match=r"seeds: too few seeds for a family of 1 .*8 are needed"):
        kernels(text, top="seeds = 7")


def test_times_are_compared_in_their_own_family_and_nothing_else_is(claim, ask):
    fields = 'metric = "time"\nlower = "baseline"\nthan = { kernel = { name = "sigmoid", size = "small" } }'
    with pytest.raises(GridError, match=r"claims\.it\.kind: kernels are compared in a family of their own"):
        claim(fields, "comparison")
    with pytest.raises(GridError, match=r"claims\.it\.kind: there is no kernel in this grid; given \"timing\""):
        ask('metric = "test_accuracy"\nhigher = { optimizer = "adam" }\nthan = "baseline"', kind="timing")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            'metric = "test_accuracy"\nsame = ["baseline", 0]',
            r'the kernel returns no such metric: "relu.*allowed: time',
        ),
        ('metric = "tim"\nsame = ["baseline", 0]', r'did you mean "time"\?'),
        (
            'metric = { name = "time", at = "last" }\nsame = ["baseline", 0]',
            r"is one number of a kernel and has no opt",
        ),
        (
            'metric = "saved_bytes"\nsame = [{ kernel = { name = "train-step", implementation = "concise" } }, 0]',
            r'the kernel returns no such metric: "train-step"; given "saved_bytes"',
        ),
    ],
)
def test_a_metric_that_no_round_measures_is_refused(claim, fields, message):
    with pytest.raises(GridError, match=message):
        claim(fields, "count")


def test_a_side_is_summed_up_over_an_option_that_tells_its_arms_apart(claim):
    fields = 'statistic = "mean"\nover = "kernel.size"\nlower = { kernel = "relu" }\nthan = { kernel = "sigmoid" }'
    (comparison,) = claim(fields).parts
    assert [[point.label for point in side.points] for side in comparison.sides] == [["small", "large"]] * 2
    assert [arm.config.experiment.name for arm in comparison.first.arms] == ["relu", "relu"]


def test_an_option_that_is_a_number_gives_its_points_their_places(claim):
    fields = 'metric = "saved_bytes"\nstatistic = "misfit"\nover = "kernel.depth"\nsame = [{ kernel = "mlp" }, 0]'
    (comparison,) = claim(fields, "count").parts
    assert [point.position for point in comparison.first.points] == [1.0, 2.0, 4.0]


def test_a_side_may_name_the_values_of_the_option_that_it_is_summed_up_over(claim):
    side = '{ kernel = { name = "mlp", depth = [1, 4] } }'
    fields = f'metric = "saved_bytes"\nstatistic = "change"\nover = "kernel.depth"\nsame = [{side}, 0]'
    (comparison,) = claim(fields, "count").parts
    assert [point.position for point in comparison.first.points] == [1.0, 4.0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            OVER.format("mean", "size", '"relu"', '{ name = "sigmoid", size = "small" }'),
            r'claims\.it\.than: selects one arm, and the statistic runs over "kernel.size"',
        ),
        (
            OVER.format("mean", "phase", '"relu"', '"sigmoid"'),
            r'claims\.it\.lower: selects arms that are alike in "kernel\.phase": baseline; relu',
        ),
        (
            OVER.format("mean", "size", '"tanh"', '"sigmoid"'),
            r"claims\.it\.lower: selects no arm",
        ),
        (
            OVER.format("mean", "batch", '"relu"', '"mlp"'),
            r'claims\.it\.than: selects arms that are alike in "kernel\.batch"',
        ),
        (
            'margin = 1\nreason = "r"\n' + OVER.format("slope", "size", '"relu"', '"sigmoid"'),
            r'claims\.it\.over: statistic "slope" needs an axis of numbers',
        ),
    ],
)
def test_an_option_that_is_no_axis_of_a_side_is_refused(claim, fields, message):
    with pytest.raises(GridError, match=message):
        claim(fields)


def test_two_sides_over_different_values_of_an_option_are_not_compared(claim):
    more = '  { name = "mlp", depth = [1, 8], batch = 64, phase = "forward-train" },\n'
    before = VARIED.replace("[1, 2, 4]", "[1, 2, 4], batch = 32").replace("  { name", f"{more}  {{ name", 1)
    sides = [f'{{ kernel = {{ name = "mlp", batch = {batch} }} }}' for batch in (32, 64)]
    fields = f'statistic = "mean"\nover = "kernel.depth"\nlower = {sides[0]}\nthan = {sides[1]}'
    with pytest.raises(GridError, match=r"claims\.it\.over: the two sides have different values of it"):
        claim(fields, before=before)
