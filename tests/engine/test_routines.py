"""Products of linear layers: those of double precision by every routine, and by oneDNN only where no bit is lost."""

from __future__ import annotations

import pytest
import torch

from d2lbench.engine import routines
from d2lbench.engine.routines import affine

#: Examples, inputs, outputs.
LARGE = [(256, 784, 256), (256, 784, 10), (32, 784, 128), (200, 100, 100)]
OF_WIDTHS = [
    (1, (64, 784, 10)),
    (4, (64, 64, 64)),
    (16, (128, 128, 12)),
    *((m, shape) for m in (1, 3) for shape in LARGE),
]
FEW_OUTPUTS = [(32, 32, 15), (64, 64, 10), (5, 200, 1), (40, 50, 2)]
SMALL = [
    (1, (64, 64, 64)),
    (3, (64, 64, 64)),
    (3, (64, 784, 10)),
    (2, (5, 200, 1)),
    (8, (256, 512, 1)),
    (2, (1, 784, 256)),
]


def operands(width, batch, inputs, outputs, dtype=torch.float32):
    torch.manual_seed(batch + inputs + outputs)
    shapes = (width, batch, inputs), (width, inputs, outputs), (width, outputs)
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def everything(x, w, b):
    """Return the output and the three gradients of one sum of its squares."""
    o = affine(x, w, b)
    return o.detach(), *torch.autograd.grad(o.square().sum(), (x, w, b))


def in_double(given):
    """Return what everything returns, by another formula and in double precision."""
    x, w, b = (each.detach().double().requires_grad_() for each in given)
    o = torch.einsum("mbi,mio->mbo", x, w) + b[:, None]
    return o, *torch.autograd.grad(o.square().sum(), (x, w, b))


@pytest.fixture
def precisions(monkeypatch):
    """Note for every product by torch whether it may be rounded."""
    if not routines.has_exact_onednn():
        pytest.skip("oneDNN is not the faster routine here, or would round")
    noted = []

    def watched(routine):
        def product(*given, **named):
            noted.append(torch.backends.mkldnn.matmul.fp32_precision)
            return routine(*given, **named)

        return product

    for name in ("bmm", "mm", "addmm", "baddbmm"):
        monkeypatch.setattr(torch, name, watched(getattr(torch, name)))
    return noted


@pytest.mark.parametrize(("width", "shape"), OF_WIDTHS)
def test_large_products_and_gradients_are_those_of_double_precision(width, shape, precisions):
    ours = everything(*operands(width, *shape))
    assert set(precisions) == {"bf16"}
    for found, there in zip(ours, in_double(operands(width, *shape)), strict=True):
        assert found.dtype == torch.float32
        # A sum of k terms in single precision: an error of a few roots of k times 6e-8 of its size, which is √k.
        assert (found.double() - there).abs().max() <= 2e-6 * there.abs().max()


def test_the_permission_to_round_ends_with_the_product_and_with_its_failure(precisions):
    before = torch.backends.mkldnn.matmul.fp32_precision
    everything(*operands(1, *LARGE[0]))
    assert torch.backends.mkldnn.matmul.fp32_precision == before != "bf16"
    with pytest.raises(RuntimeError, match="batch2"):
        routines.multiply(torch.ones(2, 3, 4), torch.ones(2, 5, 6))
    assert precisions[-1] == "bf16"
    assert torch.backends.mkldnn.matmul.fp32_precision == before


