"""What a report shows of times and costs: words, plots and their places, read from text and shapes."""

import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2lbench.analysis.figures import ArmRow, ArmTable, Interval
from d2lbench.analysis.timing_model import CostRow, HotCold, Roofline, RooflinePoint, Time
from d2lbench.report.costs import draw_costs
from d2lbench.report.filters import note, ratio, time, timed
from d2lbench.report.format import duration, durations, size
from d2lbench.report.kernels import BOUNDS, draw_roofline, draw_times, legend_lines
from d2lbench.report.pages import contents
from d2lbench.report.style import BASELINE, FEWEST, MOST, colour_map, drawing, round_numbers

SVG = "{http://www.w3.org/2000/svg}"


def draw(function, *arguments):
    with drawing():
        return function(*arguments)


def texts(drawn):
    return [element.text for element in ET.fromstring(drawn.file).iter(f"{SVG}text")]  # noqa: S314  (our own figure)


ACCURACY, LOSS = ArmTable("accuracy", "share"), ArmTable("loss", "", as_ratio=True)


def placed(*pairs, context="", data=""):
    """Return arms that no other arm beats at these (cost, quality)."""
    return tuple(
        CostRow(
            ArmRow(context, f"arm {i}", i == 0, Interval(quality, quality, quality, 3)), seconds=cost, is_optimal=True,
            data=data,
        )
        for i, (cost, quality) in enumerate(pairs)
    )  # fmt: skip


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
    section = make["section"]("costly", "Costly", [], figures=(), costs=make["cost_table"]())
    text = contents(make["report"](section))["report.md"]
    rows = [line.strip("| ").split(" | ") for line in text[text.index("### Quality and cost") :].splitlines()]
    rows = [row for row in rows if len(row) == 9 and row[0] != "Arm"]
    assert [row[0].replace("*", "").removesuffix(" unconverged") for row in rows] == [
        row.arm.label for row in make["cost_table"]().rows
    ]
    first, last = rows[0], rows[-1]
    assert first[2:6] == ["60 ms", "100 µs \\[97, 105\\]", "20 µs \\[19.4, 21\\]", "30 µs \\[29.1, 31.5\\]"]
    assert first[6:8] == ["323 KiB", "9,098"]
    assert [row[8] for row in rows] == ["1", "1", "2", "2", "3", "–"]
    assert last[2:8] == ["–"] * 6
    assert [row[0].endswith("*unconverged*") for row in rows] == [False, False, True, False, False, False]
    assert "on one thread and a batch of 32: median" in text
    assert "1 arm was not reached" in text
    assert "Unconverged: time ran out" in text


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
    body = draw(draw_costs, ACCURACY, placed((1.0, 0.5), (2.0, 0.6), (3.0, 0.7)), "p", looks).body
    assert all(colour in body for colour in (BASELINE, looks["arm 1"][0], looks["arm 2"][0]))


def test_few_arms_are_all_named_of_many_those_that_are_not_beaten():
    few = placed(*((float(i), 0.1 * i) for i in range(1, 6)))
    assert {f"arm {i}" for i in range(5)} <= set(texts(draw(draw_costs, ACCURACY, few, "p", {})))
    many = placed(*((float(i), 0.01 * i) for i in range(1, 41)))
    beaten = tuple(replace(row, is_optimal=i % 10 == 0) for i, row in enumerate(many))
    told = texts(draw(draw_costs, ACCURACY, beaten, "p", {}))
    assert [text for text in told if text.startswith("arm ")] == ["arm 0", "arm 10", "arm 20", "arm 30"]


@pytest.mark.parametrize("table", [ACCURACY, LOSS], ids=["accuracy", "loss"])
@pytest.mark.parametrize("pairs", [((1.0, 0.5), (1.0, 0.5)), ((1e-9, 1e-12), (1e9, 1e6)), ((2.0, 0.0), (3.0, 1.0))])
def test_strange_costs_are_drawn(pairs, table):
    assert draw(draw_costs, table, placed(*pairs, data="title"), "p", {}).body


def test_contexts_are_named_where_there_are_several():
    both = placed((1.0, 0.5), context="depth=2") + placed((9.0, 0.9), context="depth=8")
    assert "depth=8" in texts(draw(draw_costs, ACCURACY, both, "p", {}))


