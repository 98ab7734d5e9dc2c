"""All mistakes of a file in one call, in the file's order, in our own words: nobody mends a file nine times."""

from __future__ import annotations

import re

import pytest

from d2lbench.api.session import Request, Session
from d2lbench.core.errors import GridError
from d2lbench.grid import count, load, parse

NINE = """\
format = 1
titel = "Nine mistakes"
seeds = 0

[base]
dataset = "digitz"
model = { name = "mlp", hiden = [64], activation = "reluu" }
lr = 0.1
optimizer = "sgd"
epochs = "three"
batch_size = 32

[[claims]]
id = "a"
kind = "comparison"
origin = "ours"
says = "It is so."
source = "us"
metric = "test_acuracy"
higher = { optimizer = "adma" }
than = "baseline"
marign = 3

[vary]
optimizer = ["adm", { name = "rmsprop", lrr = 1 }]
model.hidden = [64, 256]

[[claims]]
id = "b"
kind = "comparson"
origin = "ours"
says = "It is so."

[[exclude]]
optimiser = "sgd"

[[tune]]
space."optimizer.lr" = [0.1, -0.2]
"""
#: The keys of its mistakes in the order of its lines, each with the name that is near.
TOLD = [
    ("titel", "title"), ("seeds", None), ("base.dataset", "digits"), ("base.model.hiden", "hidden"),
    ("base.model.activation", "relu"), ("base.lr", "optimizer.lr"), ("base.epochs", None),
    ("claims.a.metric", "test_accuracy"), ("claims.a.higher.optimizer", "adamax"), ("claims.a.marign", "margin"),
    ("vary.optimizer[0]", "adam"), ("vary.optimizer[1].lrr", "lr"), ("vary.model.hidden", None),
    ("claims.b.source", None), ("claims.b.metric", None), ("claims.b", None), ("claims.b.kind", "comparison"),
    ("exclude[0].optimiser", "optimizer"),
    ("tune[0].space.optimizer.lr[1]", None),
]  # fmt: skip
TRAINS = """\
format = 1
title = "A grid"
seeds = 12
[base]
dataset = "digits"
model = { name = "mlp", hidden = [64, 64] }
optimizer = { name = "sgd", lr = 0.1 }
epochs = 4
batch_size = 32
"""


def refused(text, registry, **options):
    with pytest.raises(GridError) as caught:
        load(text, registry, file="grid.toml", **options)
    return caught.value


@pytest.mark.parametrize("read", [load, count])
def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(read, registry):
    with pytest.raises(GridError) as caught:
        read(NINE, registry)
    error = caught.value
    assert [(each.key, each.nearest) for each in error.problems] == TOLD
    first, *lines = str(error).split("\n")
    assert first == f"{len(TOLD)} mistakes"
    assert lines == [str(each) for each in error.problems]
    assert error.exit_code == 2


def test_what_arms_have_in_common_is_told_once_and_what_differs_for_each(registry):
    rest = "[product]\nepochs = [2, 3]\n[vary]\nrebuild_at = [1, 7, 9]\n[[when]]\nmatch.epochs = 3\nset.clip_norm = 0\n"
    told = refused(TRAINS + rest, registry)
    assert [each.key for each in told.problems] == ["vary.rebuild_at[1]", "vary.rebuild_at[2]", "when[0].set.clip_norm"]


def test_claims_are_looked_at_one_by_one_beside_arms_that_are_right(registry, claim_text):
    side = 'metric = "test_accuracy"\nthan = "baseline"\n'
    claims = [
        claim_text(f'{side}higher = {{ optimizer = "{name}" }}', name=f"c-{name}")
        for name in ("adagrad", "adam", "asgd")
    ]
    told = refused(TRAINS + '[vary]\noptimizer = ["adam"]\n' + "".join(claims), registry)
    assert [each.key for each in told.problems] == ["claims.c-adagrad.higher", "claims.c-asgd.higher"]
    assert all(each.problem == "selects no arm" for each in told.problems)


def test_no_mistake_is_told_that_another_one_causes(registry, claim_text):
    claim = claim_text('metric = "test_accuracy"\nhigher = { optimizer = "adam" }\nthan = "baseline"')
    misspelt = TRAINS.replace("batch_size", "bach_size") + '[varry]\noptimizer = ["adam"]\n' + claim
    told = refused(misspelt, registry)
    assert [(each.key, each.nearest) for each in told.problems] == [("base.bach_size", "batch_size"), ("varry", "vary")]


