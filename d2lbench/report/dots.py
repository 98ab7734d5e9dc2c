"""The figures of a claim: each seed's difference as a dot, and the tiny interval plot in the summary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.format import AS_PERCENT_BELOW, POINTS, TIMES, fixed, number, times
from d2lbench.report.style import BAND, FAINT, INK, SOFT, TEXT, VERDICT_COLOURS, canvas, finish, label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from d2lbench.analysis.model import ClaimView, PartView
    from d2lbench.analysis.statistics.parts import Part
    from d2lbench.analysis.statistics.verdicts import Judgement
    from d2lbench.report.style import Drawn

WIDTH, ROW, TOP, BOTTOM, SIDE = 430, 70, 10, 64, 18
NICE: Final = (1, 2, 2.5, 5, 10)
TICKS: Final = 7
RATIOS: Final = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1e3, 1e4, 1e6, 1e9, 1e12)
SPREAD: Final = 0.13  # how far dots of one row are moved apart, in rows
ROOM: Final = 0.06

SPARK_WIDTH: Final = 132
HALF: Final = SPARK_WIDTH / 2
MARGINS_SHOWN: Final = 4.0
EDGE: Final = 3.0


def compared(part: PartView) -> str:
    """Say what is compared; a context that both sides share is told once, at the end."""
    text, context = _sides(part)
    return f"{text} ({context})" if context else text


def _sides(part: PartView) -> tuple[str, str]:
    """Return what is compared and the context that both sides share, or none."""
    relation = {"no_worse": "no worse than", "same": "the same as"}.get(part.relation, "against")
    context, dot, first = part.first.partition(" · ")
    other, dot_too, second = part.second.partition(" · ")
    if dot and not dot_too:  # against a number
        return f"{first} {relation} {part.second}", context
    if dot and context == other:
        return f"{first} {relation} {second}", context
    return f"{part.first} {relation} {part.second}", ""


def draw_claim(claim: ClaimView, name: str, alt: str) -> Drawn | None:
    """Draw a claim's parts, one row each; None where no seed has a difference that can be drawn."""
    parts = [part for part in claim.parts if any(math.isfinite(seed.difference) for seed in part.seeds)]
    if not parts:
        return None
    figure, axes = canvas(WIDTH, TOP + BOTTOM + ROW * len(parts), (SIDE, SIDE, TOP, BOTTOM))
    low, high = _extent(parts, is_tested=bool(claim.judgement.parts))
    axes.set_xlim(low, high)
    axes.set_ylim(len(parts) - 0.5, -0.5)
    for row, part in enumerate(parts):
        _draw_seeds(axes, row, part, claim.judgement.word)
        if claim.judgement.parts:
            _draw_intervals(axes, row - 0.14, part, claim.judgement)
    if len(parts) > 1:
        labels = [part.label for part in parts]  # or what is compared, where labels repeat
        names = labels if len(set(labels)) == len(labels) else [_sides(part)[0] for part in parts]
        for row, name_of_row in enumerate(names):
            _name_row(axes, row, name_of_row)
    axes.axvline(0, color=INK, linewidth=1)
    _set_axes(axes, claim, low, high)
    return finish(figure, name, alt)


def _extent(parts: Sequence[PartView], *, is_tested: bool) -> tuple[float, float]:
    """Return what the axis must span: seeds, 95 % intervals, zero and both margins; wider intervals are cut off."""
    values = [0.0]
    for part in parts:
        values += [*(seed.difference for seed in part.seeds), -part.margin, part.margin]
        if is_tested:
            values += [part.interval95.low, part.interval95.high]
    finite = [value for value in values if math.isfinite(value)]
    room = ROOM * (max(finite) - min(finite)) or 1.0
    return min(finite) - room, max(finite) + room


def swarm(values: Sequence[float], width: float) -> list[float]:
    """Return a height in -1…1 for each value, so that near ones do not cover each other; the same every time."""
    heights = [0.0] * len(values)
    steps = (0.0, 0.5, -0.5, 1.0, -1.0)
    last = dict.fromkeys(steps, -math.inf)
    for i in sorted(range(len(values)), key=lambda i: (values[i], i)):
        free = [step for step in steps if values[i] - last[step] >= width]
        heights[i] = free[0] if free else min(steps, key=lambda step: last[step])
        last[heights[i]] = values[i]
    return heights


