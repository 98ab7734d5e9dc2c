"""Learning-rate schedules: each drives the framework's own scheduler; the engine reads a table off it.

A factory gets a real torch optimizer (of one parameter, at rate 1 per unit) and the number of units (epochs, or
steps where ``unit = "step"``), and returns the scheduler. Every schedule takes a linear warm-up in front, in the
same unit: ``warmup`` units from ``warmup_start`` × the rate up to the rate; the schedule itself then starts, and its
own options (milestones, periods, ``until``) count from there. With ``late = true`` the whole, warm-up included, comes
one unit after it is meant: the first unit has the optimizer's own rate, unit t has what was meant for t − 1.
"""

from d2lbench.catalogue.schedules import annealing, decays

__all__ = ["annealing", "decays"]
