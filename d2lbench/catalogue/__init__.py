"""Everything that a grid can name. :func:`load` fills the registry; torch is imported inside the functions."""

from __future__ import annotations

from d2lbench.core.registry import REGISTRY, Registry


def load() -> Registry:
    """Register everything built in and return the registry."""
    from d2lbench.catalogue import (  # noqa: F401  (imported for what they register)
        activations,
        datasets,
        experiments,
        initializers,
        losses,
        metrics,
        models,
        optimizers,
        regularizers,
        schedules,
        statistics,
        stopping,
    )

    return REGISTRY
