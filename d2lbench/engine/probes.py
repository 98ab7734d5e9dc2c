"""What is recorded of a stack beside its losses: probes of the network and of its parameters.

Every function returns named vectors (M,) in float64. Rows that are not finite give NaN; nothing raises.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from d2lbench.engine.parameters import Parameters, initial
from d2lbench.engine.stacked import Pass, Stacked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.catalogue.losses import Loss, PerExample
    from d2lbench.core.spec import Cell
    from d2lbench.engine.batches import Feed, Uniforms

Vectors = dict[str, torch.Tensor]

#: How many training examples the gradient and activation probes look at.
PROBED = 512
#: Numbers of one activation that these probes hold at once, a megabyte of single precision: their passes in double
#: precision stay in the cache.
_CHUNK = 2**18
#: A weight counts as next to zero below this share of its layer's largest.
SMALL = 0.01


def network_probes(
    program: Stacked, parameters: Parameters, per_example: PerExample, x: torch.Tensor, y: torch.Tensor, widest: int
) -> Vectors:
    """Return the probes that need a pass through the network: gradient norms and activation variances.

    ``x`` (M, n, *shape) and ``y`` (M, n) are the probed examples, ``widest`` is the largest number of values that a
    layer computes of one. Layers count from 1 at the input; norms and variances accumulate in float64, as a norm of
    1e-25 squares to nothing in float32. Batch norm uses the probed examples' own statistics, as training would, and
    leaves the running ones alone.
    """
    block = parameters.block
    rows = max(1, _CHUNK // (y.shape[1] * widest)) if block.device.type == "cpu" else len(block)
    cut = zip(*(torch.split(each, rows) for each in (block, x, y)), strict=True)
    parts = [_network_probes(program, parameters.with_rows(own), per_example, *examples) for own, *examples in cut]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _network_probes(
    program: Stacked, parameters: Parameters, per_example: PerExample, x: torch.Tensor, y: torch.Tensor
) -> Vectors:
    run = Pass(parameters, batch_statistics=True, hidden=[])
    loss = per_example(program(run, x), y).mean(1)  # (M,)
    gradients = torch.autograd.grad(loss.sum(), parameters.weights)
    vectors = {f"gradient_norm/{layer}": _norm(g) for layer, g in enumerate(gradients, 1)}
    for layer, h in enumerate(run.hidden or (), 1):
        vectors[f"activation_variance/{layer}"] = _variance(h.detach().flatten(2).double(), 1).mean(1)
    return vectors


@torch.no_grad()
def weight_probes(parameters: Parameters) -> Vectors:
    """Return norms, sparsity and the spread of hidden units of the present weights, biases left out."""
    layers = [W.double() for W in parameters.weights]  # (M, …) each
    sizes = torch.tensor([float(W[0].numel()) for W in layers], device=parameters.block.device)
    vectors: Vectors = {}
    for layer, W in enumerate(layers, 1):
        vectors[f"weight_norm/{layer}"] = _norm(W)
        vectors[f"sparsity/hoyer/{layer}"] = hoyer(W.flatten(1))
        vectors[f"sparsity/share/{layer}"] = share_of_small(W.flatten(1))
    for name in ("sparsity/hoyer", "sparsity/share"):
        by_layer = torch.stack([vectors[f"{name}/{layer}"] for layer in range(1, len(layers) + 1)])  # (L, M)
        vectors[name] = (by_layer * sizes[:, None]).sum(0) / sizes.sum()
    vectors["weight_norm"] = _norm(parameters.block[:, : parameters.weight_columns])
    if parameters.hidden_weights:
        spreads = [unit_spread(W.double()) for W in parameters.hidden_weights]
        vectors["hidden_spread"] = torch.stack(spreads).amax(0)
    return vectors


@torch.no_grad()
def change_probes(parameters: Parameters, cells: Sequence[Cell]) -> Vectors:
    """Return how far the weights have moved from their initial draw, relative to its norm."""
    block = parameters.block
    start = initial(cells, parameters.model, block.dtype, block.device.type)
    return {
        f"weight_change/{layer}": _norm(W.double() - W0.double()) / _norm(W0)
        for layer, (W, W0) in enumerate(zip(parameters.weights, start.weights, strict=True), 1)
    }


def _norm(blocks: torch.Tensor) -> torch.Tensor:
    """Return each row's Euclidean norm, (M, …) → (M,), accumulated in float64."""
    norms: torch.Tensor = torch.linalg.vector_norm(blocks.detach().double().flatten(1), dim=1)
    return norms


