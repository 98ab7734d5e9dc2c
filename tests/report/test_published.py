"""Published numbers in a report: in words, on the strip, in every form, and never as a verdict."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest

from d2lbench.analysis.model import PublishedView
from d2lbench.report import render_claims_text
from d2lbench.report.pages import contents
from d2lbench.report.published import ours, published_line, strip, theirs, theirs_in_words


def entry(**more):
    """Return ours, 84 % ± 2 points, beside two published numbers, one inside and one outside."""
    given = {
        "id": "mlp", "grid": "small", "says": "One hidden layer", "source": "a book, page 7", "scale": "full",
        "metric": "test_accuracy", "unit": "share", "arm": "baseline", "values": (0.83, 0.84, 0.85), "mean": 0.84,
        "low": 0.82, "high": 0.86, "published": ((0.85, True), (0.87, False)), "approximate": True,
        "differs": ("biases start at 0", "another order"), "notes": (),
    }  # fmt: skip
    return PublishedView(**(given | more))


NOT_RUN = {
    "values": (), "mean": math.nan, "low": math.nan, "high": math.nan, "published": ((0.85, None),),
    "notes": ("0 of 3 seeds", "too few to predict another run"),
}  # fmt: skip


@pytest.fixture
def report_of(make):
    """Return a function from published numbers to a report of one grid without claims."""

    def build(*entries, claims=()):
        made = make["section"]("small", "A small grid", list(claims), figures=(), published=entries)
        return make["report"](made, scale="full")

    return build


def test_numbers_are_told_in_the_metrics_unit():
    found = entry()
    assert (ours(found).estimate, ours(found).interval) == ("84.00 %", "82.00, 86.00")
    assert theirs_in_words(found) == "≈85.0 % inside, ≈87.0 % outside"
    loss = entry(unit="nats", approximate=False, mean=0.38, low=0.36, high=0.4, published=((0.381, True),))
    assert (ours(loss).estimate, theirs_in_words(loss)) == ("0.380 nats", "0.381 nats inside")


def test_several_of_one_word_share_it():
    inside = entry(published=((0.83, True), (0.85, True)))
    assert theirs_in_words(inside) == "≈83.0 %, ≈85.0 % all inside"
    unknown = entry(**(NOT_RUN | {"published": ((0.83, None), (0.85, None))}))
    assert theirs_in_words(unknown) == "≈83.0 %, ≈85.0 %"


def test_a_strip_shows_two_half_widths_to_each_side():
    found = entry(published=((0.82, True), (0.84, True), (0.8801, False), (0.7999, False)))
    # 132 pixels for 80 % to 88 %: the interval takes the middle half.
    assert strip(found) == ("33.0", "66.0")
    assert [(each.place, each.cut) for each in theirs(found)] == [
        ("33.0", ""),
        ("66.0", ""),
        ("129.0", "right"),
        ("3.0", "left"),
    ]


def test_where_too_few_have_run_there_is_no_word_and_no_strip():
    nothing = entry(**NOT_RUN)
    assert (ours(nothing).estimate, ours(nothing).interval, strip(nothing)) == ("–", "–", None)
    assert theirs_in_words(nothing) == "≈85.0 %"
    point = entry(low=0.84, high=0.84, published=((0.84, True),))
    assert strip(point) is None
    assert theirs_in_words(point) == "≈84.0 % inside"


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ((), ""),
        ((entry(),), "Beside 2 published numbers: 1 inside the 95 % prediction interval of one run of ours."),
        (
            (entry(), entry(published=((0.84, True),)), entry(**NOT_RUN)),
            "Beside 3 published numbers: 2 inside the 95 % prediction interval of one run of ours.",
        ),
        ((entry(**NOT_RUN),), "1 published number, but too few runs of ours to put beside."),
    ],
)
def test_a_line_counts_them(report_of, entries, line):
    assert published_line(report_of(*entries)) == line


def test_every_form_of_the_report_has_the_table(report_of):
    files = contents(report_of(entry(), entry(id="other", **NOT_RUN)))
    markdown, page = files["report.md"], files["report.html"]
    row = next(line for line in markdown.splitlines() if line.startswith("| One hidden layer."))
    assert "≈85.0 % inside, ≈87.0 % **outside** | biases start at 0; another order |" in row
    assert "84.00 % | \\[82.00, 86.00\\] | 3 |" in row
    assert "| – | – | – | ≈85.0 %" in markdown
    assert "Note: 0 of 3 seeds; too few to predict another run" in markdown
    assert page.count('<svg class="strip"') == 1
    for text in (markdown, page):
        assert "Beside published numbers" in text
        assert "prediction interval of one run" in text
        assert "This grid makes no claims." not in text
    assert 'href="published.csv"' in page
    assert not re.search(r"\bverdict\b[^.]*mlp", page)


def test_each_published_number_is_a_row_with_what_its_interval_was_made_of(report_of):
    rows = list(csv.DictReader(io.StringIO(contents(report_of(entry()))["published.csv"])))
    assert [(row["published"], row["inside"]) for row in rows] == [("0.85", "true"), ("0.87", "false")]
    assert rows[0]["seed_values"].split() == ["0.83", "0.84", "0.85"]
    assert (rows[0]["low_95"], rows[0]["high_95"], rows[0]["n"]) == ("0.82", "0.86", "3")


def test_a_report_without_them_says_nothing_of_them(small):
    files = contents(small)
    assert len(files["published.csv"].splitlines()) == 1
    for name in ("report.html", "report.md"):
        assert "ublished number" not in files[name]
        assert "published.csv" not in files[name]


def test_the_terminal_has_a_line_for_each_behind_the_claims(report_of, make):
    claim = make["spec"]("wins", "Adam wins", 0.02, 0.005)
    lines = render_claims_text(report_of(entry(), claims=[claim]), 140).splitlines()
    (place,) = [index for index, line in enumerate(lines) if "mlp" in line]
    assert " ".join(lines[place].split()) == (
        "· mlp ours 84.00 % [82.00, 86.00] n 3 published ≈85.0 % inside, ≈87.0 % outside"
    )
    assert any("wins" in line for line in lines[:place])
    assert "ours not run" in render_claims_text(report_of(entry(**NOT_RUN)))


def test_the_headline_is_of_claims_and_only_without_any_of_published_numbers(report_of, make):
    claim = make["spec"]("wins", "Adam wins", 0.02, 0.005)
    both = contents(report_of(entry(), claims=[claim]))["report.md"]
    assert "Of 1 tested: 1 supported, 0 refuted, 0 unclear, 0 not run.\nBeside 2 published numbers: 1 inside" in both
    alone = contents(report_of(entry()))
    for name in ("report.md", "report.html"):
        assert alone[name].count("Beside 2 published numbers: 1 inside") == 1
        assert "No comparison and no equivalence" not in alone[name]
        assert "Corrected p" not in alone[name]
