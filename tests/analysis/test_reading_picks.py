"""Facts about tuning inside the seed: what is picked, what ties do, and when a pick lies on the edge."""

from __future__ import annotations

from d2lbench.analysis.headlines import shown_metric

ACCURACY = shown_metric("validation_accuracy", at="last")
LOSS = shown_metric("validation_loss", at="last")
TUNED = '[[tune]]\nspace."optimizer.lr" = [0.01, 0.1, 1.0]\n'


def picked(grid, results, select=ACCURACY):
    (arm,) = grid.arms
    return [results.pick(arm, seed, select) for seed in grid.seeds]


def test_each_seed_picks_its_own_best_rung(grid_of, results_of):
    grid = grid_of(TUNED, seeds=3)
    results = results_of(grid, lambda _, rung, seed: {"validation_accuracy": 0.9 if rung == seed else 0.5})
    assert picked(grid, results) == [0, 1, 2]


def test_a_loss_picks_its_smallest(grid_of, results_of):
    grid = grid_of(TUNED, seeds=2)
    results = results_of(grid, lambda _, rung, __: {"validation_loss": [0.5, 0.2, 0.9][rung]})
    assert picked(grid, results, LOSS) == [1, 1]


def test_ties_go_to_the_first_rung(grid_of, results_of):
    grid = grid_of(TUNED, seeds=1)
    results = results_of(grid, lambda _, rung, __: {"validation_accuracy": [0.4, 0.7, 0.7][rung]})
    assert picked(grid, results) == [1]


def test_a_diverged_trial_ranks_last_whatever_it_reads(grid_of, results_of):
    grid = grid_of(TUNED, seeds=1)

    def finals(_, rung, __):
        return (
            {"validation_accuracy": 0.05, "status": "done"}
            if rung
            else {"validation_accuracy": 0.99, "status": "diverged"}
        )

    assert picked(grid, results_of(grid, finals)) == [1]


def test_nothing_is_picked_while_a_trial_is_missing(grid_of, results_of):
    grid = grid_of(TUNED, seeds=1)
    results = results_of(grid, lambda _, rung, __: {"validation_accuracy": 0.9} if rung else None)
    assert picked(grid, results) == [None]


def test_a_pick_at_an_end_is_on_the_edge_only_if_no_inner_rung_is_as_good(grid_of, results_of):
    grid = grid_of(TUNED, seeds=3)
    values = [[0.9, 0.8, 0.7], [0.5, 0.5, 0.5], [0.5, 0.9, 0.5]]
    results = results_of(grid, lambda _, rung, seed: {"validation_accuracy": values[seed][rung]})
    (arm,) = grid.arms
    assert picked(grid, results) == [0, 0, 1]
    assert [results.on_the_edge(arm, seed, ACCURACY) for seed in grid.seeds] == [True, False, False]


def test_the_picks_are_told_most_frequent_first(grid_of, results_of):
    grid = grid_of(TUNED, seeds=3)
    results = results_of(grid, lambda _, rung, seed: {"validation_accuracy": float(rung == (2 if seed else 1))})
    assert results.picks_in_words(grid.arms[0], ACCURACY) == "lr=1 (2 seeds), lr=0.1 (1)"


def test_rungs_in_no_order_have_no_edge(grid_of, results_of):
    words = '[[tune]]\nspace."model.activation" = ["relu", "tanh", "sigmoid"]\n'
    drawn = '[[tune]]\nspace."optimizer.lr" = { low = 0.01, high = 1.0, log = true }\nbudget = 3\n'
    for text in (words, drawn):
        grid = grid_of(text, seeds=2)
        results = results_of(grid, lambda _, rung, __: {"validation_accuracy": [0.9, 0.5, 0.4][rung]})
        (arm,) = grid.arms
        assert picked(grid, results) == [0, 0]
        assert not any(results.on_the_edge(arm, seed, ACCURACY) for seed in grid.seeds)


def test_an_arm_that_never_beats_chance_has_no_edge(grid_of, results_of):
    grid = grid_of(TUNED, seeds=2)
    values = [[0.11, 0.10, 0.10], [0.30, 0.10, 0.10]]
    results = results_of(grid, lambda _, rung, seed: {"validation_accuracy": values[seed][rung]})
    (arm,) = grid.arms
    assert [results.on_the_edge(arm, seed, ACCURACY) for seed in grid.seeds] == [False, True]


def test_a_rung_at_zero_is_a_natural_end(grid_of, results_of):
    tuned = '[[tune]]\nspace."optimizer.lr" = [0.0, 0.1, 1.0]\n'
    grid = grid_of(tuned, seeds=2)
    results = results_of(grid, lambda _, rung, seed: {"validation_accuracy": 0.9 if rung == 2 * seed else 0.5})
    (arm,) = grid.arms
    assert picked(grid, results) == [0, 2]
    assert [results.on_the_edge(arm, seed, ACCURACY) for seed in grid.seeds] == [False, True]
