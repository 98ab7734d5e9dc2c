"""What a report shows of times and costs: words, plots and their places, read from text and shapes."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2lbench.analysis.timing_model import CostPlot, CostPoint, DotPlot, DotRow, Roofline, RooflinePoint
from d2lbench.report.cost_plots import draw_costs
from d2lbench.report.costs import cost_page
from d2lbench.report.format import duration, durations, size
from d2lbench.report.kernels import kernels_page
from d2lbench.report.log_axes import FEWEST, MOST, round_numbers
from d2lbench.report.rooflines import BOUNDS, draw_roofline
from d2lbench.report.style import BASELINE, colour_map, drawing
from d2lbench.report.time_dots import draw_times, legend_lines
from d2lbench.report.write import contents

SVG = "{http://www.w3.org/2000/svg}"


def draw(function, *arguments):
    with drawing():
        return function(*arguments)


def texts(drawn):
    return [element.text for element in ET.fromstring(drawn.file).iter(f"{SVG}text")]  # noqa: S314  (our own figure)


def points(*pairs, label="arm", context=""):
    return tuple(
        CostPoint(f"{label} {i}", context, i == 0, cost, quality, quality, quality, is_optimal=True)
        for i, (cost, quality) in enumerate(pairs)
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(1.5, "1.5 s"), (2.5e-3, "2.5 ms"), (1.234e-5, "12.3 µs"), (4e-9, "4 ns"), (2e-10, "0.2 ns"), (math.nan, "–")],
)
def test_a_time_is_told_in_the_unit_that_suits_it(seconds, told):
    assert duration(seconds) == told


def test_an_interval_is_told_in_the_unit_of_its_time():
    assert durations(999e-6, 990e-6, 1.2e-3) == ("999 µs", "990, 1,200")
    assert durations(1e-3, math.nan, math.nan) == ("1 ms", "–")


def test_bytes_are_told_in_powers_of_1024():
    assert [size(count) for count in (700, 1536, 3 * 2**20, 5 * 2**30)] == ["700 B", "1.5 KiB", "3 MiB", "5 GiB"]


@given(st.floats(1e-9, 1e3), st.floats(1.05, 1e9))
def test_an_axis_has_a_few_round_ticks_inside_its_limits(low, factor):
    found = round_numbers(low, low * factor)
    assert found == sorted(found)
    assert all(low <= place <= low * factor for place in found)
    assert len(found) <= MOST
    if factor > 2:
        assert len(found) >= FEWEST


def test_a_legend_takes_as_many_lines_as_its_names_need():
    marks = [(f"name {i}", "#000000", "o") for i in range(12)]
    lines = legend_lines(marks, 300)
    assert len(lines) > 1
    assert [mark for line in lines for mark in line] == marks
    assert legend_lines([], 300) == []


def test_the_cost_table_tells_every_arm_and_what_is_missing(make):
    page = draw(cost_page, make["cost_table"](), "grid", {})
    assert [row.label for row in page.rows] == [row.label for row in make["cost_table"]().rows]
    first, last = page.rows[0], page.rows[-1]
    assert (first.step.told, first.step.interval, first.run) == ("100 µs", "97, 105", "60 ms")
    assert (first.forward.told, first.backward.told, first.memory) == ("20 µs", "30 µs", "323 KiB")
    assert [row.program for row in page.rows] == ["1", "1", "2", "2", "3", "–"]
    assert (last.step.told, last.run, last.memory) == ("–", "–", "–")
    assert (page.unmeasured, page.unconverged, page.batch) == (1, 1, "32")
    assert [row.note for row in page.rows] == ["", "", "unconverged", "", "", ""]


@pytest.mark.slow
def test_a_cost_is_beside_its_quality_on_the_page_and_in_markdown(whole):
    files = contents(whole)
    for text in (files["report.html"], files["report.md"]):
        assert "What each arm costs" in text or "Quality and cost" in text
        assert "2 arms were not reached" in text
        assert "Machine: processor Some CPU @ 2.5 GHz" in text.replace("&#64;", "@")
    assert files["report.html"].count("cheapest for its quality") == 4


def test_an_arm_has_the_colour_that_it_has_in_the_other_figures():
    looks = colour_map(["arm 1", "arm 2"])
    plot = CostPlot("", "accuracy", "share", is_log=False, points=points((1.0, 0.5), (2.0, 0.6), (3.0, 0.7)))
    body = draw(draw_costs, plot, "p", looks).body
    assert all(colour in body for colour in (BASELINE, looks["arm 1"][0], looks["arm 2"][0]))


def test_few_arms_are_all_named_of_many_those_that_are_not_beaten():
    few = CostPlot("", "accuracy", "share", is_log=False, points=points(*((float(i), 0.1 * i) for i in range(1, 6))))
    assert {f"arm {i}" for i in range(5)} <= set(texts(draw(draw_costs, few, "p", {})))
    many = points(*((float(i), 0.01 * i) for i in range(1, 41)))
    beaten = tuple(replace(p, is_optimal=i % 10 == 0) for i, p in enumerate(many))
    told = texts(draw(draw_costs, CostPlot("", "accuracy", "share", is_log=False, points=beaten), "p", {}))
    assert [text for text in told if text.startswith("arm ")] == ["arm 0", "arm 10", "arm 20", "arm 30"]


@pytest.mark.parametrize("is_log", [False, True])
@pytest.mark.parametrize("pairs", [((1.0, 0.5), (1.0, 0.5)), ((1e-9, 1e-12), (1e9, 1e6)), ((2.0, 0.0), (3.0, 1.0))])
def test_strange_costs_are_drawn(pairs, is_log):
    plot = CostPlot("title", "loss", "", is_log=is_log, points=points(*pairs))
    assert draw(draw_costs, plot, "p", {}).body


def test_contexts_are_named_where_there_are_several():
    both = points((1.0, 0.5), context="depth=2") + points((9.0, 0.9), context="depth=8")
    told = texts(draw(draw_costs, CostPlot("", "accuracy", "share", is_log=False, points=both), "p", {}))
    assert "depth=8" in told


def test_forward_stands_beside_backward_in_words(make):
    page = draw(kernels_page, make["kernels"]())
    told = (
        "8 kernels timed; of 5 timed both ways, backward takes 1.5 times as long as forward, in the median, and from "
    )
    assert page.summary == f"{told}1.5 to 1.5 times. The store holds timings of 1 other machine, too."
    group, steps = page.groups
    assert (group.phases, steps.phases) == (("forward", "backward"), ("step",))
    assert (group.has_ratio, steps.has_ratio) == (True, False)
    row = group.rows[0]
    assert (row.forward.together, row.backward.told) == ("2 µs [1.94, 2.1]", "3 µs")
    assert (row.ratio, row.ratio_interval) == ("×1.5", "1.42, 1.61")
    assert row.places == (("forward", "62 % memory"), ("backward", "30 % launch"))
    assert group.rows[2].backward.interval == ""
    (pair,) = page.hot_cold
    assert (pair.ratio, pair.ratio_interval, pair.note) == ("×2.5", "", "unconverged")


def test_every_figure_of_the_kernels_is_a_file_and_on_both_pages(whole):
    files = contents(whole)
    page = draw(kernels_page, whole.kernels)
    assert len(page.figures) == 5
    for figure in page.figures:
        assert f"figures/{figure.name}.svg" in files
        assert f"figures/{figure.name}.svg" in files["report.md"]
        assert figure.body in files["report.html"]


def test_a_report_without_timings_does_not_speak_of_them(small):
    files = contents(small)
    for text in (files["report.html"], files["report.md"]):
        assert "Kernels" not in text
        assert "Quality and cost" not in text


def test_a_dot_is_hollow_where_time_ran_out(make):
    def filled(status):
        row = DotRow("relu", (("forward", make["time"](1e-6, status)),))
        return "fill: #0072b2" in draw(draw_times, DotPlot("t", ("forward",), (row,)), "n").body

    assert filled("precise")
    assert not filled("unconverged")


def test_dots_are_named_by_line_and_series(make):
    rows = tuple(DotRow(name, (("hot", make["time"](1e-6)), ("cold", make["time"](1e-3)))) for name in ("relu", "tanh"))
    told = texts(draw(draw_times, DotPlot("title", ("hot", "cold"), rows), "n"))
    assert {"title", "relu", "tanh", "hot", "cold", "time of a call"} <= set(told)
    assert {"1 µs", "10 µs", "100 µs", "1 ms"} <= set(told)


def test_a_plot_of_nothing_is_drawn():
    assert draw(draw_times, DotPlot("t", ("forward",), ()), "n").body


def test_the_roof_is_where_its_ceilings_are_and_names_them():
    spots = tuple(RooflinePoint("k", "g", "forward", 10.0**i, 1e9 * 10**i, bound) for i, bound in enumerate(BOUNDS))
    drawn = draw(
        draw_roofline, Roofline("float32", 2e11, ((2.0**18, 1e11), (2.0**23, 5e10), (2.0**27, 2e10)), spots), "n"
    )
    told = texts(drawn)
    assert "best matrix product: 200 GFLOP/s" in told
    assert {"copies of 256 KiB: 100 GB/s", "copies of 128 MiB: 20 GB/s"} <= set(told)
    assert {f"bound by {bound}" for bound in BOUNDS} <= set(told)
    assert all(colour in drawn.body for colour in BOUNDS.values())
