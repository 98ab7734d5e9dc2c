"""Products of linear layers by oneDNN: those of double precision, for every shape and width; elsewhere the BLAS."""

from __future__ import annotations

import pytest
import torch

from d2lbench.engine import products
from d2lbench.engine.products import affine

pytestmark = pytest.mark.skipif(products._ONEDNN is None, reason="this build of torch has no oneDNN")
#: Examples, inputs, outputs.
LARGE = [(256, 784, 256), (256, 784, 10), (64, 784, 10), (32, 784, 128), (200, 100, 100)]
SMALL = [(64, 64, 64), (5, 200, 1), (256, 512, 1), (128, 64, 10), (1, 784, 256)]


def operands(width, batch, inputs, outputs, dtype=torch.float32):
    torch.manual_seed(batch + inputs + outputs)
    shapes = (width, batch, inputs), (width, inputs, outputs), (width, outputs)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def everything(x, w, b):
    """Return the output and the three gradients of one sum of its squares."""
    o = affine(x, w, b)
    return o.detach(), *torch.autograd.grad(o.square().sum(), (x, w, b))


@pytest.fixture
def called(monkeypatch):
    """Count the calls of oneDNN's routine."""
    calls = []
    routine = products._ONEDNN
    monkeypatch.setattr(products, "_ONEDNN", lambda *arguments: calls.append(1) or routine(*arguments))
    return calls


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("shape", LARGE)
def test_large_products_and_gradients_are_those_of_double_precision(width, shape, called):
    ours = everything(*operands(width, *shape))
    assert len(called) == 3 * width
    x, w, b = (each.detach().double().requires_grad_() for each in operands(width, *shape))
    o = torch.einsum("mbi,mio->mbo", x, w) + b[:, None]
    theirs = (o, *torch.autograd.grad(o.square().sum(), (x, w, b)))
    for found, there in zip(ours, theirs, strict=True):
        assert found.dtype == torch.float32
        # A sum of k terms in single precision: an error of a few roots of k times 6e-8 of its size, which is √k.
        assert (found.double() - there).abs().max() <= 2e-6 * there.abs().max()


@pytest.mark.parametrize("shape", SMALL)
def test_small_products_are_left_to_the_blas(shape, called):
    everything(*operands(2, *shape))
    assert not called


def test_products_of_double_precision_are_left_to_the_blas(called):
    everything(*operands(1, *LARGE[0], dtype=torch.float64))
    assert not called


@pytest.mark.parametrize("shape", LARGE)
def test_the_bits_of_a_cell_do_not_depend_on_the_width(shape):
    x, w, b = operands(4, *shape)
    together = everything(x, w, b)
    for row in range(4):
        alone = everything(*(each.detach()[row : row + 1].requires_grad_() for each in (x, w, b)))
        assert all(torch.equal(one[0], of_all[row]) for one, of_all in zip(alone, together, strict=True))


def test_cells_that_share_their_batch_get_the_bits_of_cells_with_copies_of_it():
    x, w, b = operands(3, *LARGE[0])
    shared = x.detach()[:1].expand(3, -1, -1)

    def found(batch):
        o = affine(batch, w, b)
        return o.detach(), *torch.autograd.grad(o.square().sum(), (w, b))

    assert all(map(torch.equal, found(shared), found(shared.contiguous())))


def test_a_cell_that_is_not_finite_leaves_its_neighbours_alone():
    x, w, b = operands(3, *LARGE[0])
    whole = everything(x, w, b)
    with torch.no_grad():
        w[1, 0, 0] = torch.nan
    hurt = everything(x, w, b)
    for before, after in zip(whole, hurt, strict=True):
        assert torch.equal(before[0], after[0])
        assert torch.equal(before[2], after[2])
        assert not after[1].isfinite().all()


def test_a_transposed_batch_gives_the_same_numbers():
    x, w, b = (each.detach() for each in operands(2, *LARGE[0]))
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(affine(turned, w, b), affine(x, w, b))


def test_a_build_without_onednn_takes_the_blas(monkeypatch):
    ours = everything(*operands(2, *LARGE[1]))
    monkeypatch.setattr(products, "_ONEDNN", None)
    blas = everything(*operands(2, *LARGE[1]))
    for found, there in zip(ours, blas, strict=True):
        assert torch.allclose(found, there, rtol=0, atol=2e-6 * float(there.abs().max()))
