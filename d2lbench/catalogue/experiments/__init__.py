"""Experiments: measurements beside training, so that algebra, counts and demonstrations can be put to the test.

A factory gets the seed and its options and returns a finite number for every metric that it declares. Randomness
comes from :mod:`d2lbench.core.generators`, keyed by the seed and the experiment's name, and from nowhere else.
"""

from d2lbench.catalogue.experiments import fitting, layers, losses, networks

__all__ = ["fitting", "layers", "losses", "networks"]
