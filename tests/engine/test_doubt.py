"""Facts about doubt: what agreement under dropout tells of right and wrong answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from d2lbench.core.generators import generator
from d2lbench.engine.plan import Stack
from d2lbench.engine.probes import PASSES, auroc
from d2lbench.engine.train import Training, train

ASKED = frozenset({"doubt_auroc"})


@pytest.fixture
def doubting(make_cell):
    def doubting(seed=0, p=(0.5,), **given):
        return make_cell(seed, regularizer=("dropout", {"p": p}), **given)

    return doubting


def doubts(*cells):
    return [outcome.series["doubt_auroc"][1][-1] for outcome in train(Stack(cells, ASKED))]


def by_the_book(cell):
    """Answer every test example twenty times with a trained network as a person would, one seed and a loop."""
    training = Training(Stack((cell,)), "cpu")
    training.run()
    x, y = training.feed.gather(training.feed.rows["test"])
    leaves = training.parameters.leaves
    first, second, last = [
        (leaves[f"{path}.weight"][0], leaves[f"{path}.bias"][0]) for path in ("hidden1", "hidden2", "output")
    ]
    keys = [generator(cell.seed, 0, "doubt", layer, 0) for layer in (0, 1)]
    answers = []
    for _ in range(PASSES):  # 497 examples are one chunk
        h = torch.relu(x[0].flatten(1) @ first[0] + first[1])
        h = h * (torch.rand(h.shape, generator=keys[0]) >= 0.5) * 2
        h = torch.relu(h @ second[0] + second[1])
        h = h * (torch.rand(h.shape, generator=keys[1]) >= 0.5) * 2
        answers.append((h @ last[0] + last[1]).argmax(1).numpy())
    counts = np.stack([np.bincount(column, minlength=10) for column in np.array(answers).T])  # (n, classes)
    right = counts.argmax(1) == y[0].numpy()
    agreement = counts.max(1)
    u = mannwhitneyu(agreement[right], agreement[~right]).statistic
    return u / (right.sum() * (~right).sum())


def test_the_area_is_mann_whitneys_u_as_a_share():
    numbers = torch.Generator().manual_seed(0)
    level, right = (
        torch.randint(0, 21, (3, 200), generator=numbers),
        torch.rand(3, 200, generator=numbers) < 0.7,
    )
    for row in range(3):
        ups, downs = level[row][right[row]].numpy(), level[row][~right[row]].numpy()
        expected = mannwhitneyu(ups, downs).statistic / (len(ups) * len(downs))
        assert auroc(level, right, 20)[row].item() == pytest.approx(expected, rel=1e-12)


def test_the_area_is_1_where_levels_part_right_from_wrong_and_one_half_where_they_are_all_the_same():
    right = torch.tensor([[True, True, False, False]])
    assert auroc(torch.tensor([[20, 19, 7, 18]]), right, 20).item() == 1
    assert auroc(torch.tensor([[7, 8, 19, 20]]), right, 20).item() == 0
    assert auroc(torch.tensor([[20, 20, 20, 20]]), right, 20).item() == 0.5


def test_the_area_is_not_a_number_where_nothing_is_wrong():
    assert math.isnan(auroc(torch.tensor([[3, 20]]), torch.tensor([[True, True]]), 20).item())


def test_doubt_is_that_of_twenty_passes_with_dropout(doubting):
    cell = doubting(1, epochs=6)
    (found,) = doubts(cell)
    assert found == pytest.approx(by_the_book(cell), rel=1e-9)


def test_a_sure_network_tells_right_from_wrong_better_than_chance(doubting):
    trained = {"model": ("mlp", {"hidden": (64, 64)}), "optimizer": ("sgd", {"lr": 0.3}), "epochs": 100}
    assert all(found > 0.6 for found in doubts(*(doubting(seed, eval_every=100, **trained) for seed in (0, 1, 2))))


def test_without_drops_all_passes_agree_and_tell_nothing(doubting):
    assert doubts(doubting(p=(0.0,))) == [0.5]


def test_neighbours_do_not_move_a_networks_doubt(doubting):
    first, second = doubting(0, epochs=3), doubting(1, p=(0.2,), epochs=3)
    assert doubts(first, second) == pytest.approx([*doubts(first), *doubts(second)], rel=1e-9)


def test_doubt_is_recorded_at_the_last_epoch_and_only_where_it_is_asked_for(doubting):
    x, _ = train(Stack((doubting(epochs=3),), ASKED))[0].series["doubt_auroc"]
    assert x.tolist() == [3]
    assert "doubt_auroc" not in train(Stack((doubting(),)))[0].series


def test_looking_for_doubt_leaves_the_training_alone(doubting):
    plain, probed = (train(Stack((doubting(epochs=3),), series))[0] for series in (frozenset(), ASKED))
    assert np.array_equal(plain.series["batch_loss"][1], probed.series["batch_loss"][1])
    assert plain.correctness == probed.correctness


def test_a_network_without_dropout_has_no_doubt_to_show(make_cell):
    assert "doubt_auroc" not in train(Stack((make_cell(),), ASKED))[0].series