def _draw_seeds(axes: Axes, row: int, part: PartView, word: str) -> None:
    from matplotlib.patches import Rectangle

    margin, colour = part.margin, VERDICT_COLOURS.get(word, SOFT)
    if margin > 0:
        axes.add_patch(Rectangle((-margin, row - 0.5), 2 * margin, 1, facecolor=BAND, edgecolor="none", zorder=0.5))
        for edge in (-margin, margin):
            axes.plot([edge, edge], [row - 0.5, row + 0.5], color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
    seeds = [seed for seed in part.seeds if math.isfinite(seed.difference)]
    differences = [seed.difference for seed in seeds]
    low, high = axes.get_xlim()
    heights = swarm(differences, (high - low) / 60)
    diverged = [seed.first_diverged or seed.second_diverged for seed in seeds]
    for flag, marker in ((False, "o"), (True, "x")):
        places = [
            (x, row + 0.22 + SPREAD * y)
            for x, y, crossed in zip(differences, heights, diverged, strict=True)
            if crossed is flag
        ]
        if places:
            axes.plot(
                *zip(*places, strict=True), linestyle="none", marker=marker, markersize=5.2, color=colour, alpha=0.55,
                markeredgewidth=1.2 if flag else 0,
            )  # fmt: skip


def _name_row(axes: Axes, row: int, name: str) -> None:
    axes.text(
        0.0, row - 0.37, label(name, 64), transform=axes.get_yaxis_transform(), fontsize=TEXT - 1,
        va="center", color=INK, bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
    )  # fmt: skip


def _draw_intervals(axes: Axes, height: float, part: PartView, judgement: Judgement) -> None:
    colour = VERDICT_COLOURS.get(judgement.word, SOFT)
    low, high = axes.get_xlim()
    for bounds, width in ((judgement.corrected(part), 1.1), (part.interval95, 4.0)):
        ends = [min(high, max(low, bounds.low)), min(high, max(low, bounds.high))]
        axes.plot(ends, [height, height], color=colour, linewidth=width, solid_capstyle="butt")
        if width < 2:  # noqa: PLR2004
            for end, bound in zip(ends, (bounds.low, bounds.high), strict=True):
                if end == bound:
                    axes.plot([end, end], [height - 0.07, height + 0.07], color=colour, linewidth=width)
    axes.plot(
        [part.estimate], [height], "o", color="white", markeredgecolor=colour, markersize=7.5, markeredgewidth=2.2
    )


def _set_axes(axes: Axes, claim: ClaimView, low: float, high: float) -> None:
    places, texts = ticks(low, high, claim.unit, as_ratio=claim.as_ratio)
    axes.set_xticks(places, texts)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.set_xlabel(axis_label(claim.unit, as_ratio=claim.as_ratio), labelpad=21)
    below: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "va": "top", "fontsize": TEXT - 1, "color": SOFT}
    offset = -23 / axes.get_window_extent().height
    neutral = claim.judgement.kind == "equivalence"
    axes.text(low, offset, "← less" if neutral else "← against the statement", ha="left", **below)
    axes.text(high, offset, "more →" if neutral else "for the statement →", ha="right", **below)


def axis_label(unit: str, *, as_ratio: bool) -> str:
    """Return the axis' name with its unit."""
    if as_ratio:
        return "ratio of the two sides, seed by seed"
    told = "points" if unit == "share" else label(unit, 30)
    return f"difference, seed by seed ({told})" if told else "difference, seed by seed"


def ticks(low: float, high: float, unit: str, *, as_ratio: bool) -> tuple[list[float], list[str]]:
    """Return where ticks lie, in the differences' unit, and what they say: points, percent or factors."""
    if as_ratio and max(abs(low), abs(high)) >= AS_PERCENT_BELOW:
        return _ratio_ticks(low, high)
    if as_ratio:
        percent = [place for place in _round_numbers(math.expm1(low) * 100, math.expm1(high) * 100) if place > -100]  # noqa: PLR2004
        return [math.log1p(place / 100) for place in percent], [f"{_signed(place)} %" for place in percent]
    factor = POINTS if unit == "share" else 1.0
    places = _round_numbers(low * factor, high * factor)
    return [place / factor for place in places], [_signed(place) for place in places]


def _signed(place: float) -> str:
    return "0" if place == 0 else number(place, 4, signed=True)


def _ratio_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    logs = sorted({sign * math.log(ratio) for ratio in RATIOS for sign in (-1, 1)})
    inside = [place for place in logs if low <= place <= high]
    if len(inside) < 2:  # noqa: PLR2004
        inside = _round_numbers(low, high)
    apart = (high - low) / (TICKS + 1)
    kept: list[float] = []
    for place in sorted(inside, key=abs):  # outward from equality, dropping what would overlap
        if all(abs(place - other) >= apart for other in kept):
            kept.append(place)
    return sorted(kept), [f"{TIMES}1" if place == 0 else times(place) for place in sorted(kept)]


def _round_numbers(low: float, high: float) -> list[float]:
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in NICE if nice * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


# --------------------------------------------------------------------------------------------------- the tiny plot


@dataclass(frozen=True)
class Spark:
    """Places in pixels from the left, as text.

    ``band`` is (left, width) or empty; ``dot`` is empty where the estimate lies off the plot; ``cut_left`` and
    ``cut_right`` say that something goes on there.
    """

    low: str
    high: str
    dot: str
    band: tuple[str, str] | tuple[()]
    cut_left: bool
    cut_right: bool


def spark(part: Part | None) -> Spark | None:
    """Place a part's interval on ±4 margins, or on its own length where the margin is 0."""
    if part is None:
        return None
    bounds = (part.interval95.low, part.estimate, part.interval95.high)
    if math.isnan(part.estimate) or any(map(math.isnan, bounds)):
        return None
    finite = [abs(value) for value in bounds if math.isfinite(value)]
    reach = MARGINS_SHOWN * part.margin or 1.15 * max(finite, default=0.0) or 1.0
    places = [HALF * (1 + value / reach) for value in bounds]
    low, dot, high = (fixed_place(place) for place in places)
    if not EDGE <= places[1] <= SPARK_WIDTH - EDGE:
        dot = ""
    width = HALF * part.margin / reach
    band = (fixed_place(HALF - width), fixed_place(2 * width)) if part.margin > 0 else ()
    return Spark(low, high, dot, band, places[0] < EDGE, places[2] > SPARK_WIDTH - EDGE)


def fixed_place(place: float) -> str:
    """Return a place inside the plot with one decimal."""
    return fixed(min(SPARK_WIDTH - EDGE, max(EDGE, place)), 1)
