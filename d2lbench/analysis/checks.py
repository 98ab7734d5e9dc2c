"""Checks beside every grid that trains: two baselines that differ by luck only, and one that cannot learn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from d2lbench.analysis.headlines import headline_of, interval, shown_metric
from d2lbench.analysis.model import CheckView
from d2lbench.analysis.statistics.sign_flip import sign_flip_p

if TYPE_CHECKING:
    from d2lbench.analysis.figures import Interval
    from d2lbench.analysis.headlines import Headline
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm

#: Level of the A/A check. About one grid in a hundred fails it by luck: it warns, it proves nothing.
LEVEL = 0.01


def check_views(results: Results) -> tuple[CheckView, ...]:
    """Return the checks of a grid that has them."""
    arms = {arm.check: arm for arm in results.grid.checks if arm.check}
    views = []
    if "replica" in arms:
        views.append(_same(results, arms["replica"]))
    if "zero-rate" in arms:
        views.append(_learns_nothing(results, arms["zero-rate"]))
    return tuple(views)


def _baseline(results: Results) -> Arm:
    """Return the untuned baseline of the first context: a check arm of its own where that baseline is tuned."""
    plain = [arm for arm in results.grid.checks if not arm.check]
    return plain[0] if plain else next(arm for arm in results.grid.arms if arm.is_baseline)


def _differences(results: Results, arm: Arm, headline: Headline) -> list[float]:
    baseline, found = _baseline(results), []
    for seed in results.grid.seeds:
        pair = [results.read(each.default(seed), headline.metric("test")) for each in (arm, baseline)]
        if all(value is not None and math.isfinite(value) for value in pair):
            found.append(headline.scaled(float(pair[0])) - headline.scaled(float(pair[1])))
    return found


def _in_words(found: Interval, headline: Headline) -> str:
    if headline.as_ratio:
        factors = [math.exp(value) for value in (found.mean, found.low, found.high)]
        return f"test loss is {factors[0]:.3g} times as large [{factors[1]:.3g}, {factors[2]:.3g}]"
    points = [100 * value for value in (found.mean, found.low, found.high)]
    return f"test accuracy differs by {points[0]:+.2f} points [{points[1]:+.2f}, {points[2]:+.2f}]"


def _same(results: Results, arm: Arm) -> CheckView:
    says = "The baseline against itself with other draws of start, order and noise: no difference should be found."
    headline = headline_of(results.grid)
    differences = _differences(results, arm, headline)
    if len(differences) < 2:  # noqa: PLR2004  (one pair has no spread)
        return CheckView("A/A", says, None, "not run")
    found, p = interval(differences), sign_flip_p(differences).p
    detail = f"{_in_words(found, headline)}, p = {p:.3f}, n = {found.n}"
    return CheckView("A/A", says, p >= LEVEL, detail, tuple(differences))


def _learns_nothing(results: Results, arm: Arm) -> CheckView:
    says = "The baseline at rate 0: the training loss must stay where it starts, while the baseline's falls."
    at_start, at_end = (shown_metric("train_loss", at=at) for at in ("start", "last"))
    kept, learned = [], []
    for seed in results.grid.seeds:
        start, end = (results.read(arm.default(seed), metric) for metric in (at_start, at_end))
        base = results.read(_baseline(results).default(seed), at_end)
        if start is None or end is None or base is None:
            continue
        kept.append(float(end - start))
        learned.append(float(base - start))
    if not kept:
        return CheckView("rate 0", says, None, "not run")
    passed = all(move == 0 for move in kept) and all(move < 0 for move in learned)
    detail = (
        f"largest move at rate 0: {max(map(abs, kept)):.3g}; the baseline's loss falls by "
        f"{-interval(learned).mean:.3g} on average, n = {len(kept)}"
    )
    return CheckView("rate 0", says, passed, detail, tuple(kept))
