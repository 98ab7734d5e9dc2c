"""The statistics behind every verdict: pure functions of numbers, knowing nothing of the project."""

from d2lbench.analysis.statistics.estimates import (
    Interval,
    crossed_bootstrap,
    hodges_lehmann,
    interquartile_mean,
    is_fragile,
    newcombe_paired,
    paired_correlation,
    prediction_interval,
    probability_of_winning,
    rate_difference,
    t_interval,
    wilson_interval,
)
from d2lbench.analysis.statistics.parts import Part
from d2lbench.analysis.statistics.planning import SIGNIFICANCE, bonferroni_level, holm, seeds_to_decide
from d2lbench.analysis.statistics.samples import Relation
from d2lbench.analysis.statistics.sign_flip import Alternative, sign_flip_p, sign_test_p
from d2lbench.analysis.statistics.verdicts import EXACT_KINDS, Evidence, Judgement, judge_family

__all__ = [
    "EXACT_KINDS",
    "SIGNIFICANCE",
    "Alternative",
    "Evidence",
    "Interval",
    "Judgement",
    "Part",
    "Relation",
    "bonferroni_level",
    "crossed_bootstrap",
    "hodges_lehmann",
    "holm",
    "interquartile_mean",
    "is_fragile",
    "judge_family",
    "newcombe_paired",
    "paired_correlation",
    "prediction_interval",
    "probability_of_winning",
    "rate_difference",
    "seeds_to_decide",
    "sign_flip_p",
    "sign_test_p",
    "t_interval",
    "wilson_interval",
]
