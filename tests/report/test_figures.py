"""What the figures hold: read from their text and shapes, not from pixels."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from d2lbench.analysis.figures import Curve, HeatMap, Panel
from d2lbench.report.claims import claim_figure
from d2lbench.report.curves import draw_map, draw_panel, spread_apart
from d2lbench.report.dots import compared, spark, swarm, ticks
from d2lbench.report.pages import contents
from d2lbench.report.style import BASELINE, VERDICT_COLOURS, colour_map, drawing, label, log_tick

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"


def parsed(drawn):
    return ET.fromstring(drawn.file)  # noqa: S314  (our own figure)


def texts(drawn):
    return [element.text for element in parsed(drawn).iter(f"{SVG}text")]


def draw(function, *arguments, **more):
    with drawing():
        return function(*arguments, **more)


def heat(values, **more):
    given = {
        "title": "Accuracy",
        "row_axis": "init",
        "column_axis": "depth",
        "rows": ("a", "b"),
        "columns": ("1", "2", "4"),
    }
    return HeatMap(**(given | more), values=values, metric="test accuracy", unit="share")


def test_a_heat_map_holds_its_numbers_row_by_row():
    drawn = draw(draw_map, heat(((0.9, 0.85, 0.1), (0.7, math.nan, 0.333))), "map")
    assert [text for text in texts(drawn) if text in {"90.0", "85.0", "10.0", "70.0", "33.3"}] == [
        "90.0",
        "85.0",
        "10.0",
        "70.0",
        "33.3",
    ]
    assert "\N{EN DASH}" in texts(drawn)
    assert {"a", "b", "1", "2", "4", "init", "depth"} <= set(texts(drawn))


@pytest.mark.parametrize(
    ("rows", "columns", "values"),
    [
        ((), (), ()),
        (("a",), ("x",), ((math.nan,),)),
        (("a",), ("x",), ((math.inf,),)),
        (("a",), ("x", "y"), ((0.5, 0.5),)),
    ],
)
def test_a_heat_map_of_nothing_or_of_one_value_is_drawn(rows, columns, values):
    assert draw(draw_map, heat(values, rows=rows, columns=columns), "map").body


def test_a_panel_names_every_curve_up_to_twelve(make):
    arms = tuple(f"arm {i}" for i in range(12))
    panel = make["panels"](1, arms)[0]
    drawn = draw(draw_panel, panel, "p", colour_map(arms))
    assert set(arms) <= set(texts(drawn))


def test_beyond_twelve_curves_the_baseline_and_the_extremes_are_named(make):
    arms = tuple(f"arm {i:02}" for i in range(30))
    panel = make["panels"](1, arms)[0]
    said = texts(draw(draw_panel, panel, "p", colour_map(arms)))
    assert [text for text in said if text.startswith("arm")] == [
        "arm 01",
        "arm 02",
        "arm 03",
        "arm 27",
        "arm 28",
        "arm 29",
        "arm 00",
    ]
    assert "23 more in grey" in said


def test_the_baseline_is_always_dark_and_an_arm_keeps_its_colour(make):
    panels = make["panels"](2)
    looks = colour_map(curve.label for panel in panels for curve in panel.curves if not curve.is_baseline)
    for panel in panels:
        body = draw(draw_panel, panel, "p", looks).body
        assert BASELINE in body
        assert all(colour in body for colour, _ in looks.values())


def test_log_axes_skip_what_has_no_logarithm():
    curve = Curve("a", (0.0, 0.1, 1.0), (1.0, 1e-12, 0.0), (0.5, math.nan, -1.0), (2.0, math.nan, 1.0))
    panel = Panel("t", "rate", "norm", (curve,), x_log=True, y_log=True, reference=-1.0)
    assert draw(draw_panel, panel, "p", colour_map(["a"])).body


@pytest.mark.parametrize("mean", [(), (math.nan, math.nan), (math.inf, math.nan), (0.5, 0.5), (1e300, -1e300)])
def test_a_panel_without_usable_numbers_says_so_or_is_drawn(mean):
    x = tuple(float(i) for i in range(len(mean)))
    drawn = draw(draw_panel, Panel("t", "x", "y", (Curve("a", x, mean, mean, mean),)), "p", colour_map(["a"]))
    finite = any(math.isfinite(value) for value in mean)
    assert ("no finished runs" in texts(drawn)) is not finite


def test_a_claims_figure_has_a_dot_for_each_seed_and_its_colour(make):
    claim = make["claims"]("g", [make["spec"]("c", "Adam wins", 0.02, 0.004)])[0]
    drawn = draw(claim_figure, claim)
    dots = [element for element in parsed(drawn).iter(f"{SVG}use") if "opacity" in element.get("style", "")]
    assert len(dots) == 12
    assert VERDICT_COLOURS["supported"] in drawn.body
    assert "difference, seed by seed (points)" in texts(drawn)
    places = [float(dot.get("x")) for dot in dots]
    order = sorted(range(12), key=lambda i: claim.parts[0].seeds[i].difference)
    assert sorted(range(12), key=lambda i: places[i]) == order


def test_a_composite_has_a_row_for_each_part(make):
    claim = make["claims"]("g", [make["spec"]("c", "At every depth", 0.02, 0.004, parts=3)])[0]
    assert {"model.depth = 1", "model.depth = 2", "model.depth = 4"} <= set(texts(draw(claim_figure, claim)))


def test_parts_of_equal_name_are_told_apart_by_what_they_compare(make):
    claim = make["claims"]("g", [make["spec"]("c", "Both", 0.02, 0.004, parts=2)])[0]
    parts = tuple(
        make["replace"](part, label="depth=2", first=f"depth=2 · arm {i}", second="depth=2 · baseline")
        for i, part in enumerate(claim.parts)
    )
    assert [compared(part) for part in parts] == [f"arm {i} against baseline (depth=2)" for i in range(2)]
    assert {"arm 0 against baseline", "arm 1 against baseline"} <= set(
        texts(draw(claim_figure, make["replace"](claim, parts=parts)))
    )


@pytest.mark.parametrize("values", [(0.0,) * 12, (1e-9,) * 12, (800.0, -800.0) * 6, (0.5,)])
@pytest.mark.parametrize("as_ratio", [True, False])
def test_strange_differences_are_drawn(make, values, as_ratio):
    made = make["spec"]("c", "Odd", 0.0, 0.0, margin=0.0, seeds=tuple(range(len(values))))
    claim = make["claims"]("g", [made])[0]
    seeds = tuple(
        make["replace"](seed, difference=value) for seed, value in zip(claim.parts[0].seeds, values, strict=True)
    )
    claim = make["replace"](claim, parts=(make["replace"](claim.parts[0], seeds=seeds),), as_ratio=as_ratio)
    assert draw(claim_figure, claim).body


def test_ticks_are_round_in_the_unit_that_is_read():
    assert ticks(-0.012, 0.031, "share", as_ratio=False)[1] == [f"{MINUS}1", "0", "+1", "+2", "+3"]
    places, said = ticks(-0.02, 0.105, "nats", as_ratio=True)
    assert said[places.index(0.0)] == "0 %"
    assert math.isclose(places[said.index("+4 %")], math.log(1.04))
    assert ticks(-0.1, math.log(12), "", as_ratio=True)[1][0] == "\N{MULTIPLICATION SIGN}1"


def test_log_ticks_are_plain_near_one_and_powers_far_away():
    assert [log_tick(value) for value in (1e-6, 1e-3, 1.0, 100.0, 1e8)] == ["10⁻⁶", "0.001", "1", "100", "10⁸"]


def test_labels_are_moved_apart_inside_the_axes_and_keep_their_order():
    moved = spread_apart([0.5, 0.5, 0.5, 0.98, 1.0], 0.1)
    gaps = [b - a for a, b in pairwise(moved)]
    assert min(gaps) > 0.0999
    assert min(moved) >= 0
    assert max(moved) <= 1
    assert spread_apart([], 0.1) == []


def test_dots_that_would_cover_each_other_are_lifted():
    assert swarm([0.0, 0.0, 0.0, 5.0], 1.0) == [0.0, 0.5, -0.5, 0.0]


def test_long_names_keep_both_ends_because_they_differ_there():
    assert label("weight-decay(strength=0.001, bias=false)", 22) == "weight-deca…ias=false)"
    assert label("short", 22) == "short"
    assert len(label("x" * 500, 31)) == 31


def test_the_small_plot_marks_what_goes_on_beyond_its_edge(make):
    far, near = make["claims"]("g", [make["spec"]("far", "x", 0.3, 0.01), make["spec"]("near", "y", 0.02, 0.005)])
    plot = spark(far.judgement.parts[0])
    assert plot.cut_right
    assert plot.dot == ""
    plot = spark(near.judgement.parts[0])
    assert not plot.cut_right
    assert plot.band == ("49.5", "33.0")  # 132 px are 8 margins wide, the band is 2 of them, in the middle
    estimate = near.judgement.parts[0].estimate
    assert float(plot.dot) == pytest.approx(66 + estimate / 0.01 * 16.5, abs=0.06)


def test_every_figure_is_small_and_its_text_is_text(whole):
    figures = {name: text for name, text in contents(whole).items() if name.startswith("figures/")}
    assert len(figures) > 20
    for text in figures.values():
        assert len(text) < 150_000
        assert "<text" in text
        assert not re.search(r'\sid="(?![a-z0-9]{11}")', text)


def test_drawing_leaves_the_users_settings_alone(small):
    import matplotlib as mpl

    with mpl.rc_context({"axes.facecolor": "red", "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        first = contents(small)
        assert dict(mpl.rcParams) == before
    assert first == contents(small)


def ticks_of_losses(low, high):
    """Return the numbers that stand on the axes of a falling curve, as they are written."""
    y = (high, (low * high) ** 0.5, low)
    panel = Panel("p", "epoch", "test loss", (Curve("one", (0.0, 1.0, 2.0), y, y, y),), y_log=True)
    drawn = draw(draw_panel, panel, "name", colour_map(["one"]), "A caption.")
    return set(re.findall(r"<!-- ([^ ]+) -->", drawn.inline)) | set(re.findall(r">([^<>]+)</text>", drawn.inline))


def test_losses_within_a_decade_still_have_two_ticks_to_be_read_by():
    assert {"0.5", "2"} <= ticks_of_losses(0.45, 2.4)


@pytest.mark.parametrize(("low", "high"), [(1e-6, 1e2), (1e-3, 1.0)])
def test_losses_over_many_decades_are_read_by_powers_of_ten(low, high):
    found = ticks_of_losses(low, high)
    assert "0.1" in found or "1" in found
    assert not found & {"0.2", "0.05", "0.002"}
