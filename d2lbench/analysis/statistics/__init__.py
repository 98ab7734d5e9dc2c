"""The statistics behind every verdict: pure functions of numbers, knowing nothing of the project."""

from d2lbench.analysis.statistics.bootstrap import crossed_bootstrap
from d2lbench.analysis.statistics.coverage import coverage
from d2lbench.analysis.statistics.estimates import (
    Interval,
    expected_best_of,
    hodges_lehmann,
    interquartile_mean,
    is_fragile,
    paired_correlation,
    prediction_interval,
    probability_of_winning,
    t_interval,
)
from d2lbench.analysis.statistics.evidence import Evidence, Kind, Part, Relation
from d2lbench.analysis.statistics.families import SIGNIFICANCE, bonferroni_level, holm
from d2lbench.analysis.statistics.parts import PartResult
from d2lbench.analysis.statistics.planning import required_seeds, seeds_to_decide
from d2lbench.analysis.statistics.proportions import newcombe_paired, rate_difference, wilson_interval
from d2lbench.analysis.statistics.sign_flip import Alternative, SignFlip, sign_flip_p, sign_test_p
from d2lbench.analysis.statistics.verdicts import Cause, Judgement, Word, judge_family

__all__ = [
    "SIGNIFICANCE",
    "Alternative",
    "Cause",
    "Evidence",
    "Interval",
    "Judgement",
    "Kind",
    "Part",
    "PartResult",
    "Relation",
    "SignFlip",
    "Word",
    "bonferroni_level",
    "coverage",
    "crossed_bootstrap",
    "expected_best_of",
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
    "required_seeds",
    "seeds_to_decide",
    "sign_flip_p",
    "sign_test_p",
    "t_interval",
    "wilson_interval",
]
