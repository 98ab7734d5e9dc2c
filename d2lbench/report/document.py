"""The whole document: views made once, then poured into the HTML and the Markdown template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from d2lbench.report.escape import markdown, plain
from d2lbench.report.filters import FILTERS
from d2lbench.report.kernels import KernelsPage, kernels_page
from d2lbench.report.published import METHOD as PUBLISHED_METHOD
from d2lbench.report.published import first_line, published_line
from d2lbench.report.sections import SectionPage, section_page
from d2lbench.report.style import drawing
from d2lbench.report.words import Tally, caveats, in_headline, scale_sentence, second_line, tally

if TYPE_CHECKING:
    from jinja2 import Environment

    from d2lbench.analysis.model import Report
    from d2lbench.report.style import Drawn

TEMPLATES: Final = Path(__file__).parent / "templates"
TITLE: Final = "Training neural networks: what is taught, put to the test"


ONE_LINE: Final = (
    'scipy.stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=2 ** len(d)).pvalue'
)
METHOD: Final = (
    (
        "Two arms are compared seed by seed. Within a seed both sides share the data split, the base draw of the"
        " weights and the order of the examples, and each picks its own tuned settings on that seed's validation"
        " data. The effect is the mean of these paired differences, its interval is Student's t, and its p comes"
        " from the sign-flip test: the share of all patterns of signs whose mean would be at least as extreme."
        " Where runs diverged, a sign test decides."
    ),
    (
        "The comparisons and equivalences of one grid share an error budget of 5 %: Holm's correction guards"
        " support, Bonferroni's refutation. A comparison is supported when its corrected p is below 0.05, its 95 %"
        " interval excludes zero and the effect reaches the margin; it is refuted when the evidence is as strong"
        " for the other direction, or shows that the effect is smaller than the margin either way. A claim of being"
        " no worse is supported when a loss as large as the margin is ruled out, an equivalence when the difference"
        " is shown to lie within the margin. Everything else is unclear, with the reason. Identities, counts and"
        " demonstrations could not go either way and are counted apart."
    ),
    (
        "A verdict speaks about these tasks, models and budgets, and about seeds: it is not a law of training."
        " Margins are a judgement of what matters; the verdicts at half and at twice the margin show how much hangs"
        " on them."
    ),
)


@dataclass(frozen=True)
class Document:
    """Everything that the templates place."""

    title: str
    scale: str
    scale_sentence: str
    headline: str
    second_line: str
    published_line: str
    caveats: tuple[str, ...]
    tally: Tally
    sections: tuple[SectionPage, ...]
    command: str
    environment: str
    provenance: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]
    untested: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    version: str
    kernels: KernelsPage | None

    @property
    def method(self) -> tuple[str, ...]:
        """How a verdict is reached, in paragraphs."""
        return (*METHOD, PUBLISHED_METHOD) if self.published_line else METHOD

    @property
    def has_claims(self) -> bool:
        """Whether any grid makes a claim: without one there is no table of verdicts."""
        return any(section.claims for section in self.sections)

    @property
    def one_line(self) -> str:
        """The shortest way to recompute a p."""
        return ONE_LINE

    @property
    def figures(self) -> tuple[Drawn, ...]:
        """All figures in the order in which they appear."""
        sections = [figure for section in self.sections for figure in section.drawn]
        return (*sections, *(self.kernels.figures if self.kernels else ()))


def document(report: Report) -> Document:
    """Put the report into words and draw all its figures."""
    with drawing():
        sections = tuple(section_page(section) for section in report.sections)
        kernels = kernels_page(report.kernels) if report.kernels is not None else None
    return Document(
        title=TITLE,
        scale=report.scale,
        scale_sentence=scale_sentence(report.scale),
        headline=first_line(report),
        second_line=second_line(report),
        published_line=published_line(report),
        caveats=caveats(report),
        tally=tally(claim for claim in report.claims if in_headline(claim)),
        sections=sections,
        command=report.command,
        environment=report.environment,
        provenance=report.provenance,
        data=tuple(sorted({pair for section in report.sections for pair in section.data})),
        untested=report.untested,
        notes=report.notes,
        version=report.version,
        kernels=kernels,
    )


def html(page: Document) -> str:
    """Return the page as one HTML file that requests nothing."""
    return _render("report.html.j2", page)


def md(page: Document) -> str:
    """Return the page as Markdown that refers to ``figures/``."""
    return _render("report.md.j2", page)


def _render(template: str, page: Document) -> str:
    return _environment(template).get_template(template).render(page=page)


def _environment(template: str) -> Environment:
    """Return Jinja's environment in which every expression is escaped for what ``template`` makes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    options: dict[str, Any] = {
        "loader": FileSystemLoader(TEMPLATES),
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
        "keep_trailing_newline": True,
    }
    if template.endswith(".html.j2"):
        environment = Environment(autoescape=True, finalize=_visible, **options)
    else:
        environment = Environment(autoescape=False, finalize=markdown, **options)  # noqa: S701  (escapes for Markdown)
    environment.filters |= FILTERS
    return environment


def _visible(value: Any) -> Any:
    """Strip what no page should hold from plain text; markup of our own passes."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else plain(value)
