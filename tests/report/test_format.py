"""Numbers in words, against strings worked out by hand."""

import math

import pytest

from d2lbench.report.format import (
    Unit,
    counted,
    fixed,
    number,
    p_value,
    power_of_ten,
    seeds_in_words,
    sentence,
    share,
    times,
)

MINUS, TIMES, DASH = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.9123, "0.912"),
        (0.9999, "1"),
        (1250.0, "1,250"),
        (-0.25, f"{MINUS}0.25"),
        (0, "0"),
        (3.1e-13, f"3.1 {TIMES} 10⁻¹³"),
        (1e5, f"1 {TIMES} 10⁵"),
        (99999.0, "100,000"),
        (0.0001, "0.0001"),
        (math.nan, DASH),
        (math.inf, "∞"),
        (-math.inf, f"{MINUS}∞"),
    ],
)
def test_a_number_keeps_three_digits(value, said):
    assert number(value) == said


@pytest.mark.parametrize(
    ("p", "said"),
    [
        (1.0, "1"),
        (0.234, "0.23"),
        (0.0999, "0.10"),
        (0.0512, "0.051"),
        (2 / 4096, "0.00049"),
        (2 / 2**20, f"1.9 {TIMES} 10⁻⁶"),
        (None, DASH),
        (math.nan, DASH),
    ],
)
def test_a_p_keeps_two_digits_and_is_never_zero(p, said):
    assert p_value(p) == said


def test_accuracy_is_told_in_points():
    told = Unit("share").effect(0.01243, 0.008, 0.0168)
    assert told.estimate == "+1.24 points"
    assert told.interval == "+0.80, +1.68"
    assert told.together == "+1.24 points [+0.80, +1.68]"


def test_a_ratio_is_told_in_percent_up_to_a_doubling():
    # e^0.0705 = 1.0730, e^0.03 = 1.0305, e^0.11 = 1.1163
    told = Unit("nats", as_ratio=True).effect(0.0705, 0.03, 0.11)
    assert (told.estimate, told.interval) == ("+7.3 %", "+3.0, +11.6")


def test_a_large_ratio_is_told_as_a_factor_with_its_direction():
    told = Unit("nats", as_ratio=True).effect(math.log(3.2), math.log(1.5), math.log(6.83))
    assert (told.estimate, told.interval) == (f"{TIMES}3.2", f"{TIMES}1.5, {TIMES}6.83")
    assert Unit("", as_ratio=True).difference(-math.log(4)) == "÷4"


def test_the_numbers_of_one_claim_keep_one_form():
    assert Unit("", as_ratio=True, factors=True).difference(-0.001) == f"{TIMES}1"
    assert Unit("", as_ratio=True, factors=True).difference(0.1) == f"{TIMES}1.11"
    assert Unit("", as_ratio=True, factors=False).difference(math.log(2.5)) == "+150.0 %"


def test_a_ratio_beyond_all_floats_is_a_power_of_ten():
    assert times(2000.0) == f"{TIMES}10⁸⁶⁹"  # 2000 / ln 10 = 868.6
    assert times(-math.inf) == "÷∞"


def test_other_units_get_the_decimals_that_the_interval_deserves():
    assert Unit("decades").effect(0.58123, 0.551, 0.611).together == "+0.581 decades [+0.551, +0.611]"
    assert Unit("epochs").effect(-2.44, -5.21, 0.33).together == f"{MINUS}2.4 epochs [{MINUS}5.2, +0.3]"
    assert Unit("").effect(0, 0, 0).estimate == "0"


def test_one_seed_leaves_the_interval_open():
    told = Unit("share").effect(0.02, -math.inf, math.inf)
    assert told.together == f"+2.00 points [{MINUS}∞, +∞]"
    assert Unit("nats", as_ratio=True).effect(0.1, -math.inf, math.inf).interval == f"{MINUS}∞, +∞"


@pytest.mark.parametrize(
    ("unit", "margin", "said"),
    [
        (Unit("share"), 0.01, "±1 point"),
        (Unit("share"), 0.005, "±0.5 points"),
        (Unit("nats", as_ratio=True), 0.05, f"{TIMES}/÷ 1.05"),
        (Unit("epochs"), 1.0, "±1 epoch"),
        (Unit("share"), 0.0, "none"),
    ],
)
def test_a_margin_is_told_in_its_unit(unit, margin, said):
    assert unit.margin(margin) == said


def test_levels_are_percent_for_shares_and_numbers_for_the_rest():
    assert Unit("share").level(0.9124) == "91.2 %"
    assert Unit("epochs").level(14) == "14 epochs"
    told = Unit("share").levels(0.9124, 0.909, 0.9158)
    assert (told.estimate, told.interval) == ("91.24 %", "90.90, 91.58")
    assert Unit("epochs").level(1.0) == "1 epoch"
    assert Unit("decades per layer").difference(1.0) == "+1 decades per layer"
    assert Unit("share").levels(math.nan, math.nan, math.nan).estimate == DASH


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((), "no seeds"),
        ((4,), "1 seed (4)"),
        (tuple(range(12)), "12 seeds (0 to 11)"),
        ((0, 1, 2, 7, 9), "5 seeds (0 to 2, 7, 9)"),
    ],
)
def test_runs_of_seeds_are_shortened(seeds, said):
    assert seeds_in_words(seeds) == said


def test_small_words():
    assert counted(1, "identity", "identities") == "1 identity"
    assert counted(3, "identity", "identities") == "3 identities"
    assert sentence("adam wins") == "Adam wins."
    assert sentence("does it?") == "Does it?"
    assert sentence("") == ""
    assert share(0.833) == "83 %"
    assert power_of_ten(-12) == "10⁻¹²"
    assert fixed(-0.001, 2, signed=True) == "0.00"


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, 5e-324, -1e-7, 123456.789, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("unit", [Unit("share"), Unit("nats", as_ratio=True), Unit("decades"), Unit()])
def test_no_number_is_too_strange_to_be_told(unit, value):
    assert unit.difference(value)
    assert unit.level(value)
    assert unit.levels(value, value, value).estimate
    assert unit.effect(value, -math.inf, math.inf).interval
