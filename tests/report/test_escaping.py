"""Hostile text in every place where foreign text can stand, and every sink that it can reach."""

import csv
import html.parser
import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from d2lbench.analysis.figures import FigureGroup, HeatMap, Panel
from d2lbench.analysis.model import CheckView, PublishedView
from d2lbench.report import render_claims_text, write_report
from d2lbench.report.escape import csv_cell, markdown, plain, slug, stem

PAYLOADS = (
    "<script>alert(1)</script>", "</script><script>alert(1)//", "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>", '"><script src=https://evil.example/x.js></script>', "' onmouseover='alert(1)",
    '" onfocus="alert(1)" autofocus="', "</title><script>alert(1)</script>", "</style><script>alert(1)</script>",
    "</svg><script>alert(1)</script>", "<!--", "-->", "<![CDATA[", "]]><script>alert(1)</script>",
    "<iframe src=//evil.example>", "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=0;url=//evil.example>", "<link rel=stylesheet href=//evil.example/a.css>",
    "<a href='javascript:alert(1)'>x</a>", "javascript:alert(1)", "data:text/html,<script>alert(1)</script>",
    "<style>@import '//evil.example/a.css';</style>", "background:url(https://evil.example/a.png)", "&lt;script&gt;",
    "&#60;script&#62;", "{{ 7 * 7 }}", "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "${7*7}", "#{7*7}", "%n%s%x", "![x](https://evil.example/a.png)", "[x](javascript:alert(1))",
    "[x]: https://evil.example", "<https://evil.example>", "https://evil.example/track", "www.evil.example",
    "mailto:a@evil.example", "| a | b |", "a\\|b\\", "`code` ``", "```\nfence", "# heading", "- item", "+ item",
    "1. item", "1) item", "> quote", "---", "===", "***bold***", "__init__", "~~gone~~", "$\\frac{1}{0}$", "$$",
    "a\n\n<script>alert(1)</script>", "a\r\nSet-Cookie: x", "tab\tstop", "null\x00byte", "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07", "\x9b31m", "\x08\x08\x08", "\u202egnp.exe", "\u2066isolated\u2069", "\u2028line\u2029",
    "zero\u200bwidth", "\ud800surrogate", "\ufffe\uffff", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1",
    "\r=1+1", "  =1+1", '=HYPERLINK("https://evil.example")', "%0a=1", "../../../etc/passwd",
    "..\\..\\windows\\win.ini", "/etc/passwd", "C:\\con", "CON", "a" * 5000, "日本語の題", "🔥" * 20, "\u0301" * 50, "",
    " ", ".", 'x\'"&<>/\\`',
)  # fmt: skip
TAGS = {
    "html", "head", "meta", "title", "style", "body", "a", "nav", "ul", "li", "main", "header", "p", "h1",
    "h2", "h3", "h4", "section", "div", "span", "strong", "table", "thead", "tbody", "tr", "th", "td",
    "caption", "dl", "dt", "dd", "code", "article", "figure", "figcaption", "details", "summary", "footer",
    "svg", "g", "path", "use", "defs", "text", "rect", "line", "circle", "clippath",
}  # fmt: skip
FILES = {"seeds.csv", "claims.csv", "published.csv", "recompute.py", "report.md"}
MARKUP = TAGS | {"em", "img", "hr"}