def test_tables_in_pieces_are_told_in_the_order_of_their_lines(registry):
    text = TRAINS + '[[exclude]]\na = 1\n[quick]\nb = 1\n[[exclude]]\nc = 1\n[quick.vary]\nd = """\n[quick]\n"""\n'
    text += "[vary]\ne = [\n  1,\n]\n"
    keys = [each.key for each in refused(text, registry).problems]
    assert keys == ["exclude[0].a", "quick.b", "exclude[1].c", "quick.vary.d", "vary.e"]


def test_axes_are_held_against_each_other_though_a_value_is_wrong(registry):
    rest = "[product]\nepochs = [1, 0]\n[zip]\nepochs = [3, 4]\nmodel.depth = [1]\n"
    told = refused(TRAINS + rest, registry)
    assert [(each.key, each.problem) for each in told.problems] == [
        ("product.epochs[1]", "is not allowed here"),
        ("zip", "the lists are of different lengths"),
        ("zip.epochs", "sets the same key as product.epochs"),
    ]


def test_what_is_right_in_a_claim_with_a_mistake_is_looked_up_all_the_same(registry, claim_text):
    claim = claim_text('metric = "test_acuracy"\nhigher = "baseline"\nthan = 3\nmargin = -1', "comparson")
    published = '[[published]]\nid = "p"\nsays = "x"\nsource = "y"\nmetric = "gapp"\narm = {epoch = 1}\nvalue = "3"\n'
    keys = [each.key for each in refused(TRAINS + claim + published, registry).problems]
    assert keys == [
        "claims.it.kind", "claims.it.metric", "claims.it.margin", "published.p.metric", "published.p.arm.epoch",
        "published.p.value",
    ]  # fmt: skip


def test_an_entry_of_a_list_keeps_its_number_beside_one_that_is_mistaken(registry):
    tunes = "[[tune]]\nspace.epochs = [1]\nbudget = 0\n[[tune]]\nspace.epochs = [0]\n"
    whens = "[[when]]\nmatch.epochs = 1\n[[when]]\nmatch.epochs = 1\nset.epochs = 0\n"
    keys = [each.key for each in refused(TRAINS + tunes + whens, registry).problems]
    assert keys == ["tune[0].budget", "tune[1].space.epochs[0]", "when[0].set", "when[1].set.epochs"]


def test_what_is_set_is_told_after_the_file(registry):
    told = refused(NINE, registry, sets=["epochs=three", "epoch=1"])
    assert [each.key for each in told.problems][:-2] == [key for key, _ in TOLD if key != "base.epochs"]
    assert {each.key for each in told.problems[-2:]} == {"--set epochs=three", "--set epoch"}


def test_several_files_are_told_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(TRAINS.replace('"digits"', '"digitz"'), encoding="utf-8")
    (tmp_path / "good.toml").write_text(TRAINS, encoding="utf-8")
    (tmp_path / "two.toml").write_text(TRAINS.replace("epochs = 4", "epochs = 0"), encoding="utf-8")
    with pytest.raises(GridError) as caught:
        Session(Request(names=("one.toml", "good.toml", "two.toml")))
    assert [(each.file, each.key) for each in caught.value.problems] == [
        ("one.toml", "base.dataset"), ("two.toml", "base.epochs"),
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["[vary]\n", "[product]\n", "[zip]\n", "[[tune]]\nspace."])
def test_a_list_that_looks_like_arms_is_refused_and_both_spellings_told(registry, place):
    told = refused(f"{TRAINS}{place}model.hidden = [64, 256]\n", registry)
    assert "is one arm of 2 layers, not 2 arms" in told.problem
    assert told.allowed == "[[64, 256]] for one arm, [[64], [256]] for 2"


def test_each_spelling_of_a_list_of_layers_means_what_was_told(registry):
    two_rates = 'regularizer = { name = "dropout", p = [0.2, 0.5] }'
    two_layers = 'model = [{ name = "mlp", hidden = [64, 256] }]'
    lists = (
        "model.hidden = [[64, 256]]",
        "model.hidden = [[64], [256]]",
        "model.hidden = [256]",
        two_layers,
        two_rates,
    )
    labels = [[arm.label for arm in load(f"{TRAINS}[vary]\n{raw}\n", registry).arms[1:]] for raw in lists]
    assert labels == [
        ["hidden=[64, 256]"], ["hidden=[64]", "hidden=[256]"], ["hidden=[256]"], ["mlp(hidden=[64, 256])"],
        ["dropout(p=[0.2, 0.5])"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "key", "nearest"),
    [
        ("epochs = 4", "epochs = 4\nlr = 0.1", "base.lr", "optimizer.lr"),
        ("seeds = 12", "seeds = 12\nlr = 0.1", "lr", "base.optimizer.lr"),
        ("epochs = 4", "epochs = 4\nhidden = [3]", "base.hidden", "model.hidden"),
        ("epochs = 4", "epochs = 4\nlearning_rate = 0.1", "base.learning_rate", "optimizer.lr"),
        ("seeds = 12", "seed = 12", "seed", "seeds"),
        ("lr = 0.1", "lr = 0.1, weight_decay = 0.1", "base.optimizer.weight_decay", "regularizer"),
        ('name = "sgd"', '_target_ = "torch.optim.SGD"', "base.optimizer", "sgd"),
        ('name = "sgd"', 'name = "torch.optim.Adagrad"', "base.optimizer", "adagrad"),
    ],
)
def test_the_word_of_another_tool_leads_to_ours(registry, old, new, key, nearest):
    told = refused(TRAINS.replace(old, new), registry)
    assert (key, nearest) in [(each.key, each.nearest) for each in told.problems]


