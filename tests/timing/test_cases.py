"""Facts about every registered kernel case, at sizes that take milliseconds: it is right, and says what it costs."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from d2lbench import catalogue
from d2lbench.core.errors import TimingError
from d2lbench.store.timings import PHASES
from d2lbench.timing.cases import functions, load
from d2lbench.timing.cases.functions import FUNCTIONS
from d2lbench.timing.cases.initializers import TORCH
from d2lbench.timing.cases.networks import OWN
from d2lbench.timing.cases.optimizers import RULES
from d2lbench.timing.correctness import check

REGISTRY = load()
ENTRIES = REGISTRY.entries("kernel")
DTYPES = ("float64", "float32", "bfloat16")
#: torchvision's classifiers hold a hundred million numbers whatever the image: they are built without memory only.
HUGE = {"alexnet-torchvision", "vgg-11-torchvision"}
#: Enough rows to see that they do not mix.
FEW_ROWS = 3
#: What torch's counter knows, and counts as we do.
PRODUCTS = {"products", "convolutions", "networks", "stacks"}


def implementations(entry):
    return (entry.traits.implementations or {"": {}}).items()


def table(entries):
    found = []
    for entry in entries:
        for name, options in implementations(entry):
            tiny = {**entry.traits.tiny, **options}
            if tiny.get("rows", 1) > FEW_ROWS:
                tiny["rows"] = FEW_ROWS
            if tiny.get("workers", 0) <= 1:  # more of them take seconds to start
                found.append(pytest.param(entry, tiny, id=f"{entry.name}[{name}]" if name else entry.name))
    return found


CASES = table(entry for entry in ENTRIES if entry.name not in HUGE)


@pytest.fixture
def build():
    """Build a case from its entry, and release what it holds in the end."""
    made = []

    def built(entry, options, dtype="float32", device="cpu"):
        case = entry.factory(device, getattr(torch, dtype), **entry.resolve(options))
        made.append(case)
        return case

    yield built
    for case in made:
        if case.close is not None:
            case.close()


def fused_sgd_steps(dtype):
    """Whether a fused step moves every number: in bfloat16, that of torch 2.11 leaves most of 33 where they were."""
    p = torch.zeros(33, dtype=getattr(torch, dtype), requires_grad=True)
    p.grad = torch.ones_like(p)
    torch.optim.SGD([p], lr=0.5, fused=True).step()
    return bool((p == -0.5).all())


def error(found, expected):
    """Return the largest error in units of the largest expected number."""
    expected = expected.detach().double()
    return float((found.detach().double() - expected).abs().max()) / (float(expected.abs().max()) or 1.0)


def exactly(tensors):
    return [each.detach().double().requires_grad_(each.requires_grad) for each in tensors]


def random_like(output):
    return torch.randn(output.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def gradients(output, inputs):
    wanted = [each for each in inputs if each.requires_grad]
    return torch.autograd.grad(output, wanted, random_like(output).to(output.dtype))


def test_at_least_sixty_cases_are_listed():
    listed = [(entry.name, *pair) for entry in ENTRIES for pair in itertools.product(*sizes_and_implementations(entry))]
    assert len(ENTRIES) >= 60
    assert len(listed) == len(set(listed)) >= 150


def sizes_and_implementations(entry):
    return entry.traits.sizes, entry.traits.implementations or [""]


def test_listing_the_cases_does_not_load_torch():
    code = "import sys; from d2lbench.timing.cases import load; load(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_declaration_is_whole_and_its_sizes_name_options_that_exist(entry):
    assert set(entry.traits.sizes) == {"small", "large"}
    assert entry.traits.group
    assert entry.summary
    assert set(entry.traits.phases) <= set(PHASES)
    for size, (_, options) in itertools.product(entry.traits.sizes.values(), implementations(entry)):
        assert {**size, **options}.items() <= entry.resolve({**size, **options}).items()


def compared_in(case):
    """Return the dtypes in which a case is compared with its reference, which may be the same code in float64."""
    entry, _ = case.values
    same = {"float64"} if entry.traits.group in {"networks", "loading"} else set()
    return [dtype for dtype in entry.traits.dtypes if dtype not in same]


@pytest.mark.parametrize(
    ("entry", "options", "dtype"),
    [
        pytest.param(
            *case.values,
            dtype,
            id=f"{case.id}-{dtype}",
            marks=pytest.mark.slow if case.values[0].traits.group == "networks" else (),
        )
        for case in CASES
        for dtype in compared_in(case)
    ],
)
def test_a_case_agrees_with_its_float64_reference_forward_and_back(build, entry, options, dtype):
    if options.get("implementation") == "fused" and "sgd" in entry.name and not fused_sgd_steps(dtype):
        pytest.skip(f"this torch's own fused SGD does not step in {dtype}: such a case is refused before it is timed")
    case = build(entry, options, dtype)
    if case.reference is None:
        assert not entry.traits.reference_needed
        return
    twins = exactly(case.inputs)
    torch.manual_seed(0)
    output = case.call(*case.inputs)
    torch.manual_seed(0)
    expected = case.reference(*twins)
    assert output.shape == expected.shape
    assert torch.isfinite(output).all()
    assert error(output, expected) <= case.tolerance
    if "backward" in entry.traits.phases and expected.requires_grad:
        found = zip(gradients(output, case.inputs), gradients(expected, twins), strict=True)
        assert max(itertools.starmap(error, found)) <= case.tolerance


@pytest.mark.parametrize(("entry", "options"), CASES)
def test_declared_phases_are_there_and_each_says_what_it_costs(build, entry, options):
    case, phases = build(entry, options), set(entry.traits.phases)
    assert (case.step is not None) == ("step" in phases)
    if "backward" in phases:
        assert case.call(*case.inputs).requires_grad
        assert any(each.requires_grad for each in (*case.inputs, *case.parameters))
    counted = {"step"} if entry.name.endswith("-torchvision") else phases
    assert counted <= set(case.flops)
    assert phases <= set(case.bytes)
    assert all(count >= 0 for count in case.flops.values())
    assert all(count > 0 for count in case.bytes.values())
    assert all(
        each.numel() == 1 or float(each.detach().double().std()) > 0 for each in case.inputs[:1]
    )  # no constant image


@pytest.mark.parametrize(("entry", "options"), [case for case in CASES if "step" in case.values[0].traits.phases])
def test_a_step_may_be_taken_again_and_again_and_leaves_the_case_as_it_is(build, entry, options):
    case = build(entry, options)
    before = [each.detach().clone() for each in case.inputs]
    for _ in range(3):
        case.step()
    assert all(torch.equal(each, was) for each, was in zip(case.inputs, before, strict=True))


@pytest.mark.parametrize(
    ("entry", "options"),
    [
        case
        for case in CASES
        if case.values[0].traits.group in PRODUCTS and not case.values[0].name.endswith("-torchvision")
    ],
)
def test_operations_of_products_and_convolutions_are_those_of_torchs_own_counter(build, entry, options):
    case = build(entry, options)
    with FlopCounterMode(display=False) as forward:
        output = case.call(*case.inputs)
    assert case.flops["forward"] == forward.get_total_flops()
    with FlopCounterMode(display=False) as backward:
        gradients(output, case.inputs)
    groups = options["rows"] if entry.name == "stack-conv-3x3" else 1  # which torch counts once too often each, back
    assert case.flops["backward"] * groups == backward.get_total_flops()
    assert case.flops["whole"] == case.flops["forward"] + case.flops["backward"]


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.name.endswith("-torchvision")], ids=lambda e: e.name)
def test_torchvisions_networks_have_the_declared_shape_and_their_operations_can_be_counted(build, entry):
    with torch.device("meta"):  # shapes without numbers
        case = build(entry, {"batch": 2, "side": 64}, device="meta")
        with FlopCounterMode(display=False) as counter:
            output = case.call(*case.inputs)
    assert output.shape == (2, 10)
    assert counter.get_total_flops() > 0
    assert not any("dropout" in type(part).__name__.lower() and part.p for part in modules_of(case))


def modules_of(case):
    (network,) = (cell.cell_contents for cell in case.call.__closure__)
    return network.modules()


@pytest.mark.parametrize(
    ("kind", "covered"),
    [
        ("activation", {*FUNCTIONS, "identity"}),
        ("init", set(TORCH)),
        ("optimizer", {*RULES, "lbfgs", "sparse-adam"} - {"sgd-momentum"}),
        ("model", {*OWN, "mlp", "linear", "softmax", "embedding-bag"}),
    ],
)
def test_everything_registered_of_a_kind_has_a_case(kind, covered):
    """The identity does nothing; linear models are the linear layers' cases; an embedding's is sparse Adam's."""
    assert set(catalogue.load().names(kind)) <= covered


