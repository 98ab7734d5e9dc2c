"""One look for all figures, and the way from a matplotlib figure to a small, tidy, self-contained SVG."""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from d2lbench.report.escape import plain
from d2lbench.report.format import POINTS, duration, number, power_of_ten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BASELINE: Final = "#2b2b2b"
INK: Final = "#2b2b2b"
SOFT: Final = "#5c5f66"
FAINT: Final = "#b9bcc2"
GRID: Final = "#e6e7ea"
BAND: Final = "#eceef2"
# Okabe and Ito's palette for all kinds of colour vision; its yellow is too light on white, black is the baseline's.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES: Final = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)))
VERDICT_COLOURS: Final = {"supported": "#0072b2", "refuted": "#d55e00", "unclear": "#6b6f76", "not run": "#9a9da3"}
FONTS: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
TEXT: Final = 12.0  # px where the figure is shown at its own size
INSET: Final = 12.0
LETTER: Final = 0.62  # mean width of a letter, in font sizes: room for labels without measuring them
PIXELS_PER_INCH: Final = 72

_RC: Final[Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": TEXT,
    "axes.labelcolor": SOFT,
    "axes.labelsize": TEXT,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": TEXT - 1,
    "ytick.labelsize": TEXT - 1,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}

#: Ticks of an axis of times: multiples of powers of ten, from the coarsest choice to the finest.
TIME_TICKS: Final = (
    (1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), tuple(k / 4 for k in range(4, 40)),
)  # fmt: skip
FEWEST, MOST = 3, 6

_ATTRIBUTE: Final = re.compile(r'(\s(?:d|x|y|points|transform)=")([^"]*)"')
_LONG_NUMBER: Final = re.compile(r"-?\d+\.\d{2,}")
_FONT_FAMILY: Final = re.compile(r"font-family: 'DejaVu Sans'[^;\"]*;? ?")


@dataclass(frozen=True)
class Drawn:
    """A finished figure: ``body`` is what lies inside its SVG element, ``alt`` a sentence for who cannot see it."""

    name: str
    alt: str
    body: str
    width: int
    height: int

    @property
    def file(self) -> str:
        """The SVG as a file of its own, on white so that it can be read on any page."""
        w, h = self.width, self.height
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img"'
        head += f" font-family='{FONTS}' stroke-linejoin=\"round\">"
        card = f'<rect width="{self.width}" height="{self.height}" rx="6" fill="#ffffff"/>'
        return f"{head}<title>{escape(self.alt)}</title>{card}{self.body}</svg>\n"

    @property
    def inline(self) -> Markup:
        """The SVG as part of a page."""
        head = Markup(
            '<svg viewBox="0 0 {} {}" style="max-width:{}px" role="img" aria-label="{}" stroke-linejoin="round">'
        ).format(self.width, self.height, self.width, self.alt)
        return head + Markup(self.body) + Markup("</svg>")  # noqa: S704  (our own figure, its texts escaped)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Give figures this module's look whatever the user's settings, and put those back afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")  # the reader's fonts have it
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def canvas(width: int, height: int, room: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Return a figure of so many pixels and its axes, which leave ``room`` on the left, right, top and bottom."""
    from matplotlib.figure import Figure

    left, right, top, bottom = room
    figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH)
    inner = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    return figure, figure.add_axes(inner)


def linear_axis(axis: Axis, unit: str = "") -> None:
    """Give an axis about six round ticks, in percent where its numbers are shares."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    factor, sign = (POINTS, " %") if unit == "share" else (1.0, "")
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value * factor, 4)}{sign}"))


def log_axis(axis: Axis, ticks: int, within: Sequence[float] = (1.0,)) -> None:
    """Give a logarithmic axis ticks at some powers of ten, and at the multiples ``within`` where these are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=within, numticks=ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: log_tick(value)))


def log_tick(value: float) -> str:
    """Return a tick of a log axis: ``0.01``, ``100``, ``10⁻⁶``."""
    exponent = round(math.log10(value)) if value > 0 else 0
    return power_of_ten(exponent) if abs(exponent) > 4 else number(value)  # noqa: PLR2004


def time_axis(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis a logarithmic one of times in seconds, from ``low`` to ``high``."""
    places = round_numbers(low, high)
    axes.set(xscale="log", xlim=(low, high))
    axes.set_xticks(places, [duration(place) for place in places])
    axes.set_xticks([], minor=True)


def round_numbers(low: float, high: float) -> list[float]:
    """Return three to six round numbers between two positive ones, or as many as there are; rather powers of ten.

    Where even powers of ten are too many, every second, third … of them is kept.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside: list[float] = []
    for choice in TIME_TICKS:
        places = [float(f"{part}e{decade}") for decade in decades for part in choice]
        inside = [place for place in places if low <= place <= high]
        if len(inside) >= FEWEST:
            break
    return inside[:: max(1, math.ceil(len(inside) / MOST))]


def finish(figure: Figure, name: str, alt: str) -> Drawn:
    """Turn a figure into SVG, the same bytes for the same figure: no dates, ids from the name, short numbers."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            buffer, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    width, height = (round(float(inches) * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    return Drawn(name, plain(alt), _tidy(buffer.getvalue()), width, height)


def name_figure(figure: Figure, text: str) -> None:
    """Write a figure's title at its upper left corner, whatever room its labels take."""
    width, height = (float(inches) * PIXELS_PER_INCH for inches in figure.get_size_inches())
    limit = int((width - 2 * INSET) / (LETTER * TEXT))
    figure.text(INSET / width, 1 - 14 / height, label(text, limit), fontsize=TEXT + 0.5, fontweight="bold", va="center")


def label(text: str, limit: int) -> str:
    """Return ``text`` fit for a figure: ``limit`` letters at most, cut in the middle: names differ at their ends."""
    line = plain(text)
    tail = (limit - 1) // 2
    return line if len(line) <= limit else f"{line[: limit - 1 - tail].rstrip()}…{line[len(line) - tail :].lstrip()}"


def width_of(texts: Iterable[str], size: float = TEXT) -> float:
    """Estimate the room that the longest of ``texts`` takes, in pixels."""
    return max((len(text) for text in texts), default=0) * LETTER * size


def colour_map(labels: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """Give each label a colour and a dash, in order of first appearance, so that an arm looks the same everywhere."""
    unique = dict.fromkeys(labels)
    return {text: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i, text in enumerate(unique)}


def _tidy(svg: str) -> str:
    """Keep what lies inside the SVG element, without what repeats or would leak into the page around it."""
    inner = svg[svg.index(">", svg.index("<svg ")) + 1 : svg.rindex("</svg>")]
    inner = re.sub(r"<style type=\"text/css\">[^<]*</style>", "", inner)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)  # nothing refers to groups, and pages want their ids unique
    inner = (
        inner.replace("xlink:href=", "href=")
        .replace("font-weight: 700", "font-weight: 600")
        .replace(' style="fill: none; opacity: 0"', ' fill="none"')
    )
    inner = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", inner)
    inner = _FONT_FAMILY.sub("", inner)
    inner = _ATTRIBUTE.sub(_shortened, inner)
    inner = re.sub(r">\s*\n\s*<", "><", inner)
    return re.sub(r"<defs>\s*</defs>", "", inner).strip()


def _shortened(match: re.Match[str]) -> str:
    numbers = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), match[2])
    return f'{match[1]}{" ".join(numbers.split())}"'