def _variance(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the variance (divided by n) along a dimension, in two passes: a tenth of the cost of torch's one."""
    return (values - values.mean(dim, keepdim=True)).square_().mean(dim)


def hoyer(w: torch.Tensor) -> torch.Tensor:
    """Return (√n - ‖w‖₁/‖w‖₂)/(√n - 1) of each row (M, n): 0 for equal sizes, 1 for one non-zero (Hoyer 2004).

    NaN where it is not defined: for a row of zeros, or of one number.
    """
    root = math.sqrt(w.shape[1])
    ratio = w.abs().sum(1) / torch.linalg.vector_norm(w, dim=1)
    return (root - ratio) / (root - 1) if root > 1 else torch.full_like(ratio, math.nan)


def share_of_small(w: torch.Tensor) -> torch.Tensor:
    """Return the share of each row's numbers (M, n) below 1 % of the row's largest, in absolute value."""
    sizes = w.abs()
    largest = sizes.amax(1, keepdim=True)
    share = (sizes < SMALL * largest).double().mean(1)
    return share.where(largest.squeeze(1).isfinite(), math.nan)


def unit_spread(W: torch.Tensor) -> torch.Tensor:
    """Return how much a layer's units differ: std of the incoming weights across units over their root mean square.

    (M, inputs, units) → (M,): 0 where every unit has the same weights (0 for weights of zero too), about 1 for
    independent draws.
    """
    spread = _variance(W, 2).mean(1).sqrt()
    size = W.square().mean((1, 2)).sqrt()
    return torch.where(size == 0, 0.0, spread / size)


class Oscillation:
    """How much an epoch's steps cancel: 1 - ‖ΣΔ‖² / (T·Σ‖Δ‖²) over its T steps Δ.

    0 where all steps are the same, near 1 where they cancel; NaN where nothing moved.
    """

    def __init__(self, block: torch.Tensor) -> None:
        self._block, self._first, self._last = block, block.clone(), block.clone()
        self._squares = torch.zeros(len(block), dtype=torch.float64, device=block.device)
        self._steps = 0

    def begin(self) -> None:
        """Begin an epoch at the present parameters: early stopping may have put a row back since the last step."""
        self._first.copy_(self._block)
        self._last.copy_(self._block)

    def step(self) -> None:
        """Take note of the parameters after a step."""
        self._squares += (self._block - self._last).double().square().sum(1)
        self._last.copy_(self._block)
        self._steps += 1

    def close(self) -> torch.Tensor:
        """Return the epoch's value, (M,), and forget its steps."""
        whole = (self._block - self._first).double().square().sum(1)
        value = 1 - whole / (self._steps * self._squares)
        self._squares.zero_()
        self._steps = 0
        return value


def constant_predictor(feed: Feed, loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for every row, test loss and accuracy of predictors that never look at the input, (M,) each.

    The loss is that of the best constant output for the training split (infinite where the test split has a class
    that the training split lacks); the accuracy that of answering with its largest class, NaN without classes.
    """
    train, test = feed.labels("train"), feed.labels("test")  # (S, n)
    outputs = loss.constant(train, feed.classes)[:, None].expand(-1, test.shape[1], -1)  # (S, n, K)
    per_example = loss.evaluated or loss.per_example
    losses = per_example(outputs, test if feed.classes else test.double()).mean(1)
    chance = torch.full_like(losses, math.nan)
    if feed.classes:
        counts = torch.nn.functional.one_hot(train, feed.classes).sum(1)  # (S, classes)
        chance = (test == counts.argmax(1, keepdim=True)).double().mean(1)
    return feed.streams.spread(losses), feed.streams.spread(chance)


#: How often every test example is looked at, each time with other units dropped.
PASSES: Final = 20
#: Test examples that are looked at together: fixed, as the noise is drawn chunk by chunk and no width may move it.
DOUBT_CHUNK: Final = 500


@torch.no_grad()
def doubt_auroc(
    program: Stacked, parameters: Parameters, feed: Feed, loss: Loss, masks: Uniforms
) -> dict[str, torch.Tensor]:
    """Return ``doubt_auroc``, (M,) in float64: how well agreement under dropout tells right answers from wrong ones.

    An example's answer is the commonest of its passes' answers, and its agreement the share of passes that give it
    (after Gal and Ghahramani 2016; Dive into Deep Learning, section 5.6.1). NaN where all answers are right, or wrong.
    """
    masks.begin(0, feed.dtype, purpose="doubt")
    agreement, right = [], []
    for rows in torch.split(feed.rows["test"], DOUBT_CHUNK, dim=1):
        x, y = feed.gather(rows)
        answers = torch.stack([loss.predict(program(Pass(parameters, masks), x)) for _ in range(PASSES)])  # (T, M, B)
        commonest = answers.mode(0).values  # (M, B)
        agreement.append((answers == commonest).sum(0))
        right.append(commonest == y)
    return {"doubt_auroc": auroc(torch.cat(agreement, 1), torch.cat(right, 1), PASSES)}


def auroc(level: torch.Tensor, right: torch.Tensor, most: int) -> torch.Tensor:
    """Return the area under the curve of levels 0…``most`` (M, n) that are to be higher where ``right`` (M, n).

    Counted, not traced: the chance that one of the right ranks above one of the wrong, a tie counting one half
    (Hanley and McNeil 1982). (M,) in float64, NaN where there are only right ones or only wrong ones.
    """
    places = torch.nn.functional.one_hot(level, most + 1).double()  # (M, n, most + 1)
    hits = (places * right.unsqueeze(2)).sum(1)  # (M, most + 1)
    misses = places.sum(1) - hits
    below = misses.cumsum(1) - misses / 2
    return (hits * below).sum(1) / (hits.sum(1) * misses.sum(1))
