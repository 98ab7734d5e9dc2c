"""The files of a report: complete, linked, the same twice, and never half written."""

import csv
import html.parser
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from d2lbench.analysis.statistics.parts import Part
from d2lbench.core.errors import StoreError
from d2lbench.report import render_claims_text, write_report
from d2lbench.report.pages import contents

VOID = {"meta", "link", "img", "br", "hr", "input", "base", "source", "path", "use", "rect", "line", "circle"}


class Page(html.parser.HTMLParser):
    """Reads a page as a browser would: ids, links, headings, text, and whether tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.headings, self.said, self.open, self.tags = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [value for key, value in attrs if key in {"href", "src"}]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


@pytest.fixture(scope="module")
def written(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    assert write_report(whole, folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(written):
    return Page((written / "report.html").read_text(encoding="utf-8"))


def test_every_claim_appears_with_its_verdict_in_html_and_markdown(whole, written, page):
    said = " ".join(" ".join(page.said).split())
    markdown = (written / "report.md").read_text(encoding="utf-8")
    for claim in whole.claims:
        word = "not run" if claim.judgement.word == "not run" else claim.judgement.shown
        reason = f" {claim.judgement.reason}." if word == "not run" else ""
        assert f"{word}{reason} {claim.says}." in said
        row = next(line for line in markdown.splitlines() if line.startswith("|") and f"[{claim.says}.]" in line)
        assert f"**{word}**" in row
    assert "Of 15 tested: 9 supported, 1 refuted, 3 unclear, 2 not run." in said


def test_the_headline_counts_questions_only(whole, written):
    text = (written / "report.md").read_text(encoding="utf-8")
    asked = [claim for claim in whole.claims if claim.kind in {"comparison", "equivalence"} and not claim.exploratory]
    assert f"Of {len(asked)} tested:" in text
    assert "1 identity (1 holds); 1 count (1 holds); 1 demonstration (1 supported)" in text
    assert "1 exploratory claim" in text


def test_a_claim_shows_what_a_reader_needs(page):
    said = " ".join(" ".join(page.said).split())
    for thing in (
        "Holm p", "Probability of winning", "Interquartile mean", "Hodges-Lehmann", "Corrected interval (99.38 %)",
        "At ½", "Correlation of the sides", "Picks on the ladder's edge", "Change over the last tenth", "On such data",
        "after data", "exploratory", "fragile", "What would decide",
        "majority class", "sign test", "against",
    ):  # fmt: skip
        assert thing in said, thing


def test_a_count_stands_beside_the_stated_one_with_every_digit(make, tmp_path):
    evidence = {"parts": (Part("it", "same", (-2.0,), 0.0),)}
    view = {"found": 9098.0, "stated": 9100.0}
    given = make["spec"](
        "n", "It has 9,100 parameters", 0, 0, kind="count", unit="parameters", evidence=evidence, view=view
    )
    write_report(make["report"](make["section"]("n", "Counts", [given], figures=())), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "✗ **fails**" in text
    assert "- Found: 9,098 parameters\n- Stated: 9,100 parameters\n" in text


def test_every_link_and_image_resolves(written, page):
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (written / link).is_file(), link
    markdown = (written / "report.md").read_text(encoding="utf-8")
    anchors = re.findall(r'<a id="([^"]*)"></a>', markdown)
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", markdown)
    assert len(links) > 40
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (written / link).is_file(), link
    linked = {link for link in links if link.startswith("figures/")}
    assert linked == {f"figures/{path.name}" for path in (written / "figures").iterdir()}


def test_the_page_asks_for_nothing_and_says_so(written, page):
    policy = [given["content"] for tag, given in page.tags if tag == "meta" and "http-equiv" in given]
    assert policy == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text.replace("url(#", "")
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "link", "object", "embed", "form", "base"}


def test_the_page_is_built_for_everyone(page):
    assert ("html", {"lang": "en"}) in page.tags
    assert page.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(given.get("aria-label") or given.get("aria-hidden") for tag, given in page.tags if tag == "svg")
    assert all("scope" in given for tag, given in page.tags if tag == "th")


@pytest.mark.slow
def test_the_same_report_gives_the_same_bytes_in_another_process(whole, small, written, tmp_path):
    write_report(whole, tmp_path)
    for path in sorted(written.rglob("*.*")):
        assert (tmp_path / path.relative_to(written)).read_bytes() == path.read_bytes()
    code = (
        "import importlib.util, sys, hashlib; s = importlib.util.spec_from_file_location('c', sys.argv[1]);"
        "m = importlib.util.module_from_spec(s); s.loader.exec_module(m); from d2lbench.report.pages import contents;"
        "r = m.report(m.section('small', 'A small grid', [m.spec('only', 'Adam beats SGD', 0.02, 0.005)], figures=()));"
        "sys.stdout.buffer.write(''.join(contents(r).values()).encode())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent / "conftest.py")], capture_output=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert other.stdout == "".join(contents(small).values()).encode()


def test_recompute_gives_the_p_of_every_verdict(whole, written):
    done = subprocess.run([sys.executable, "recompute.py"], cwd=written, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    parts = [part for claim in whole.claims for part in claim.judgement.parts]
    assert len(lines) == len(parts)
    for line, part in zip(lines, parts, strict=True):
        assert line.endswith("agrees")
        assert float(re.search(r"  p (\S+)", line)[1]) == pytest.approx(part.p, rel=1e-5)


def test_recompute_notices_a_changed_p(written, tmp_path):
    for name in ("recompute.py", "seeds.csv"):
        (tmp_path / name).write_bytes((written / name).read_bytes())
    text = (written / "claims.csv").read_text(encoding="utf-8")
    (tmp_path / "claims.csv").write_text(text.replace("0.00048828125", "0.25"), encoding="utf-8")
    done = subprocess.run([sys.executable, "recompute.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "REPORTED 0.25" in done.stdout


@pytest.mark.slow
def test_more_than_forty_seeds_are_recomputed_too(make, tmp_path):
    specs = [make["spec"]("many", "Many seeds", 0.002, 0.006, seeds=tuple(range(41)))]
    write_report(make["report"](make["section"]("many", "Many", specs, figures=())), tmp_path)
    done = subprocess.run([sys.executable, "recompute.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("agrees")


def test_the_tables_hold_a_row_for_each_part_and_each_seed(whole, written):
    claims = list(csv.DictReader(io.StringIO((written / "claims.csv").read_text(encoding="utf-8"))))
    assert len(claims) == sum(max(1, len(claim.parts)) for claim in whole.claims)
    seeds = list(csv.DictReader(io.StringIO((written / "seeds.csv").read_text(encoding="utf-8"))))
    expected = [seed.difference for claim in whole.claims for part in claim.parts for seed in part.seeds]
    assert [float(row["difference"]) for row in seeds] == expected


@pytest.mark.slow
def test_a_new_report_replaces_the_old_one_and_its_figures(whole, small, tmp_path):
    write_report(whole, tmp_path)
    kept = tmp_path / "figures" / "mine.svg"
    kept.write_text("<svg/>")
    write_report(small, tmp_path)
    assert len(list((tmp_path / "figures").iterdir())) == 2
    assert kept.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "claims.csv",
        "figures",
        "published.csv",
        "recompute.py",
        "report.html",
        "report.md",
        "seeds.csv",
    ]


def test_a_crash_while_writing_leaves_the_old_report(small, tmp_path, monkeypatch):
    write_report(small, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("d2lbench.report.pages.os.replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_report(small, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_folder_that_is_a_file_is_refused_with_its_name(small, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match=r"taken: the report could not be written \(File exists\)"):
        write_report(small, tmp_path / "taken")


EMPTY = {"table": None, "figures": (), "checks": (), "setting": (), "seeds": (), "data": ()}


@pytest.mark.slow
def test_a_report_on_nothing_is_a_page_that_says_so(make, tmp_path):
    nothing = make["report"](command="", environment="", provenance=(), untested=(), version="")
    write_report(nothing, tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    said = " ".join(page.said)
    assert "Nothing has been run yet" in said
    assert "No comparison and no equivalence was asked for" in said
    assert "Nothing has been run yet" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "No grid has been run." in render_claims_text(nothing)
    assert not (tmp_path / "figures").exists()
    subprocess.run([sys.executable, "recompute.py"], cwd=tmp_path, check=True, capture_output=True)


def test_a_report_on_one_cell_is_a_page(make, tmp_path):
    one = make["section"](
        "one", "One cell", [make["spec"]("c", "Adam wins", 0.02, 0.01, required=12, seeds=(3,))],
        **(EMPTY | {"seeds": (3,), "counts": {"done": 1}, "size": "1 cell"}),
    )  # fmt: skip
    write_report(make["report"](one), tmp_path)
    said = " ".join(" ".join(Page((tmp_path / "report.html").read_text(encoding="utf-8")).said).split())
    assert "1 seeds of 12" in said
    assert "1 seed (3)" in said
    assert "No checks were run." in said


def test_a_report_on_failures_only_gives_the_reasons(make, tmp_path):
    write_report(make["report"](make["failed"]()), tmp_path)
    for name in ("report.html", "report.md"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "No run of this grid has finished" in text
        assert "out of memory" in text
        assert "Of 1 tested: 0 supported, 0 refuted, 0 unclear, 1 not run." in text


def test_a_grid_without_claims_says_so(make, tmp_path):
    write_report(make["report"](make["section"]("bare", "Bare", [], **EMPTY)), tmp_path)
    assert "This grid makes no claims." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no claims" in render_claims_text(make["report"](make["section"]("bare", "Bare", [], **EMPTY)))


@pytest.mark.parametrize("width", [40, 72, 100, 200])
def test_terminal_text_respects_its_width(whole, width):
    text = render_claims_text(whole, width)
    assert max(map(len, text.splitlines())) <= width
    assert "supported" in text
    assert "momentum-helps" in text


def test_terminal_columns_are_aligned(whole):
    lines = [line for line in render_claims_text(whole, 120).splitlines() if re.match(r"  [✓✗?○] ", line)]
    assert len({line.index(claim.kind, 40) for line, claim in zip(lines, whole.claims, strict=True)}) == 1


def test_importing_the_report_costs_neither_matplotlib_nor_torch():
    code = (
        "import sys, d2lbench.report; sys.exit(bool({'torch', 'matplotlib', 'seaborn', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
