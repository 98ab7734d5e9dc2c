"""Optimizers that train one cell at a time: their arithmetic does not work by rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from d2lbench.catalogue.models import training_examples
from d2lbench.catalogue.optimizers.family import Rate, Share, Unstacked
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import OptimizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

    from d2lbench.core.spec import Config

Count = Annotated[int, Ge(1)]


def _takes_all_examples(config: Config) -> None:
    examples = training_examples(config.dataset)
    if examples is not None and config.batch_size < examples:
        problem = f"L-BFGS needs every one of the {examples:,} training examples in each batch"
        raise GridError(problem, key="batch_size", given=config.batch_size, allowed=f"whole number ≥ {examples}")


@register(OptimizerTraits, "lbfgs", check=_takes_all_examples)
def lbfgs(
    *,
    lr: Rate = 1.0,
    max_iter: Count = 20,
    history_size: Count = 100,
    line_search: Literal["none", "strong-wolfe"] = "none",
) -> Unstacked:
    """L-BFGS: steps by curvature, remembered from its last gradients (Liu and Nocedal 1989).

    One step takes up to ``max_iter`` iterations over all examples, so a batch must hold them all.
    """

    def make(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        import torch

        search = {"none": None, "strong-wolfe": "strong_wolfe"}[line_search]

        class Searching(torch.optim.LBFGS):
            """Torch's own, without a line search at rate 0, where the search would divide by a step of length 0."""

            def step(self, closure: Any) -> Any:  # type: ignore[override]
                group = self.param_groups[0]
                group["line_search_fn"] = search if group["lr"] > 0 else None
                return super().step(closure)  # type: ignore[no-untyped-call]

        return Searching(parameters, lr=lr, max_iter=max_iter, history_size=history_size, line_search_fn=search)

    return Unstacked(make, "LBFGS", full_batch=True)


def _goes_with_embeddings(config: Config) -> None:
    """Refuse a model without an embedding, and what needs dense gradients.

    Raises
    ------
    GridError
        Names the model, the regularizer or the clipping.
    """
    if config.model.name != "embedding-bag":
        problem = "sparse Adam updates the rows of an embedding, and this model has none"
        allowed = 'model = "embedding-bag", or optimizer = "adam"'
        raise GridError(problem, key="optimizer", given=config.model.name, allowed=allowed)
    problem, allowed = "sparse Adam takes gradients of the touched rows alone, as they are", 'or optimizer = "adam"'
    if config.regularizer.name != "none":
        raise GridError(problem, key="regularizer", given=config.regularizer.name, allowed=f'"none", {allowed}')
    if config.clip_norm is not None:
        raise GridError(problem, key="clip_norm", given=config.clip_norm, allowed=f"no clip_norm, {allowed}")


@register(OptimizerTraits, "sparse-adam", check=_goes_with_embeddings)
def sparse_adam(
    *, lr: Rate = 1e-3, betas: tuple[Share, Share] = (0.9, 0.999), eps: Annotated[float, Gt(0)] = 1e-8
) -> Unstacked:
    """Adam that moves only the rows of an embedding which a batch has touched (torch's lazy variant of Adam)."""

    def make(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        import torch

        optimizer = torch.optim.SparseAdam(parameters, betas=betas, eps=eps)
        optimizer.param_groups[0]["lr"] = lr  # its constructor refuses a rate of 0, which the check at rate 0 needs
        return optimizer

    return Unstacked(make, "SparseAdam", sparse=True)
