"""Loading: scales, ``--set``, ``--seeds``, ``--only``; sizes before expansion; where grids are found; the schema."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from d2lbench import grid as grids
from d2lbench.core.errors import GridError, UsageError
from d2lbench.grid import count, find_grids, json_schema, load, scales

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'
PACKAGED = find_grids()


@pytest.mark.parametrize(("path", "scale"), [(path, scale) for path in PACKAGED for scale in scales(path)])
def test_every_packaged_grid_loads_and_has_cells(path, scale, registry):
    grid = load(path, registry, scale=scale)
    assert (grid.name, grid.file, grid.scale) == (path.stem, str(path), scale)
    cells = [cell.id for cell in grid.cells()]
    assert len(cells) == len(set(cells))
    assert len(grid.seeds) >= grid.seeds_required
    assert grid.exploratory_seeds == ()
    if not grid.own_values:
        assert len(cells) <= grid.size.total


@pytest.mark.parametrize(
    ("sets", "read", "value"),
    [
        (["epochs=3"], lambda config: config.epochs, 3),
        (["base.epochs=3"], lambda config: config.epochs, 3),
        (["epochs=3", "epochs = 5"], lambda config: config.epochs, 5),
        (["optimizer.lr=0.7"], lambda config: config.optimizer.get("lr"), 0.7),
        (['"optimizer.lr"=0.7'], lambda config: config.optimizer.get("lr"), 0.7),
        (["optimizer=adam"], lambda config: config.optimizer.name, "adam"),
        (['optimizer="adam"'], lambda config: config.optimizer.name, "adam"),
        (['optimizer={ name = "sgd", lr = 2 }'], lambda config: config.optimizer.get("lr"), 2.0),
        (["model.activation=tanh"], lambda config: config.model.get("activation"), "tanh"),
        (["model.depth=3"], lambda config: config.model.get("hidden"), (64, 64, 64)),
        (["dtype=float64"], lambda config: config.dtype, "float64"),
    ],
)
def test_set_changes_base_over_the_scale(loaded, sets, read, value):
    grid = loaded("[quick]\nepochs = 2\n", sets=sets)
    assert read(grid.arms[0].config) == value


def test_set_reaches_the_top_level(loaded):
    grid = loaded(VARY, sets=["title=Other", "keep_weights=true", "checks=false", 'metrics=["gap"]'])
    assert (grid.title, grid.keep_weights, grid.checks) == ("Other", True, ())
    assert [metric.name for metric in grid.metrics] == ["gap"]


def test_set_replaces_one_axis_or_all(loaded):
    one = loaded(VARY + "model.activation = ['tanh']\n", sets=['vary.optimizer=["rmsprop"]'])
    assert [arm.label for arm in one.arms] == ["baseline", "activation=tanh", "rmsprop"]
    assert len(loaded(VARY, sets=["vary={}"]).arms) == 1
    assert len(loaded(VARY, sets=["product.model.depth=[1, 2]"]).arms) == 6


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("epochs", UsageError, "expected key=value"),
        ("=3", UsageError, "expected key=value"),
        ("optimizer..lr=3", UsageError, "expected key=value"),
        ("epoch=3", GridError, '--set epoch: cannot be set; allowed: .*; did you mean "epochs"'),
        ("claims=[]", GridError, "--set claims: cannot be set"),
        ("seeds=0", GridError, "--set seeds: are not seeds; given 0"),
        ("optimizer.lr=fast", GridError, "--set optimizer.lr=fast: needs a number; allowed: number ≥ 0"),
        ("epochs=three", GridError, "--set epochs=three: needs a whole number; allowed: whole number ≥ 1"),
        ("epochs=0", GridError, "--set epochs: is not allowed here; given 0; allowed: whole number ≥ 1"),
        ("dtype=float46", GridError, '--set dtype: is not allowed here; given "float46".*did you mean "float64"'),
        ("optimizer.lr=nan", GridError, "--set optimizer.lr: is not a finite number"),
        ("epochs=2026-01-01", GridError, "--set epochs: is a date"),
        ("checks=maybe", GridError, '--set checks: is not allowed here; given "maybe"; allowed: true or false'),
        ("vary.optimiser=[1]", GridError, 'optimiser: is not a key of a grid.*did you mean "optimizer"'),
        ("optimizer=adam\nepochs=1", GridError, "unknown optimizer"),
    ],
)
def test_a_wrong_set_is_refused(loaded, text, error, message):
    with pytest.raises(error, match=message):
        loaded(VARY, sets=[text])


def test_seeds_of_the_command_line_go_over_set_and_file(loaded):
    rest = VARY + "[quick]\nseeds = 9\n"
    assert loaded(rest).seeds == tuple(range(9))
    assert loaded(rest, sets=["seeds=4"]).seeds == tuple(range(4))
    assert loaded(rest, sets=["seeds=4"], seeds=3).seeds == tuple(range(3))
    grid = loaded(rest, seeds=[2, 40])
    assert (grid.seeds, grid.exploratory_seeds) == ((2, 40), (40,))
    with pytest.raises(GridError, match="--seeds: are not seeds; given 0"):
        loaded(rest, seeds=0)


def test_only_leaves_the_arms_that_it_names(loaded):
    rest = "[product]\nmodel.depth = [1, 2]\n" + VARY
    one = loaded(rest, only=["depth=2 · adam"])
    assert [arm.label for arm in one.chosen()] == ["depth=2 · adam"]
    assert len(list(one.cells())) == 12
    both = loaded(rest, only=["adam", "baseline"])
    assert [arm.label for arm in both.chosen()] == [
        "depth=1 · baseline", "depth=1 · adam", "depth=2 · baseline", "depth=2 · adam",
    ]  # fmt: skip
    assert not loaded(rest, only=["nothing"]).selected


def test_the_size_is_a_product_in_words(loaded):
    rest = '[product]\ninit = ["default", "xavier-normal", "xavier-uniform", "constant"]\nepochs = [1, 2]\n'
    rest += '[[tune]]\nspace."optimizer.lr" = [0.1, 0.2, 0.3]\n'
    grid = loaded(rest, top="seeds = 3\nchecks = false")
    assert grid.size_text == "72 cells = 3 [optimizer.lr] × 4 [init] × 2 [epochs] × 3 [seed]"
    assert len(list(grid.cells())) == 72


def test_the_size_counts_the_baseline_beside_what_varies(loaded):
    grid = loaded(VARY + "model.activation = ['tanh']\n")
    assert grid.size_text == "48 cells = (1 + 2 [optimizer] + 1 [model.activation]) × 12 [seed], and 24 of checks"
    assert len(list(grid.cells())) == grid.size.total == 72


def test_the_size_says_what_exclusions_leave(loaded, registry, grid_text):
    rest = VARY + '[[exclude]]\noptimizer = "adam"\n'
    assert loaded(rest).size_text == "24 of 36 cells = (1 + 2 [optimizer]) × 12 [seed], and 24 of checks"
    bound = count(grid_text(rest), registry)
    assert bound.text() == "at most 36 cells = (1 + 2 [optimizer]) × 12 [seed], and 24 of checks"


def test_the_size_is_counted_as_it_comes_out(loaded, registry, grid_text):
    rest = (
        VARY + 'regularizer = [{ name = "dropout", p = [[0.1], [0.2, 0.3]] }, { name = "l2", strength = [1, 2, 3] }]\n'
    )
    rest += "[zip]\nmodel.depth = [2, 2]\nmodel.width = [8, 9]\n"
    size = count(grid_text(rest), registry)
    grid = loaded(rest)
    assert (size.product, size.total) == (len(grid.arms) * 12, len(list(grid.cells())))


def test_a_million_cells_are_counted_without_expanding_them(registry, grid_text):
    lines = ["[product]", f"optimizer.lr = {[k / 1000 for k in range(1, 101)]}", f"epochs = {list(range(1, 101))}"]
    text = grid_text("\n".join(lines), top="seeds = 100\nchecks = false")
    tracemalloc.start()
    begun = time.perf_counter()
    size = count(text, registry)
    seconds, (_, peak) = time.perf_counter() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size.text() == "1,000,000 cells = 100 [optimizer.lr] × 100 [epochs] × 100 [seed]"
    assert seconds < 1
    assert peak < 20e6


def test_an_astronomical_grid_is_counted_all_the_same(registry, grid_text):
    options = ", ".join(f"{name} = {[k / 1000 for k in range(100)]}" for name in ("lr", "momentum", "dampening"))
    text = grid_text(f'[vary]\noptimizer = [{{ name = "sgd", {options} }}]\n', top="seeds = 1000000")
    assert count(text, registry).product == (1 + 100**3) * 10**6


def test_loading_a_grid_imports_neither_torch_nor_numpy(tmp_path, grid_text):
    path = tmp_path / "grid.toml"
    path.write_text(grid_text(VARY), encoding="utf-8")
    program = (
        "import sys; import d2lbench.commands.app; from d2lbench import catalogue; import pathlib\n"
        "early = 'pydantic' in sys.modules\n"
        "from d2lbench import grid\n"
        f"found = grid.load(pathlib.Path({str(path)!r}), catalogue.load()); list(found.cells())\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print(early, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False []"


def test_the_grid_language_never_imports_the_catalogue():
    sources = Path(grids.__file__).parent.rglob("*.py")
    assert not [
        source.name for source in sources if "catalogue" in source.read_text(encoding="utf-8").split('"""', 2)[2]
    ]


