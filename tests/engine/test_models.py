"""Every registered model: the stacked program does what its module does, and the module what the paper says."""

from __future__ import annotations

import pytest
import torch

from d2lbench import catalogue
from d2lbench.catalogue.layers import BatchNorm, Linear, dropouts, learned, walk
from d2lbench.catalogue.models import model_of
from d2lbench.catalogue.shapes import multiplications, output_shape, parameter_count, shape_behind, steps
from d2lbench.core.errors import GridError
from d2lbench.engine.module import load_row, module, pairs
from d2lbench.engine.parameters import initial
from d2lbench.engine.stacked import Pass, Stacked

IMAGES = ("fashion-mnist", {})
BAGS = ("topics", {"train_size": 100})
#: Networks of many millions of weights are compared on fewer images.
LARGE = {"alexnet", "vgg-11", "nin", "googlenet", "resnet-18"}


@pytest.fixture
def program(any_model, make_cell):
    """A model's records, its stacked parameters for two cells, and a batch for each: (2, B, *shape), (2, B)."""
    name, options = any_model
    dataset = BAGS if name == "embedding-bag" else IMAGES
    cells = [make_cell(seed, model=(name, options), dataset=dataset) for seed in (3, 4)]
    model = model_of(cells[0].config)
    draw = torch.Generator().manual_seed(7)
    size = 3 if name in LARGE else 8
    if dataset is BAGS:
        x = torch.randint(1000, (2, size, 20), generator=draw).double()
    else:
        x = torch.rand(2, size, 1, 28, 28, generator=draw, dtype=torch.float64)
    y = torch.randint(10 if dataset is IMAGES else 4, (2, size), generator=draw)
    return model, initial(cells, model, torch.float64), x, y


def close(found, expected):
    """Whether two tensors differ by at most 1e-12 of the largest expected number."""
    return float((found - expected).detach().abs().max()) <= 1e-12 * max(1e-3, float(expected.detach().abs().max()))


@pytest.mark.slow
def test_outputs_gradients_and_running_statistics_equal_those_of_the_module(program):
    model, parameters, x, y = program
    o = Stacked(model)(Pass(parameters, batch_statistics=True, track=True), x)
    losses = torch.nn.functional.cross_entropy(o.movedim(-1, 1), y, reduction="none").mean(1)
    gradients = dict(
        zip(parameters.leaves, torch.autograd.grad(losses.sum(), tuple(parameters.leaves.values())), strict=True)
    )
    for row in range(2):
        network = module(model).double()
        load_row(network, initial_like(parameters), row)
        expected = network(x[row])
        torch.nn.functional.cross_entropy(expected, y[row]).backward()
        assert close(o[row], expected)
        for layer, part in pairs(model, network):
            for parameter in layer.parameters:
                theirs = part.get_parameter(parameter.path.rpartition(".")[2]).grad
                ours = gradients[parameter.path][row]
                assert close(ours.t() if isinstance(layer, Linear) and parameter.is_weight else ours, theirs)
            if isinstance(layer, BatchNorm):
                for name in ("running_mean", "running_var"):
                    assert close(parameters.buffers[f"{layer.path}.{name}"][row], part.get_buffer(name))


def initial_like(parameters):
    """Return the same numbers with batch norm's buffers as at the start."""
    return type(parameters).of_block(parameters.model, parameters.block)


def test_in_evaluation_a_row_depends_on_no_other_example_and_on_no_other_row(program):
    model, parameters, x, y = program
    del y
    run = Stacked(model)
    run(Pass(parameters, batch_statistics=True, track=True), x)  # moves the running statistics
    whole = run(Pass(parameters), x)
    one = run(Pass(parameters), x[:, :1])
    assert close(one, whole[:, :1])
    alone = type(parameters).of_block(
        model, parameters.block[1:], {name: buffer[1:] for name, buffer in parameters.buffers.items()}
    )
    assert close(run(Pass(alone), x[1:]), whole[1:])


def test_shapes_told_from_the_records_are_those_that_the_program_makes(program):
    model, parameters, x, y = program
    del y
    h, run = x, Stacked(model)
    for layer in model:
        expected = output_shape(layer, tuple(h.shape[2:]))
        h = run._operations[type(layer)](layer, h, Pass(parameters))  # one layer of the program
        assert tuple(h.shape[2:]) == expected


