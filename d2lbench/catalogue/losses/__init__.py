"""Losses of raw outputs against labels: one value per example, so that cells of a stack never mix.

Of a classification, squared and absolute losses compare the outputs with the class's one-hot vector.
"""

from d2lbench.catalogue.losses import likelihoods, residuals
from d2lbench.catalogue.losses.loss import Derivative, Loss, PerExample

__all__ = ["Derivative", "Loss", "PerExample", "likelihoods", "residuals"]