def test_a_range_for_an_axis_leads_to_tune(registry):
    told = refused(TRAINS + "[vary]\noptimizer.lr = { min = 0.001, max = 0.1 }\n", registry)
    assert str(told).startswith("grid.toml: vary.optimizer.lr: is a table, and an axis is a list of values")
    assert "[[tune]] with a budget" in told.allowed


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('base = { dataset = "digits",\n  epochs = 3 }', "line 3: an inline table ends on its line: use [base]"),
        ("base = {\n}", "line 3: an inline table ends on its line: use [base]"),
        ("base = { epochs = 3 # few\n}", "line 3: an inline table ends on its line: use [base]"),
        ('[base]\nmodel = { name = "mlp",\n}', "line 4: an inline table ends on its line: use [base.model]"),
        ("base = { epochs = 3, }", "line 3: has a comma at the end of an inline table"),
        ("base = { epochs = 3 lr = 1 }", "line 3: lacks a comma between two keys"),
        ("[base]\noptimizer = sgd", 'line 4: has no value where one is due; given .*did you mean "sgd"'),
        ("checks = True", 'line 3: has no value where one is due; .*did you mean "true"'),
        ("question: why", "line 3: has a key without a value; .*allowed: key = value"),
        ("seeds = 0..19", "line 3: goes on after a value"),
        ("seeds = [0, 1", "line 3: has a list without its end"),
        ('question = "why', "line 3: has a text without an end"),
        ('question = """why', "line 3: has a text without an end"),
        ('question = "a\\u0007b"', "question: has a control character"),
        ('question = "a\\qb"', "line 3: has a backslash that means nothing"),
        ("= 3", "line 3: is neither a key with its value nor the name of a table"),
        ("?", "line 3: is neither a key with its value nor the name of a table"),
        ("[base\nepochs = 3", "line 3: has a name of a table without its end"),
        ("[base]\nepochs = 3\nepochs = 4", "line 5: sets a key that is set already"),
        ("base = { epochs = 3, epochs = 4 }", "line 3: sets a key that is set already"),
        ("[base]\n[vary]\n[base]", "line 5: opens a table that is there already"),
        ("base = { epochs = 3 }\n[base.model]", "line 4: opens a table that is there already"),
        ("[vary]\n.lr = 3", "line 4: (has no key where one is due|is neither)"),
        ("seeds = 2026-13-41", "line 3: (has a date that is none|goes on after a value)"),
    ],
)  # fmt: skip
def test_a_mistake_of_toml_is_told_with_its_line_in_our_words(registry, line, told):
    error = refused(f'format = 1\ntitle = "A grid"\n{line}', registry)
    assert re.search(f"grid.toml: {told if '.*' in told or '(' in told else re.escape(told)}", str(error))
    assert not re.search("Invalid|Expected|Cannot|Unclosed|Illegal|Unescaped|at line|namespace", str(error))


def test_a_file_of_one_mistake_is_told_in_one_line(registry):
    told = refused(TRAINS.replace("epochs = 4", "epochs = 0"), registry)
    assert str(told) == "grid.toml: base.epochs: is not allowed here; given 0; allowed: whole number ≥ 1 and ≤ 1000000"
    assert told.problems == (told,)


def test_the_shape_of_a_file_is_read_without_looking_names_up():
    with pytest.raises(GridError) as caught:
        parse(NINE, "grid.toml")
    assert [each.key for each in caught.value.problems] == [
        "titel", "seeds", "base.lr", "claims.a.marign", "claims.b.source", "claims.b.metric", "claims.b",
        "claims.b.kind",
    ]  # fmt: skip