#: Parameters as published by torchvision for 1,000 classes at 3 × 224 × 224 (documentation of its models), and
#: multiply-adds from the same tables ("GFLOPS", which count a multiply-add once).
PUBLISHED = {"vgg-11": (132_863_336, 7.61e9), "resnet-18": (11_689_512, 1.81e9)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_operations_are_those_that_are_published(name):
    count, operations = PUBLISHED[name]
    shape = (3, 224, 224)
    model = catalogue.load().get("model", name).factory(shape, 1000)
    assert parameter_count(model) == count
    assert multiplications(model, shape) == pytest.approx(operations, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_follow_each_other_as_in_torchvision(name):
    models = pytest.importorskip("torchvision.models")
    theirs = getattr(models, name.replace("-", ""))(weights=None)
    model = catalogue.load().get("model", name).factory((3, 224, 224), 1000)
    shapes = [parameter.shape for layer in learned(model) for parameter in layer.parameters]
    assert sorted(shapes) == sorted(tuple(value.shape) for value in theirs.parameters())


def test_lenet_has_the_sizes_of_the_book():
    """Dive into Deep Learning, section 7.6: 6@28×28, 6@14×14, 16@10×10, 16@5×5, then 120, 84 and 10."""
    model = catalogue.load().get("model", "lenet").factory((1, 28, 28), 10)
    seen = [
        behind for layer, _, behind in steps(model, (1, 28, 28)) if type(layer).__name__ in {"Conv", "Pool", "Linear"}
    ]
    assert seen == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
    assert parameter_count(model) == 61_706


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 224, 224)])
@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg-11", "nin", "googlenet", "resnet-18"])
def test_an_architecture_fits_small_images_and_large_ones(name, shape):
    model = catalogue.load().get("model", name).factory(shape, 10)
    assert shape_behind(model, shape) == (10,)


def test_images_that_are_too_small_are_refused_by_name(make_cell):
    with pytest.raises(GridError) as error:
        model_of(make_cell(model=("lenet", {}), dataset=("digits", {})).config)
    assert str(error.value) == (
        'dataset: model "lenet" does not fit images of 8 × 8: Conv with a window of 5 does not fit on 4 × 4; '
        'given "digits"; allowed: larger images'
    )


def test_a_convolutional_network_refuses_what_is_no_image(make_cell):
    with pytest.raises(GridError, match='model "lenet" looks at images; given "xor"'):
        model_of(make_cell(model=("lenet", {}), dataset=("xor", {}), loss=("cross-entropy", {})).config)


def test_every_dropout_place_has_the_width_of_the_layer_before_it():
    for entry in catalogue.load().entries("model"):
        shape = (20,) if entry.name == "embedding-bag" else (1, 28, 28)
        model = entry.factory(shape, 10)
        widths = [behind[0] for layer, _, behind in steps(model, shape) if layer in dropouts(model)]
        assert widths == [layer.width for layer in dropouts(model)]
        assert len({layer.path for layer in learned(model)}) == len(learned(model))
        assert all(layer is not None for layer in walk(model))


def test_residual_layers_start_as_a_sum_and_gradients_pass_them_unchanged(make_cell):
    """With all weights zero, a residual MLP's hidden state is that of its first layer (book section 8.6)."""
    cell = make_cell(model=("mlp", {"hidden": (16,) * 8, "residual": True}), init=("zeros", {}))
    model = model_of(cell.config)
    parameters = initial([cell], model, torch.float64)
    hidden = []
    Stacked(model)(Pass(parameters, hidden=hidden), torch.rand(1, 5, 1, 8, 8, dtype=torch.float64))
    assert len(hidden) == 8
    assert all(float(h.detach().abs().max()) == 0.0 for h in hidden)


def test_layers_written_by_hand_equal_the_frameworks(make_cell, stacked_run, difference):
    by_hand = make_cell(model=("mlp", {"hidden": (16, 12), "layers": "scratch"}), epochs=13)
    framework = make_cell(model=("mlp", {"hidden": (16, 12)}), epochs=13)
    found = stacked_run([by_hand, framework])
    assert difference(found[by_hand.id][0], found[framework.id][0]) <= 1e-12
