"""The filters of the templates: what pages say of the analysis' own records, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from d2lbench.report import claims, published
from d2lbench.report.dots import compared
from d2lbench.report.format import sentence
from d2lbench.report.spark import spark
from d2lbench.report.words import KINDS, ORIGINS

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of claims, their parts, and published numbers.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "claim_anchor": claims.anchor,
    "claim_facts": claims.facts,
    "compared": compared,
    "corrected_p": claims.corrected_p,
    "deciding": claims.deciding,
    "effect": claims.effect,
    "kind_help": lambda kind: KINDS.get(kind, ""),
    "marks": claims.marks,
    "origin": lambda origin: ORIGINS.get(origin, origin),
    "ours": published.ours,
    "part_effect": claims.part_effect,
    "part_facts": claims.part_facts,
    "part_p": claims.part_p,
    "published_anchor": published.anchor,
    "seed_lines": claims.seed_lines,
    "seeds_behind": claims.seeds_behind,
    "sentence": sentence,
    "spark": spark,
    "strip": published.strip,
    "theirs": published.theirs,
    "verdict_of": claims.verdict_of,
}
