"""Facts about checkpoints: going on from one ends with an uninterrupted run's bits; bad files are ignored."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from d2lbench.engine import checkpoint as checkpoints
from d2lbench.engine.checkpoint import Checkpoint, CutOffError, identity, pack, unpack
from d2lbench.engine.plan import WEIGHTS, Stack, plan
from d2lbench.engine.train import Training

EPOCHS = 4
#: Optional series with a state of their own from epoch to epoch.
SERIES = frozenset({"step_oscillation", WEIGHTS})
SMALL = {"dataset": ("digits", {"train_size": 90}), "model": ("mlp", {"hidden": (10,)}), "dtype": "float32"}
ALL = {**SMALL, "batch_size": 90}
BAGS = {
    "dataset": ("topics", {"train_size": 90}),
    "model": ("embedding-bag", {}),
    "dtype": "float32",
}

#: What a stack is made of → the differences of its cells from a small digits cell of four epochs.
STACKS = {
    "momentum": [{"optimizer": ("sgd", {"lr": lr, "momentum": 0.9})} for lr in (0.1, 0.3)],
    "several-families": [
        {"optimizer": ("adam", {"lr": 0.01})},
        {"optimizer": ("rmsprop", {"lr": 0.01, "centered": True, "momentum": 0.5})},
        {"optimizer": ("adadelta", {})},
    ],
    "asgd-at-its-average": [{"optimizer": ("asgd", {"lr": 0.1, "t0": 5.0})}, {"optimizer": ("sgd", {"lr": 0.1})}],
    "rprop": [{**ALL, "optimizer": ("rprop", {"lr": 0.01})}],
    "lbfgs": [{**ALL, "optimizer": ("lbfgs", {"lr": 0.5, "max_iter": 3})}],
    "lbfgs-with-a-search": [{**ALL, "optimizer": ("lbfgs", {"max_iter": 3, "line_search": "strong-wolfe"})}],
    "sparse-adam": [{**BAGS, "optimizer": ("sparse-adam", {"lr": 0.01})}],
    "plateau": [
        {"schedule": ("plateau", {"patience": 0, "factor": 0.5, "threshold": 0.5, "metric": metric})}
        for metric in ("batch_loss", "validation_loss")
    ],
    "schedule-by-step": [{"schedule": ("one-cycle", {"unit": "step"})}],
    "batch-norm": [{"model": ("mlp", {"hidden": (10,), "batch_norm": True})}] * 2,
    "dropout-and-l2": [{"regularizer": ("dropout", {"p": (p,)})} for p in (0.2, 0.5)],
    "clipping": [{"clip_norm": 0.5}],
    "early-stopping": [
        {"optimizer": ("adam", {"lr": 0.3}), "stopping": ("patience", {"patience": 1, "min_delta": 9.0})},
        {"optimizer": ("adam", {"lr": 0.01}), "stopping": ("patience", {"patience": 2, "min_delta": 9.0})},
        {"optimizer": ("adam", {"lr": 0.01}), "stopping": ("patience", {"patience": 3})},
        {"optimizer": ("adam", {"lr": 0.01})},
    ],
    "early-stopping-with-batch-norm": [
        {
            "model": ("mlp", {"hidden": (10,), "batch_norm": True}),
            "optimizer": ("adam", {"lr": 0.3}),
            "stopping": ("patience", {"patience": 1, "min_delta": 9.0}),
        }
    ],
    "rebuilt-optimizers": [{"optimizer": ("adam", {"lr": 0.01}), "rebuild_at": epoch} for epoch in (1, 2)],
    "rebuilt-lbfgs": [{**ALL, "optimizer": ("lbfgs", {"lr": 0.5, "max_iter": 3}), "rebuild_at": 2}],
    "a-diverging-neighbour": [{"optimizer": ("sgd", {"lr": lr})} for lr in (0.1, 1e30, 0.2)],
    "mixed-epochs": [{"epochs": epochs, "eval_every": 2} for epochs in (4, 1, 3)],
    "regression": [{"dataset": ("high-dim-linear", {}), "model": ("linear", {}), "loss": ("half-mse", {})}],
}


@pytest.fixture(autouse=True)
def _written_after_every_epoch(monkeypatch):
    """Let checkpoints follow each other without a pause, where their interval is 0."""
    monkeypatch.setattr(checkpoints, "_BREATH", 0)


class Cut(Exception):  # noqa: N818  (not an error: the end of a process, played)
    """The process ends here."""


def stack_of(name, make_cell):
    cells = [make_cell(seed, **{**SMALL, "epochs": EPOCHS, **changes}) for seed, changes in enumerate(STACKS[name])]
    (stack,) = plan(cells, series=SERIES)
    return stack


def cut_after(stack, epoch, path):
    """Train a stack until its checkpoint of an epoch is written, then lose the process."""
    training = Training(stack, "cpu")
    train_epoch = training.train_epoch

    def interrupted(number):
        if number == epoch + 1:
            raise Cut
        train_epoch(number)

    training.train_epoch = interrupted
    with pytest.raises(Cut):
        training.run(Checkpoint(path, identity(stack), seconds=0))


def bits(outcome):
    """Return everything of an outcome in a form in which NaN equals NaN and every bit counts."""
    series = {name: (x.tobytes(), y.tobytes()) for name, (x, y) in outcome.series.items()}
    numbers = np.array([outcome.constant_loss, outcome.chance, outcome.last_finite_loss]).tobytes()
    told = (outcome.cell, outcome.status, outcome.reason, outcome.diverged_step)
    return told, series, outcome.correctness, outcome.weights, numbers


@pytest.mark.parametrize("name", STACKS)
def test_cut_at_any_epoch_and_continued_it_ends_with_the_bits_of_an_uninterrupted_run(name, make_cell, tmp_path):
    stack = stack_of(name, make_cell)
    whole = Training(stack, "cpu")
    expected = whole.run()
    for epoch in range(1, EPOCHS):
        path = tmp_path / f"{epoch}.safetensors"
        cut_after(stack, epoch, path)
        continued = Training(stack, "cpu")
        trained = []
        train_epoch = continued.train_epoch
        continued.train_epoch = lambda number: (trained.append(number), train_epoch(number))  # noqa: B023
        found = continued.run(Checkpoint(path, identity(stack), seconds=math.inf))
        assert trained == list(range(epoch + 1, EPOCHS + 1))
        assert [*map(bits, found)] == [*map(bits, expected)]
        assert continued.parameters.block.numpy().tobytes() == whole.parameters.block.numpy().tobytes()


def test_the_stacks_above_do_what_they_are_there_for(make_cell):
    outcomes = {name: Training(stack_of(name, make_cell), "cpu").run() for name in STACKS}
    assert {outcome.status for outcome in outcomes["a-diverging-neighbour"]} == {"done", "diverged"}
    stops = [outcome.series["stopped"][1][0] for outcome in outcomes["early-stopping"]]
    assert any(0 < stop < EPOCHS for stop in stops)
    assert any(stop == 0 for stop in stops)
    assert 0 < outcomes["early-stopping-with-batch-norm"][0].series["stopped"][1][0] < EPOCHS
    for outcome in outcomes["plateau"]:
        assert len(set(outcome.series["learning_rate"][1])) > 1, "the plateau has lowered its rate"


def test_a_run_may_be_cut_off_again_and_again(make_cell, tmp_path):
    stack, path = stack_of("several-families", make_cell), tmp_path / "kept.safetensors"
    expected = Training(stack, "cpu").run()
    for epoch in range(1, EPOCHS):
        cut_after(stack, epoch, path)
    found = Training(stack, "cpu").run(Checkpoint(path, identity(stack), seconds=0))
    assert [*map(bits, found)] == [*map(bits, expected)]


@pytest.fixture
def cut(make_cell, tmp_path):
    """A stack that was cut off after its second epoch, and its checkpoint."""
    stack = stack_of("several-families", make_cell)
    path = tmp_path / "kept.safetensors"
    cut_after(stack, 2, path)
    return stack, path


def assert_begun_anew(stack, path, *words):
    expected = Training(stack, "cpu").run()
    kept = Checkpoint(path, identity(stack), seconds=math.inf)
    assert [*map(bits, Training(stack, "cpu").run(kept))] == [*map(bits, expected)]
    assert not kept.continued
    (note,) = kept.notes
    assert note.startswith(f"checkpoint {path.name} ignored: ")
    assert note.endswith("its stack begins anew")
    assert all(word in note for word in words), note


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:5],
        lambda _: b"",
        lambda _: b"not a checkpoint at all",
        lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    ],
    ids=["half", "stump", "empty", "foreign", "one bit"],
)
def test_a_damaged_checkpoint_is_ignored_with_a_note_and_the_stack_begins_anew(damage, cut):
    stack, path = cut
    path.write_bytes(damage(path.read_bytes()))
    assert_begun_anew(stack, path, "it is damaged")


def test_no_flipped_bit_goes_unnoticed(cut):
    stack, path = cut
    content, draw = path.read_bytes(), random.Random(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(0, header, 7), *(draw.randrange(len(content)) for _ in range(200))]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        with pytest.raises(ValueError, match="damaged"):
            unpack(bytes(flipped), identity(stack))


def test_a_checkpoint_of_other_weights_files_is_ignored(cut):
    from safetensors.torch import save

    stack, path = cut
    path.write_bytes(save({"weight": torch.zeros(3)}))
    assert_begun_anew(stack, path, "no checkpoint")


@pytest.mark.parametrize("what", ["stack", "series", "engine", "torch", "processor", "format", "device"])
def test_a_checkpoint_of_another_plan_is_ignored(what, cut, monkeypatch):
    stack, path = cut
    own = identity(stack)
    other, device = stack, "cpu"
    if what == "stack":
        other = Stack(stack.cells[:2], stack.series)
    elif what == "series":
        other = Stack(stack.cells, frozenset())
    elif what == "device":
        device = "other"
    elif what == "torch":
        monkeypatch.setattr(torch, "__version__", "0.0.0")
    elif what == "processor":
        monkeypatch.setattr(checkpoints, "cpu_model", lambda: "another")
    else:
        monkeypatch.setattr(checkpoints, {"engine": "ENGINE_VERSION", "format": "FORMAT"}[what], 99)
    assert identity(other, device) != own
    kept = Checkpoint(path, identity(other, device), seconds=math.inf)
    assert kept.read() is None
    assert "it was made for another stack, engine, torch or machine" in kept.notes[0]
    if what in ("stack", "series"):
        assert_begun_anew(other, path)


def test_what_takes_less_than_the_interval_writes_nothing(make_cell, tmp_path):
    stack = stack_of("momentum", make_cell)
    kept = Checkpoint(tmp_path / "folder" / "kept.safetensors", identity(stack), seconds=3600)
    Training(stack, "cpu").run(kept)
    assert not list(tmp_path.iterdir())
    assert not kept.notes


def test_nothing_is_written_at_the_last_epoch(make_cell, tmp_path):
    stack = plan([make_cell(0, **{**SMALL, "epochs": 1})])[0]
    Training(stack, "cpu").run(Checkpoint(tmp_path / "kept.safetensors", identity(stack), seconds=0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("seconds", "kept_epochs"), [(0, [1]), (3600, [])])
def test_an_interrupted_training_ends_at_its_epoch_and_keeps_what_took_long(seconds, kept_epochs, make_cell, tmp_path):
    stack, path, stop = stack_of("momentum", make_cell), tmp_path / "kept.safetensors", tmp_path / "stop"
    stop.touch()
    with pytest.raises(CutOffError):
        Training(stack, "cpu").run(Checkpoint(path, identity(stack), seconds, stop))
    found = [unpack(path.read_bytes(), identity(stack))["epoch"]] if path.exists() else []
    assert found == kept_epochs


def test_an_interrupted_training_that_was_continued_keeps_its_progress_however_short(cut, tmp_path):
    stack, path = cut
    (tmp_path / "stop").touch()
    with pytest.raises(CutOffError):
        Training(stack, "cpu").run(Checkpoint(path, identity(stack), 3600, tmp_path / "stop"))
    assert unpack(path.read_bytes(), identity(stack))["epoch"] == 3


def test_a_folder_that_cannot_be_written_costs_a_note_and_no_result(make_cell, tmp_path):
    (tmp_path / "file").write_text("in the way")
    stack = stack_of("momentum", make_cell)
    kept = Checkpoint(tmp_path / "file" / "kept.safetensors", identity(stack), seconds=0)
    found = Training(stack, "cpu").run(kept)
    assert [*map(bits, found)] == [*map(bits, Training(stack, "cpu").run())]
    assert any("could not be written" in note for note in kept.notes)


def test_a_state_comes_back_as_it_was():
    state = {
        "tensors": {0: torch.tensor([[1.5, math.nan]]), "scalar": torch.tensor(3, dtype=torch.int64)},
        "transposed": torch.arange(6.0).view(2, 3).t(),
        "empty": torch.zeros(0, 3, dtype=torch.float64),
        "array": np.array([True, False]),
        "words": ["ä", "", None, True, 2, 0.1 + 0.2, math.inf, (1, (2.0, b"\x00\xff"))],
        "bytes": b"",
    }
    found = unpack(pack(state, "x"), "x")
    assert found.keys() == state.keys()
    torch.testing.assert_close(found["tensors"], state["tensors"], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found["transposed"], state["transposed"])
    assert found["empty"].shape == (0, 3)
    assert found["empty"].dtype == torch.float64
    assert found["array"].tolist() == [True, False]
    assert found["words"] == state["words"]
    assert found["bytes"] == b""


def test_what_no_file_can_hold_is_refused_by_its_name():
    with pytest.raises(TypeError, match="a object cannot be kept"):
        pack({"it": object()}, "x")
