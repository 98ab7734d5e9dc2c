"""The page: a table of what was asked for and what was found, and a section for every row."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.versus.needs import absent
from benchmarks.versus.ratios import Ratio, ratio_of
from benchmarks.versus.row import Bounded, Contest, Row, Scaling
from d2lbench.core.files import write_file

if TYPE_CHECKING:
    from benchmarks.versus.results import Results

TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, results: Results, rows: Mapping[str, Row]) -> Path:
    """Render the page of what was measured and return its path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    # Markdown is no HTML: escaping would spoil its signs.
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              autoescape=False)  # fmt: skip  # noqa: S701
    measured = [section(row, results["rows"][name]) for name, row in rows.items() if name in results["rows"]]
    others = [
        {"name": name, "why": f"without {lacking}" if (lacking := absent(row.needs)) else "not measured yet"}
        for name, row in rows.items()
        if name not in results["rows"]
    ]
    trial = any(part["quick"] for part in results["rows"].values())
    text = environment.get_template("performance.md.jinja").render(
        sections=measured, absent=others, machine=results["machine"], trial=trial
    )
    write_file(path, text.rstrip("\n") + "\n")
    return path


def section(row: Row, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of a row."""
    content = {"row": row, "kind": measured["kind"], "measured_at": measured["measured_at"],
               "commit": measured["commit"], "load": f"{measured['load_before']:.1f}"}  # fmt: skip
    if isinstance(row, Contest):
        return content | _contest(row, measured)
    if isinstance(row, Bounded):
        return content | _bounded(row, measured)
    return content | _scaling(row, measured)


def _contest(row: Contest, measured: Mapping[str, Any]) -> dict[str, Any]:
    pairs = measured["pairs"]
    ours, theirs = ([pair[side]["seconds"] / pair[side]["units"] for pair in pairs] for side in ("ours", "theirs"))
    ratio = ratio_of(ours, theirs)
    facts = {side: pairs[-1][side]["facts"] for side in ("ours", "theirs")}
    times = [{"ours": seconds(a), "theirs": seconds(b), "ratio": f"{b / a:.2f}"}
             for a, b in zip(ours, theirs, strict=True)]  # fmt: skip
    return {"ratio": ratio, "found": f"{ratio.median:.2f}×", "asked": f"{row.at_least:g}×" if row.at_least else "–",
            "verdict": verdict(ratio, row.at_least), "ours": seconds(statistics.median(ours)),
            "theirs": seconds(statistics.median(theirs)), "spread": spread(ratio), "pairs": times,
            "facts": {side: told(given) for side, given in facts.items()}}  # fmt: skip


def verdict(ratio: Ratio, at_least: float | None) -> str:
    """Say whether the median reaches what is asked for, and whether the interval's lower end does."""
    if at_least is None:
        return "informs only"
    if ratio.median < at_least:
        return "missed"
    return "reached, but not by the whole interval" if ratio.low < at_least else "reached"


def spread(ratio: Ratio) -> str:
    """Return range and interval in words."""
    interval = f", 95 % interval {ratio.low:.2f}–{ratio.high:.2f}" if ratio.pairs > 1 else ""
    return f"{ratio.least:.2f}–{ratio.most:.2f}{interval}, {ratio.pairs} pair{'s' * (ratio.pairs > 1)}"


def told(facts: Mapping[str, Any]) -> str:
    """Return facts as words."""
    numbers = {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in facts.items()}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in numbers.items())


def _bounded(row: Bounded, measured: Mapping[str, Any]) -> dict[str, Any]:
    quantities, holds = [], []
    for limit in row.limits:
        values = [values[limit.quantity] for values in measured["rounds"]]
        median = statistics.median(values)
        asked = (
            f"≤ {limit.most:g}" if limit.most is not None else f"≥ {limit.least:g}" if limit.least is not None else "–"
        )
        judged = asked != "–"
        holds += [limit.holds(median)] if judged else []
        quantities.append({"name": limit.quantity, "unit": limit.unit, "asked": asked, "found": number(median),
                           "range": f"{number(min(values))}–{number(max(values))}", "rounds": len(values),
                           "verdict": ("reached" if limit.holds(median) else "missed") if judged else "–"})  # fmt: skip
    judged_ones = [each for each in quantities if each["asked"] != "–"]
    asked, found = (
        "; ".join(f"{each['name']} {each[part]} {each['unit']}" for each in judged_ones) for part in ("asked", "found")
    )
    return {"quantities": quantities, "asked": asked, "found": found, "verdict": "reached" if all(holds) else "missed"}


def _scaling(row: Scaling, measured: Mapping[str, Any]) -> dict[str, Any]:
    del row
    rounds, ceiling = measured["rounds"], measured["ceiling"]
    rates = {int(width): statistics.median(values[width] for values in rounds) for width in rounds[0]}
    one = rates[min(rates)] / min(rates)
    points = [{"width": width, "rate": f"{rate:,.0f}", "bound": f"{min(width * one, ceiling):,.0f}",
               "share": f"{100 * rate / min(width * one, ceiling):.0f} %"}
              for width, rate in rates.items()]  # fmt: skip
    best = max(rates, key=rates.__getitem__)
    return {"points": points, "ceiling": f"{ceiling:,.0f}", "asked": "–", "verdict": "informs only",
            "found": f"{rates[best] / one:.1f}× one cell's at M = {best}", "rounds": len(rounds)}  # fmt: skip


def number(value: float) -> str:
    """Return a number to three digits, whole from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def seconds(value: float) -> str:
    """Return seconds with a unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"