def test_forward_stands_beside_backward_in_words(make):
    kernels = make["kernels"]()
    told = (
        "8 kernels timed; of 5 timed both ways, backward takes 1.5 times as long as forward, in the median, and from "
    )
    assert timed(kernels) == f"{told}1.5 to 1.5 times. The store holds timings of 1 other machine, too."
    group, steps = kernels.groups
    assert (group.phases, steps.phases) == (("forward", "backward"), ("step",))
    files = contents(make["report"](kernels=kernels))
    row = "| relu0/small | 2 µs \\[1.94, 2.1\\] | 3 µs \\[2.91, 3.15\\] | ×1.5 \\[1.42, 1.59\\] |"
    assert f"{row} forward 62 % memory, backward 30 % launch |  |" in files["report.md"]
    assert "| relu2/small | 18 µs \\[17.5, 18.9\\] | 27 µs | ×1.5 | " in files["report.md"]
    assert "| relu\\[a\\]/small | 10 µs \\[9.7, 10.5\\] |  |  |" in files["report.md"]
    assert "| relu/small forward *unconverged* | 2 µs \\[1.94, 2.1\\] | 5 µs | ×2.5 |" in files["report.md"]
    assert files["report.html"].count("Backward over forward") == 1


def test_a_time_or_a_ratio_that_is_not_known_is_a_dash_and_an_interval_that_is_not_known_is_left_out():
    known, open_ = Time(2e-6, 1.9e-6, 2.2e-6), Time(5e-6, math.nan, math.nan, "unconverged")
    assert (time(None).together, ratio(None).together) == ("–", "–")
    assert (time(known).together, time(open_).together) == ("2 µs [1.9, 2.2]", "5 µs")
    assert ratio(HotCold("relu", known, open_).ratio).together == "×2.5"
    assert (note([known, None]), note([known, open_])) == ("", "unconverged")


def test_every_figure_of_the_kernels_is_a_file_and_on_both_pages(make):
    files = contents(make["report"](kernels=make["kernels"]()))
    figures = {name: text for name, text in files.items() if name.startswith("figures/")}
    assert len(figures) == 5
    for name, text in figures.items():
        assert name in files["report.md"]
        body = text[text.index("</title>") + len("</title>") : text.rindex("</svg>")]
        assert body[body.index("/>") + 2 :] in files["report.html"]


def test_a_report_without_timings_does_not_speak_of_them(small):
    files = contents(small)
    for text in (files["report.html"], files["report.md"]):
        assert "Kernels" not in text
        assert "Quality and cost" not in text


def test_a_dot_is_hollow_where_time_ran_out(make):
    def filled(status):
        return "fill: #0072b2" in draw(draw_times, "t", [("relu", {"forward": make["time"](1e-6, status)})], "n").body

    assert filled("precise")
    assert not filled("unconverged")


def test_dots_are_named_by_line_and_series(make):
    lines = [(name, {"hot": make["time"](1e-6), "cold": make["time"](1e-3)}) for name in ("relu", "tanh")]
    told = texts(draw(draw_times, "title", lines, "n"))
    assert {"title", "relu", "tanh", "hot", "cold", "time of a call"} <= set(told)
    assert {"1 µs", "10 µs", "100 µs", "1 ms"} <= set(told)


def test_a_plot_of_nothing_is_drawn():
    assert draw(draw_times, "t", [], "n").body


def test_the_roof_is_where_its_ceilings_are_and_names_them():
    spots = tuple(RooflinePoint("k", "forward", 10.0**i, 1e9 * 10**i, bound) for i, bound in enumerate(BOUNDS))
    drawn = draw(
        draw_roofline, Roofline("float32", 2e11, ((2.0**18, 1e11), (2.0**23, 5e10), (2.0**27, 2e10)), spots), "n"
    )
    told = texts(drawn)
    assert "best matrix product: 200 GFLOP/s" in told
    assert {"copies of 256 KiB: 100 GB/s", "copies of 128 MiB: 20 GB/s"} <= set(told)
    assert {f"bound by {bound}" for bound in BOUNDS} <= set(told)
    assert all(colour in drawn.body for colour in BOUNDS.values())
