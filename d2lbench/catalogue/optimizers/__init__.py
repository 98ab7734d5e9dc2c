"""Optimizers over stacked blocks: every cell of a stack with its own numbers, equal to their torch.optim twins.

A factory returns a :class:`Family`: pure functions over blocks of shape (M, n), M cells by n parameters. Its float
options arrive as ``hyper``, float64 tensors of shape (M, 1) cast once to the block's dtype; so a ladder of rates is
one program. What decides the arithmetic itself (Nesterov or not, a momentum buffer or none) makes a family. What
does not work by rows is :class:`Unstacked`: torch's own object, one cell at a time.
"""

from d2lbench.catalogue.optimizers import stacked, unstacked
from d2lbench.catalogue.optimizers.family import Family, Unstacked

__all__ = ["Family", "Unstacked", "stacked", "unstacked"]