@pytest.mark.parametrize("name", ["dropout", "dropout-scratch"])
def test_dropout_keeps_the_declared_share_scales_it_and_hands_back_the_same_mask(build, name):
    entry = REGISTRY.get("kernel", name)
    case = build(entry, {"batch": 100, "features": 100, "p": 0.2})
    (x,) = case.inputs
    output = case.call(x)
    kept = output != 0
    torch.testing.assert_close(output[kept], x[kept] / 0.8)
    share = float(kept.double().mean())
    assert abs(share - 0.8) < 5 * (0.2 * 0.8 / 10_000) ** 0.5  # five standard errors
    (slope,) = torch.autograd.grad(output, (x,), torch.ones_like(output))
    torch.testing.assert_close(slope, kept / 0.8)


@pytest.mark.parametrize("name", ["dropout", "dropout-scratch"])
def test_dropout_that_keeps_another_share_is_refused(build, name):
    case = build(REGISTRY.get("kernel", name), {"batch": 100, "features": 100, "p": 0.2})
    check(case, case.call, ("forward", "backward"))
    wrong = torch.nn.Dropout(0.25)
    with pytest.raises(TimingError):
        check(dataclasses.replace(case, call=wrong), wrong, ("forward",))


def test_a_layer_with_a_rate_of_its_own_keeps_too_few():
    layer = torch.nn.Dropout(0.3)
    case = functions._dropout(torch.ones(10_000), 0.2, layer, lambda x: layer(x) != 0)
    with pytest.raises(TimingError, match=r"0\.\d+ of the numbers are kept; allowed: 0\.8 ± 0\.0200"):
        check(case, layer, ("forward",))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_networks_step_is_proved_and_a_wrong_one_refused(build, dtype):
    entry = REGISTRY.get("kernel", "mlp")
    case = build(entry, entry.traits.tiny, dtype)
    assert check(case, case.call, ("forward", "step"), entry.traits.phases) == ("forward", "step")
    found, expected = case.stepped()
    wrong = dataclasses.replace(case, stepped=lambda: (found * 1.1, expected))
    with pytest.raises(TimingError, match=r"a step is off by 0\.1"):
        check(wrong, wrong.call, ("forward", "step"), entry.traits.phases)


