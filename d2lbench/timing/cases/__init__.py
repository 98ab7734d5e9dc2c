"""Every kernel case, a module a subject. Importing :func:`load` fills the registry; nothing here imports torch.

A case is a registered factory of kind ``kernel`` that gets a device and a dtype and returns a
:class:`~d2lbench.timing.kernels.Built`. Beside its options the declaration says:

- ``group``: which cases stand together in a table;
- ``phases``: what can be timed apart, of :data:`~d2lbench.store.timings.PHASES`;
- ``sizes``: name → options, what is timed; ``implementations``: the same, crossed with the sizes, where there are
  several ways to one result; ``tiny``: options at which a test takes milliseconds;
- ``reference_needed``: False where the result is random, so that nothing can be compared;
- ``dtypes``: names of the dtypes that the kernel exists in, where it does not in all.
"""

from __future__ import annotations

from d2lbench.core.registry import REGISTRY, Registry


def load() -> Registry:
    """Register every kernel case, and the catalogue that cases are made of; return the registry."""
    from d2lbench import catalogue

    catalogue.load()
    from d2lbench.timing.cases import (  # noqa: F401  (imported for what they register)
        functions,
        initializers,
        layers,
        loading,
        networks,
        optimizers,
        training,
    )

    return REGISTRY