class Seen(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.said, self.comments = set(), [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.said.append(data)

    def handle_comment(self, data):
        self.comments.append(data)


def hostile(make, payloads):
    """A report with a payload in every field that takes text."""
    sections = []
    for i, text in enumerate(payloads):
        given = make["spec"](
            f"{text}{i}", text, 0.02, 0.005, origin=text, source=text, metric=text, statistic=text, unit=text,
            first=text, second=text, parts=1 + i % 2, seeds=(0, 1, 2, 3), picks=True,
        )  # fmt: skip
        made = make["section"](
            f"{text}{i}", text, [given], question=text, size=text, setting=((text, text),), reasons=((text, 1),),
            figures=(), checks=(CheckView(text, text, passed=False, detail=text),), data=((text, text),),
        )  # fmt: skip
        claim = make["replace"](made.claims[0], kind=text, scale=text, margin_reason=text)
        seeds = tuple(make["replace"](seed, first_pick=text, second_pick=text) for seed in claim.parts[0].seeds)
        parts = (make["replace"](claim.parts[0], label=text, seeds=seeds), *claim.parts[1:])
        rows = tuple(make["replace"](row, context=text, label=text, tuned=text) for row in made.table.rows[:2])
        table = make["replace"](made.table, metric=text, unit=text, train_metric=text, trivial_label=text, rows=rows)
        figures = ()
        if i % 4 == 0:
            curves = (make["curve"](text or "x", 0.9), make["curve"](f"{text}2", 0.8, baseline=True))
            figures = (
                FigureGroup(text, text, (Panel(text, text, text, curves, reference=0.5, reference_label=text),)),
            )
        if i % 12 == 0:
            heat = HeatMap(text, text, text, (text,), (text, f"{text}2"), ((0.5, 0.7),), text)
            figures = (*figures, FigureGroup(text, text, maps=(heat,)))
        theirs = PublishedView(
            f"{text}{i}", text, text, text, text, text, text, text, (0.1, 0.2), 0.15, 0.1, 0.2,
            ((0.3, False), (0.17, True)), approximate=True, differs=(text, text), notes=(text,),
        )  # fmt: skip
        claims = (make["replace"](claim, parts=parts),)
        costs = hostile_costs(make, text) if i % 4 == 1 else None
        shown = {"claims": claims, "table": table, "figures": figures, "published": (theirs,), "costs": costs}
        sections.append(make["replace"](made, scale=text, **shown))
    text = " ".join(payloads)
    return make["report"](
        *sections, scale=text, command=text, environment=text, provenance=((text, text),), untested=((text, text),),
        version=text, notes=(text,), kernels=hostile_kernels(make, text),
    )  # fmt: skip


def hostile_costs(make, text):
    table = make["cost_table"]()
    rows = tuple(
        make["replace"](row, arm=make["replace"](row.arm, context=text, label=text), data=text) for row in table.rows
    )
    return make["replace"](table, rows=rows, machine=((text, text),))


def hostile_kernels(make, text):
    made = make["kernels"](text, text)
    rows = tuple(make["replace"](row, size=text, notes=(text,)) for row in made.groups[0].rows)
    group = make["replace"](made.groups[0], rows=rows)
    panel = make["replace"](made.memory[0], x_label=text, y_label=text)
    return make["replace"](
        made, groups=(group, *made.groups[1:]), memory=(panel,), refused=((text, text),), machine=((text, text),)
    )


@pytest.fixture(scope="module")
def report(make):
    return hostile(make, PAYLOADS)


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "report"
    write_report(report, folder)
    return folder


def test_there_are_enough_payloads():
    assert len(set(PAYLOADS)) >= 50


@pytest.mark.slow
def test_html_holds_only_our_own_tags_attributes_and_links(folder):
    seen = Seen((folder / "report.html").read_text(encoding="utf-8"))
    assert seen.tags <= TAGS
    assert not seen.comments
    for name, value in seen.attributes:
        assert not name.startswith("on"), name
        assert name not in {"src", "srcset", "action", "formaction", "xlink:href"}, name
        if name == "href":
            assert value.startswith("#") or value in FILES, value
        if name == "style":
            assert re.fullmatch(r"[-\w .,:;#()%]*", value), value
            assert "url" not in value


@pytest.mark.slow
def test_html_shows_every_payload_as_text(folder):
    said = " ".join(" ".join(Seen((folder / "report.html").read_text(encoding="utf-8")).said).split())
    for payload in PAYLOADS:
        assert plain(payload) in said


@pytest.mark.slow
def test_markdown_holds_only_our_own_tags_and_links(folder):
    markdown_it = pytest.importorskip("markdown_it")
    text = (folder / "report.md").read_text(encoding="utf-8")
    rendered = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    seen = Seen(rendered)
    assert seen.tags <= MARKUP, seen.tags - MARKUP
    assert not seen.comments
    for name, value in seen.attributes:
        assert name in {"href", "src", "alt", "id", "style", "class"}, name
        if name in {"href", "src"}:
            assert re.fullmatch(
                r"#[-\w]+|figures/[-\w]+\.svg|(seeds|claims|published)\.csv|recompute\.py|report\.html", value
            ), value
    said = " ".join(" ".join(seen.said).split())
    for payload in PAYLOADS:
        assert plain(payload) in said, payload


@pytest.mark.slow
def test_markdown_keeps_one_cell_per_column(folder):
    text = (folder / "report.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith(("| ✓", "| ✗", "| ?", "| ○")) and "](#" in line]
    assert len(table) == len(PAYLOADS)
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table} == {7}


def test_markdown_escaping_leaves_no_markup():
    markdown_it = pytest.importorskip("markdown_it")
    render = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render
    for payload in PAYLOADS:
        seen = Seen(render(markdown(payload)))
        assert seen.tags <= {"p"}, payload
        assert "".join(seen.said).strip() == plain(payload)
        assert "://" not in markdown(payload)


@pytest.mark.slow
def test_no_cell_of_a_table_is_a_formula(folder):
    for name in ("claims.csv", "seeds.csv", "published.csv"):
        rows = list(csv.reader(io.StringIO((folder / name).read_text(encoding="utf-8"))))
        assert len({len(row) for row in rows}) == 1
        for cell in (cell for row in rows for cell in row):
            if cell.startswith(("=", "+", "-", "@", "\t", "\r", "|", "%")):
                float(cell)


def test_text_in_a_table_never_starts_a_formula():
    for payload in PAYLOADS:
        cell = csv_cell(payload)
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell.removeprefix("'") == plain(payload).removeprefix("'")


def test_numbers_in_a_table_keep_every_digit():
    assert [csv_cell(value) for value in (-0.1, 0.1 + 0.2, 3, True, None)] == [
        "-0.1",
        "0.30000000000000004",
        "3",
        "true",
        "",
    ]


@pytest.mark.parametrize("width", [40, 100])
def test_the_terminal_gets_no_control_characters(report, width):
    text = render_claims_text(report, width)
    bad = {unicodedata.category(letter) for letter in text if letter != "\n"} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not bad
    assert "=cmd|' /C calc'!A0" in text


def test_wide_letters_do_not_overrun_the_terminal(report):
    from d2lbench.report.terminal import columns

    assert columns("日本") == 4
    assert max(columns(line) for line in render_claims_text(report, 72).splitlines()) <= 72


@pytest.mark.slow
def test_figures_are_well_formed_and_inert(folder):
    files = sorted((folder / "figures").iterdir())
    assert len(files) > len(PAYLOADS)
    said = ""
    for path in files:
        root = ET.fromstring(path.read_bytes())  # noqa: S314  (our own file)
        for element in root.iter():
            tag = element.tag.rpartition("}")[2]
            assert tag in {"svg", "title", "g", "path", "use", "defs", "text", "rect", "clipPath"}, tag
            for name, value in element.attrib.items():
                assert not name.lower().startswith("on")
                if name.endswith("href"):
                    assert value.startswith("#")
            said += element.text or ""
    assert "<script>alert(1)</script>" in said
    assert "$\\frac{1}{0}$" in said  # not read as a formula, which would fail


@pytest.mark.slow
def test_no_text_of_a_user_forms_a_path(folder):
    for path in folder.parent.rglob("*"):
        assert path.resolve().is_relative_to(folder.parent.resolve())
    names = [path.name for path in folder.rglob("*")]
    assert all(
        re.fullmatch(
            r"[a-z0-9-]{1,41}-[0-9a-f]{10}\.svg|(report\.(html|md)|(claims|seeds|published)\.csv|recompute\.py|figures)",
            n,
        )
        for n in names
    )
    assert sorted(path.name for path in folder.parent.iterdir()) == ["report"]


def test_names_are_slugs_with_a_hash():
    for payload in PAYLOADS:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,39})", slug(payload)), payload
        assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{10}", stem("figure", payload)), payload
        assert Path(stem(payload)).name == stem(payload)


def test_equal_slugs_get_different_names():
    assert stem("a b") != stem("a-b")
    assert stem("a", "b") != stem("a-b")


def test_templates_refuse_what_they_do_not_know(report):
    from jinja2 import UndefinedError

    from d2lbench.report.pages import environment

    for name in ("report.html", "report.md"):
        with pytest.raises(UndefinedError):
            environment(name).from_string("{{ report.nothing }}").render(report=report)