def test_stacked_gradients_differ_from_each_rows_own_by_rounding_where_relus_flip(build):
    """In bfloat16 some of these 32,768 numbers always round to the other side of zero."""
    options = {"batch": 32, "inputs": 64, "width": 64, "rows": 16}
    case = build(REGISTRY.get("kernel", "stack-mlp"), options, "bfloat16")
    assert check(case, case.call, ("forward", "backward")) == ("forward", "backward")


def test_sixteen_stacked_rows_count_sixteen_times_one(build):
    for name in ("adam", "stack-mlp"):
        entry = REGISTRY.get("kernel", name)
        tiny = entry.traits.tiny | ({"implementation": "stacked"} if name == "adam" else {})
        one, sixteen = (build(entry, tiny | {"rows": rows}) for rows in (1, 16))
        for phase in entry.traits.phases:
            assert sixteen.flops[phase] == 16 * one.flops[phase]
            assert sixteen.bytes[phase] == 16 * one.bytes[phase]


def test_a_case_draws_the_same_numbers_whatever_its_dtype(build):
    entry = REGISTRY.get("kernel", "linear")
    narrow, wide = (build(entry, entry.traits.tiny, dtype) for dtype in ("float32", "float64"))
    for ours, theirs in zip(narrow.inputs, wide.inputs, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "dtype", "proved"),
    [
        ("lenet", "float32", True),
        ("googlenet", "bfloat16", True),
        ("resnet-18", "float32", True),
        ("resnet-18", "bfloat16", False),
    ],
)
def test_the_way_back_is_proved_where_rounding_leaves_gradients_to_compare(build, name, dtype, proved):
    entry = REGISTRY.get("kernel", name)
    case = build(entry, entry.traits.tiny, dtype)
    assert case.reference(*exactly(case.inputs)).requires_grad == proved


@pytest.mark.slow
def test_a_networks_gradients_differ_from_the_reference_by_rounding_at_a_size_where_branches_flip(build):
    """Without following them, two ReLUs on the other side of zero move GoogLeNet's gradients by half a percent."""
    case = build(REGISTRY.get("kernel", "googlenet"), {"batch": 16, "side": 28})
    assert case.tolerance == pytest.approx(1e-3)
    assert check(case, case.call, ("forward", "backward")) == ("forward", "backward")


def test_workers_and_resident_data_hand_out_the_same_images(build):
    options = REGISTRY.get("kernel", "load-resident").traits.tiny
    workers = REGISTRY.get("kernel", "load-workers")
    resident = build(REGISTRY.get("kernel", "load-resident"), options)
    loaded = build(workers, {**options, "workers": 1})
    torch.testing.assert_close(resident.call(), loaded.call())


def test_an_optimizers_checked_change_is_large_enough_to_be_seen_through_rounding(build):
    for name in RULES:
        entry = REGISTRY.get("kernel", name)
        case = build(entry, entry.traits.tiny, "float64")
        change = case.call(*case.inputs)
        assert float(change.abs().max()) > 0.05, name


@pytest.mark.parametrize("name", RULES)
def test_a_fused_step_is_timed_where_torch_has_one(name):
    rule = RULES[name]
    twin = catalogue.load().get("optimizer", rule.optimizer or name).factory().torch_name
    has_one = "fused" in inspect.signature(getattr(torch.optim, twin)).parameters
    assert ("fused" in REGISTRY.get("kernel", name).traits.implementations) == has_one


def test_a_wrong_kernel_is_further_from_its_reference_than_the_tolerance(build):
    """A step that is left out, a stride, a missing bias: what a check has to find, it finds in the coarsest dtype."""
    sgd = REGISTRY.get("kernel", "sgd")
    case = build(sgd, sgd.traits.tiny, "bfloat16")
    p, g = case.inputs
    two_steps = -0.2 * g
    assert error(two_steps, case.reference(p.double(), g.double())) > case.tolerance
    linear = REGISTRY.get("kernel", "linear")
    case = build(linear, linear.traits.tiny, "bfloat16")
    without_bias = functools.partial(torch.nn.functional.linear, bias=None)
    x, w, _ = case.inputs
    assert error(without_bias(x, w), case.reference(*exactly(case.inputs))) > case.tolerance