def test_a_digest_follows_what_is_written(loaded):
    assert loaded(VARY).digest == loaded(VARY).digest
    others = [loaded().digest, loaded(VARY, scale="full").digest, loaded(VARY, sets=["epochs=3"]).digest]
    assert len({loaded(VARY).digest, *others}) == 4


def test_grids_are_found_by_name_here_then_in_the_package_and_by_path(tmp_path, monkeypatch):
    folder = tmp_path / "ablations"
    folder.mkdir()
    (folder / "mine.toml").write_text("", encoding="utf-8")
    (folder / f"{PACKAGED[0].stem}.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert find_grids(["mine", "mine"]) == [Path("ablations/mine.toml")]
    assert find_grids([PACKAGED[0].stem]) == [Path("ablations") / PACKAGED[0].name]
    assert find_grids([PACKAGED[1].stem]) == [PACKAGED[1]]
    assert find_grids([folder / "mine.toml"]) == [folder / "mine.toml"]
    assert find_grids() == PACKAGED
    with pytest.raises(UsageError, match=r'there is no grid "mien" in .*mine.*did you mean "mine"'):
        find_grids(["mien"])
    with pytest.raises(UsageError, match=r"there is no grid file .*other\.toml"):
        find_grids([folder / "other.toml"])


@pytest.fixture(scope="module")
def schema(registry):
    return json_schema(registry)


def test_the_schema_names_everything_that_is_registered(schema, registry):
    text = json.dumps(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for kind in ("dataset", "model", "init", "loss", "regularizer", "optimizer", "schedule", "metric", "statistic"):
        for entry in registry.entries(kind):
            assert f'"{entry.name}"' in text
            assert all(f'"{option}"' in text for option in entry.options)


def test_every_reference_of_the_schema_leads_somewhere(schema):
    names = set()

    def walk(part):
        if isinstance(part, dict):
            names.update([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
            part = list(part.values())
        if isinstance(part, list):
            for item in part:
                walk(item)

    walk(schema)
    assert names == {f"#/$defs/{name}" for name in schema["$defs"] if f"#/$defs/{name}" in names}
    assert {"#/$defs/side", "#/$defs/optimizer-values", "#/$defs/ClaimText"} <= names


def test_the_schema_knows_the_same_keys_as_the_reader(schema):
    from d2lbench.grid.file.shape import BASE_KEYS, QUICK_KEYS, GridKeys

    assert set(schema["properties"]) == set(GridKeys.known())
    trained = set(BASE_KEYS) - {"experiment"}
    assert trained <= set(schema["$defs"]["changes"]["properties"]) <= set(BASE_KEYS)
    assert trained | set(QUICK_KEYS) <= set(schema["$defs"]["quick"]["properties"])
