"""Metrics: how a run's recorded series become one number. They read; the engine's probes record.

A factory gets a :class:`Record` and its options and returns a number, or with ``at = "each"`` the curve's values.
Its declaration says which series it needs, whether two sides differ (``as_``) by subtraction or by ratio, the
default margin at each scale, and which way is better (which picks trials; never guessed from a name).
"""

from d2lbench.catalogue.metrics import curves, layers
from d2lbench.catalogue.metrics.layers import LOG10_OF_ZERO
from d2lbench.catalogue.metrics.record import Record

__all__ = ["LOG10_OF_ZERO", "Record", "curves", "layers"]
