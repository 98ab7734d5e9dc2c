"""Doubt: whether networks that keep dropping units at test time disagree about what they get wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from d2lbench.engine.stacked import Pass, Stacked

if TYPE_CHECKING:
    from d2lbench.catalogue.losses import Loss
    from d2lbench.engine.batches import Feed, Uniforms
    from d2lbench.engine.parameters import Parameters

#: How often every test example is looked at, each time with other units dropped.
PASSES: Final = 20
#: Test examples that are looked at together: fixed, as the noise is drawn chunk by chunk and no width may move it.
_CHUNK: Final = 500


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
    for rows in torch.split(feed.rows["test"], _CHUNK, dim=1):
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