@pytest.fixture
def asked_anew():
    """Forget what this machine's oneDNN was found to do, before and after."""
    routines.has_exact_onednn.cache_clear()
    yield
    routines.has_exact_onednn.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_a_machine_that_would_round_is_not_allowed_to(monkeypatch):
    monkeypatch.setattr(routines, "cpu_model", lambda: "another vendor's")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(routines, "multiply", lambda a, c: torch.bmm(a.bfloat16(), c.bfloat16()).float())
    assert not routines.has_exact_onednn()
    monkeypatch.setattr(routines, "multiply", torch.bmm)
    routines.has_exact_onednn.cache_clear()
    assert routines.has_exact_onednn() == torch.backends.mkldnn.is_available()


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize(
    ("capability", "processor"), [("AVX2", "AMD EPYC"), ("AVX512", "Intel(R) Xeon(R)"), ("DEFAULT", "Neoverse-V1")]
)
def test_where_the_blas_knows_the_processor_or_onednn_does_not_the_blas_stays(monkeypatch, capability, processor):
    monkeypatch.setattr(routines, "cpu_model", lambda: processor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert not routines.has_exact_onednn()


@pytest.mark.parametrize("shape", FEW_OUTPUTS)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_products_of_few_outputs_and_their_gradients_are_those_of_double_precision(shape, dtype, bound):
    given = operands(3, *shape, dtype=dtype)
    assert routines._is_narrow(*given[:2])
    for found, there in zip(everything(*given), in_double(given), strict=True):
        assert found.dtype == dtype
        assert (found.double() - there).abs().max() <= bound * there.abs().max()


def test_the_gradient_of_few_outputs_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(affine, operands(2, 32, 32, 3, dtype=torch.float64), fast_mode=True)


def test_a_first_layer_of_few_outputs_has_the_bits_of_a_later_one():
    x, w, b = operands(3, 64, 64, 10)
    later, first = (affine(each, w, b) for each in (x, x.detach()))
    assert torch.equal(later, first)
    for found, there in zip(*(torch.autograd.grad(o.square().sum(), (w, b)) for o in (later, first)), strict=True):
        assert torch.allclose(found, there, rtol=0, atol=1e-6 * float(there.abs().max()))


@pytest.mark.parametrize("shape", [(32, 32, 16), (32, 31, 10), (31, 32, 10), (31, 31, 1)])
def test_products_that_would_gain_nothing_are_not_turned(shape):
    assert not routines._is_narrow(*operands(3, *shape)[:2])


@pytest.mark.parametrize(("width", "shape"), SMALL)
def test_small_products_are_left_to_the_blas(width, shape, precisions):
    everything(*operands(width, *shape))
    assert "bf16" not in precisions


def test_products_of_double_precision_are_left_to_the_blas(precisions):
    everything(*operands(1, *LARGE[0], dtype=torch.float64))
    assert "bf16" not in precisions


@pytest.mark.parametrize("shape", LARGE)
def test_a_cell_has_the_same_products_at_every_width_and_the_same_bits_where_onednn_multiplies(shape):
    given = operands(4, *shape)
    together, there = everything(*given), in_double(given)
    for row in range(4):
        alone = everything(*(each.detach()[row : row + 1].requires_grad_() for each in given))
        for one, of_all, exact in zip(alone, together, there, strict=True):
            if routines.has_exact_onednn():
                assert torch.equal(one[0], of_all[row])
            for found in (one[0], of_all[row]):  # elsewhere the BLAS may sum in another order at another width
                assert (found.double() - exact[row]).abs().max() <= 2e-6 * exact.abs().max()


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


@pytest.mark.parametrize("shape", [LARGE[1], (64, 64, 10)])
def test_a_second_gradient_is_refused_and_not_wrong(shape):
    x, w, b = operands(2, *shape)
    (first,) = torch.autograd.grad(affine(x, w, b).square().sum(), w, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_a_transposed_batch_gives_the_same_numbers():
    x, w, b = (each.detach() for each in operands(2, *LARGE[0]))
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(affine(turned, w, b), affine(x, w, b))


@pytest.mark.parametrize(("width", "shape"), OF_WIDTHS)
def test_the_blas_gives_the_same_products_up_to_rounding(monkeypatch, width, shape):
    ours = everything(*operands(width, *shape))
    monkeypatch.setattr(routines, "has_exact_onednn", lambda: False)
    blas = everything(*operands(width, *shape))
    for found, there in zip(ours, blas, strict=True):
        assert torch.allclose(found, there, rtol=0, atol=2e-6 * float(there.abs().max()))


@pytest.mark.parametrize(("width", "shape"), [*OF_WIDTHS, *SMALL])
@pytest.mark.parametrize("batch", ["own", "shared"])
def test_a_gradient_by_the_weights_is_written_into_its_columns_of_a_block_and_nowhere_else(width, shape, batch):
    x, w, _ = (each.detach() for each in operands(width, *shape))
    x = x[:1].expand_as(x) if batch == "shared" else x
    g, way = torch.randn(width, shape[0], shape[2]), routines.way_of(x, w)
    block = torch.full((width, w[0].numel() + 5), 7.0)
    columns = block[:, 2:-3].view_as(w)
    way.of_W(x, g, columns)
    assert torch.equal(columns, way.of_W(x, g, None))
    there = torch.einsum("mbi,mbo->mio", x.double(), g.double())
    assert (columns.double() - there).abs().max() <= 2e-6 * there.abs().max()
    assert (block[:, :2] == 7).all()
    assert (block[:, -3:] == 7).all()
