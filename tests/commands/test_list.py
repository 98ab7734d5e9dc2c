"""Facts about `list`: what there is to name, for people, machines and the page."""

from __future__ import annotations

import json

import pytest

PLUGIN = '''
"""An experiment and a dataset from outside the package."""
from d2lbench import register

@register("experiment", "listed-outside", metrics={"answer": {}})
def outside(seed, /, *, question: str | None = None, times: int):
    """Ask ``times`` times.

    Asks :func:`nobody`, and again:

    - first once
      or so
    - then twice

    Raises
    ------
    ValueError
        Never.
    """

@register("dataset", "listed-drawn", shape=lambda options: (options["features"],), sizes={"train": 1200}, classes=0,
          task="regression", embedded=False)
def drawn(seed, /, *, features: int = 7):
    """Numbers."""
'''


def test_every_kind_is_named_with_all_its_names(call):
    code, out, _ = call("list")
    assert code == 0
    for told in ("depth-activation", "initializers", "kaiming-normal", "losses", "cross-entropy", "sgd, asgd, adagrad"):
        assert told in out


def test_an_entry_is_told_with_its_options_what_they_take_and_their_defaults(call):
    _, out, _ = call("list", "optimizers")
    assert "rprop: Resilient propagation" in out
    assert "    etas: list of a number > 0 and < 1, then a number > 1 (default [0.5, 1.2])\n" in out
    assert '    line_search: "none" or "strong-wolfe" (default "none")\n' in out
    assert "    train_size: whole number ≥ 1" in call("list", "datasets")[1]


@pytest.mark.parametrize("spelling", ["init", "initializers"])
def test_a_kind_answers_to_its_key_and_to_its_plural(call, spelling):
    names = [entry["name"] for entry in json.loads(call("list", spelling, "--json")[1])]
    assert names[:2] == ["default", "normal"]


def test_the_page_has_a_part_for_every_kind_in_the_order_of_a_readers_questions(call):
    code, out, _ = call("list", "--format", "markdown")
    assert code == 0
    parts = [line.removeprefix("## ") for line in out.splitlines() if line.startswith("## ")]
    assert parts[:8] == [
        "Datasets", "Models", "Activations", "Initializers", "Losses", "Regularizers", "Optimizers", "Schedules",
    ]  # fmt: skip
    assert len(set(parts)) == len(parts)
    for part in parts:
        assert f"- [{part}](#{part.lower()}): `" in out


def test_the_part_of_one_kind_is_that_of_the_page(call):
    page = call("list", "--format", "markdown")[1]
    part = call("list", "activations", "--format", "markdown")[1]
    assert part.startswith("## Activations\n\n")
    assert "\n### scaled-sigmoid\n\n4σ(x) − 2" in part
    assert part.rstrip("\n") in page
    assert "## Datasets" not in part


def test_a_dataset_tells_its_shape_and_sizes_and_a_metric_its_margins(call):
    digits = call("list", "dataset", "--format", "markdown")[1].split("### digits\n")[1].split("###")[0]
    assert "Shape 1 × 8 × 8; 10 classes; 900 train, 400 validate, 497 test\n" in digits
    accuracy = call("list", "metric", "--format", "markdown")[1].split("### test_accuracy\n")[1].split("###")[0]
    assert "Unit: share; compared by difference; margin 0.01 (quick), 0.005 (full); higher is better\n" in accuracy


def test_what_a_plugin_registers_is_on_the_page_its_docstring_as_markdown(house):
    house.write("listed_outside.py", PLUGIN)
    # in a process of its own: other tests go through everything that is registered
    out = house.run("list", "--format", "markdown", "--plugin", "listed_outside.py").stdout
    own = out.split("### listed-outside\n")[1].split("\n#")[0]
    assert own.strip().splitlines() == [
        "Ask `times` times.",
        "",
        "Asks `nobody`, and again:",
        "",
        "- first once or so",
        "- then twice",
        "",
        "Measures `answer`",
        "",
        "- `question`: text; optional",
        "- `times`: whole number; required",
    ]
    assert "Numbers.\n\nShape 7; regression; 1,200 train; read from `$D2LBENCH_DATA`\n\n- `features`" in out


def test_a_regression_is_shown_by_its_loss(call, house):
    base = 'dataset = "high-dim-linear"\nmodel = "linear"\nloss = "half-mse"\noptimizer = "sgd"\n'
    text = f'format = 1\ntitle = "t"\nquestion = "q"\nseeds = 2\n[base]\n{base}epochs = 2\nbatch_size = 5\n'
    house.write("numbers.toml", text)
    _, out, _ = call("show", "numbers.toml")
    assert "test loss   none" in out
    assert "accuracy" not in out
    (arm,) = json.loads(call("show", "numbers.toml", "--json")[1])["arms"]
    assert arm["test_loss"] is None
