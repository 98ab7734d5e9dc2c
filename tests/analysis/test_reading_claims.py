"""Facts about claims on known numbers: what each statistic makes of them, and which word comes out."""

from __future__ import annotations

import math

import pytest

from d2lbench.analysis.claims import judge

VARY = '[vary]\nmodel.activation = ["tanh", "sigmoid"]\n'
CLAIM = '[[claims]]\nid = "c"\nkind = "{kind}"\norigin = "ours"\nsays = "s"\nsource = "x"\n{rest}\n'
TUNED = '[[tune]]\nspace."optimizer.lr" = [0.01, 0.1, 1.0, 10.0]\n'


def claim(rest: str, kind: str = "comparison") -> str:
    return CLAIM.format(kind=kind, rest=rest)


def differences(view, part=0):
    return [row.difference for row in view.parts[part].seeds]


def is_tanh(label: str) -> bool:
    return "tanh" in label


def test_higher_is_first_minus_second_and_lower_the_other_way_round(grid_of, results_of):
    def finals(label, _, seed):
        return {"test_accuracy": 0.5 + 0.01 * seed + (0.2 if is_tanh(label) else 0)}

    for direction, sign in (("higher", 1), ("lower", -1)):
        text = claim(f'metric = "test_accuracy"\n{direction} = {{ model.activation = "tanh" }}\nthan = "baseline"')
        grid = grid_of(VARY + text)
        (view,) = judge(results_of(grid, finals))
        assert differences(view) == pytest.approx([sign * 0.2] * 8)
        assert view.judgement.word == ("supported" if sign > 0 else "refuted")


def test_losses_compare_by_the_difference_of_logarithms(grid_of, results_of):
    text = claim('metric = "test_loss"\nlower = { model.activation = "tanh" }\nthan = "baseline"')
    grid = grid_of(VARY + text)
    (view,) = judge(results_of(grid, lambda label, *_: {"test_loss": 0.5 if is_tanh(label) else 1.5}))
    assert differences(view) == pytest.approx([math.log(3)] * 8)
    assert view.as_ratio


def test_missing_runs_leave_a_claim_not_run_with_its_count(grid_of, results_of):
    text = claim('metric = "test_accuracy"\nhigher = { model.activation = "tanh" }\nthan = "baseline"')
    grid = grid_of(VARY + text)
    results = results_of(grid, lambda _, __, seed: {"test_accuracy": 0.5} if seed < 3 else None)
    (view,) = judge(results)
    assert (view.judgement.word, view.judgement.reason) == ("not run", "3 seeds of 8")


def test_a_diverged_side_counts_at_chance_and_brings_in_the_rates(grid_of, results_of):
    def finals(label, _, seed):
        lost = is_tanh(label) and seed == 0
        return {"test_accuracy": math.nan if lost else 0.9, "status": "diverged" if lost else "done"}

    text = claim('metric = "test_accuracy"\nlower = { model.activation = "tanh" }\nthan = "baseline"')
    (view,) = judge(results_of(grid_of(VARY + text), finals))
    assert differences(view)[0] == pytest.approx(0.8)
    assert view.parts[0].seeds[0].first_diverged
    (part,) = view.judgement.parts
    assert part.test == "sign test"
    assert part.rate_difference.estimate == pytest.approx(1 / 8)


def test_an_interaction_is_a_change_of_logarithms(grid_of, results_of):
    context = "[product]\nmodel.depth = [1, 2]\n"
    losses = {(1, False): 1.0, (2, False): 2.0, (1, True): 1.0, (2, True): 8.0}

    def finals(label, *_):
        return {"train_loss": losses[(2 if "depth=2" in label else 1, is_tanh(label))]}

    text = claim(
        'metric = "train_loss"\nstatistic = "change"\nover = "model.depth"\n'
        'higher = { model.activation = "tanh" }\nthan = "baseline"'
    )
    (view,) = judge(results_of(grid_of(context + VARY + text), finals))
    assert differences(view) == pytest.approx([math.log(8) - math.log(2)] * 8)


def test_a_window_that_runs_into_the_end_supports_as_a_lower_bound(grid_of, results_of):
    wide, narrow = [0.90, 0.90, 0.90, 0.90], [0.1, 0.9, 0.1, 0.1]

    def finals(label, rung, _):
        return {"validation_accuracy": (wide if is_tanh(label) else narrow)[rung]}

    rest = (
        'metric = "validation_accuracy"\nstage = "trials"\nstatistic = { name = "window", within = 0.02 }\n'
        'over = "optimizer.lr"\nmargin = 1\nreason = "a rung"\n'
    )
    for direction, word in (("higher", "supported"), ("lower", "unclear")):
        text = claim(rest + f'{direction} = {{ model.activation = "tanh" }}\nthan = "baseline"')
        (view,) = judge(results_of(grid_of(VARY + TUNED + text), finals))
        assert abs(differences(view)[0]) == 3
        assert view.judgement.word == word
        assert (view.judgement.cause == "edge") == (word == "unclear")


def test_regret_is_what_the_judged_rung_gives_away_against_the_picked_one(grid_of, results_of):
    validation, test = [0.2, 0.9, 0.5, 0.1], [0.25, 0.80, 0.60, 0.10]

    def finals(_, rung, __):
        return {"validation_accuracy": validation[rung], "test_accuracy": test[rung]}

    rest = 'metric = "test_accuracy"\nover = "optimizer.lr"\n'
    text = claim(
        rest + 'statistic = { name = "regret", at = 1.0 }\nhigher = { model.activation = "tanh" }\nthan = 0.01'
    )
    (view,) = judge(results_of(grid_of(VARY + TUNED + text), finals))
    assert [row.first for row in view.parts[0].seeds] == pytest.approx([0.2] * 8)
    assert view.judgement.word == "supported"


def test_a_side_is_read_where_validation_picks_it(grid_of, results_of):
    def finals(label, rung, seed):
        best = 1 + seed % 2 if is_tanh(label) else 1
        return {"validation_accuracy": 0.9 if rung == best else 0.3, "test_accuracy": [0, 0.5, 0.7, 0][rung]}

    text = claim('metric = "test_accuracy"\nhigher = { model.activation = "tanh" }\nthan = "baseline"')
    (view,) = judge(results_of(grid_of(VARY + TUNED + text), finals))
    assert differences(view) == pytest.approx([0.0, 0.2] * 4)
    assert [row.first_pick for row in view.parts[0].seeds] == ["lr=0.1", "lr=1"] * 4


def test_the_area_under_the_early_curve_reads_epochs(grid_of, results_of):
    def finals(label, *_):
        return {"batch_loss": [4.0, 2.0, 1.0, 1.0, 1.0] if is_tanh(label) else [8.0, 4.0, 1.0, 1.0, 1.0]}

    text = claim(
        'metric = { name = "batch_loss", at = "each" }\nstatistic = { name = "area", until = 0.25 }\nover = "epoch"\n'
        'lower = { model.activation = "tanh" }\nthan = "baseline"'
    )
    (view,) = judge(results_of(grid_of(VARY + text), finals))
    assert differences(view) == pytest.approx([math.log(6 / 3)] * 8)


def test_a_composite_holds_only_if_each_of_its_contexts_does(grid_of, results_of):
    context = "[product]\nmodel.depth = [1, 2]\n"

    def finals(label, *_):
        good = is_tanh(label) and "depth=1" in label
        return {"test_accuracy": 0.9 if good else 0.5}

    text = claim('metric = "test_accuracy"\nhigher = { model.activation = "tanh" }\nthan = "baseline"')
    (view,) = judge(results_of(grid_of(context + VARY + text), finals))
    assert len(view.parts) == 2
    assert view.judgement.word == "refuted"  # a second context without any effect is within ±margin


def test_ranks_correlate_with_the_tuned_ranking_of_the_other_seeds(grid_of, results_of):
    order = {"baseline": 0.1, "tanh": 0.2, "sigmoid": 0.3}

    def finals(label, rung, _):
        value = next(v for name, v in order.items() if name in label)
        tuned = rung is not None and rung == 1
        return {"validation_accuracy": float(tuned), "test_accuracy": value if tuned else 0.5 - value}

    text = claim(
        'metric = "test_accuracy"\nover = "model.activation"\nmargin = 0.2\nreason = "r"\n'
        'statistic = { name = "rank_correlation", reference = { stage = "tuned", seeds = "others" } }\n'
        'lower = { stage = "default" }\nthan = { stage = "tuned" }'
    )
    ladder = TUNED.replace("0.01, 0.1, 1.0, 10.0", "0.01, 0.2, 1.0, 10.0")
    (view,) = judge(results_of(grid_of(VARY + ladder + text), finals))
    assert [(row.first, row.second) for row in view.parts[0].seeds] == [(-1.0, 1.0)] * 8
    assert view.judgement.word == "supported"


def test_what_is_read_before_the_first_step_knows_no_divergence(grid_of, results_of):
    def finals(label, *_):
        return {"gradient_norm__1": [1.0 if is_tanh(label) else 0.01, math.nan], "status": "diverged"}

    text = claim(
        'metric = { name = "log10_gradient_norm", at = "start" }\n'
        'higher = { model.activation = "tanh" }\nthan = "baseline"'
    )
    (view,) = judge(results_of(grid_of(VARY + text), finals))
    (part,) = view.judgement.parts
    assert differences(view) == pytest.approx([2.0] * 8)
    assert (part.test, part.rate_difference) == ("sign-flip", None)


@pytest.mark.parametrize(
    ("statistic", "expected"), [('{ name = "best_of_k", k = 4 }', math.log(4)), ('"mean"', math.log(16) / 4)]
)
def test_losses_over_trials_compare_by_ratio_and_their_best_is_the_lowest(grid_of, results_of, statistic, expected):
    losses = {True: [0.5, 2.0, 2.0, 2.0], False: [4.0, 2.0, 2.0, 4.0]}

    def finals(label, rung, _):
        return {"validation_loss": losses[is_tanh(label)][rung]}

    text = claim(
        f'metric = "validation_loss"\nstage = "trials"\nover = "optimizer.lr"\nstatistic = {statistic}\n'
        'lower = { model.activation = "tanh" }\nthan = "baseline"'
    )
    (view,) = judge(results_of(grid_of(VARY + TUNED + text), finals))
    assert differences(view) == pytest.approx([expected] * 8)


def test_the_regret_of_a_loss_is_a_ratio_of_losses(grid_of, results_of):
    def finals(_, rung, __):
        return {"validation_loss": [3.0, 1.0, 2.0, 4.0][rung], "test_loss": [3.0, 0.5, 1.0, 4.0][rung]}

    text = claim(
        'metric = "test_loss"\nover = "optimizer.lr"\nstatistic = { name = "regret", at = 1.0 }\n'
        'higher = { model.activation = "tanh" }\nthan = 1.5'
    )
    (view,) = judge(results_of(grid_of(VARY + TUNED + text), finals))
    assert differences(view) == pytest.approx([math.log(2) - math.log(1.5)] * 8)


def test_a_number_that_is_not_finite_is_missing_and_breaks_nothing(grid_of, results_of):
    def finals(label, _, seed):
        return {"test_loss": math.inf if is_tanh(label) and seed == 0 else 1.0}

    text = claim('metric = "test_loss"\nlower = { model.activation = "tanh" }\nthan = "baseline"')
    (view,) = judge(results_of(grid_of(VARY + text), finals))
    assert (view.judgement.word, view.judgement.reason) == ("not run", "7 seeds of 8")


def test_each_part_of_an_identity_keeps_its_own_tolerance(grid_of, results_of):
    both = 'metric = "test_accuracy"\n'
    for value, word in ((0.5, "supported"), (0.51, "refuted")):
        loose = '[[claims.part]]\nsame = ["baseline", 0.4]\ntolerance = 0.2\n'
        tight = f'[[claims.part]]\nsame = ["baseline", {value}]\ntolerance = 0.001\n'
        grid = grid_of(claim(both + loose + tight, kind="identity"))
        (view,) = judge(results_of(grid, lambda *_: {"test_accuracy": 0.5}))
        assert view.judgement.word == word


def test_seeds_beyond_the_declared_move_no_reference_ranking(grid_of, results_of):
    def finals(label, rung, seed):
        value = next(v for name, v in {"baseline": 0.1, "tanh": 0.2, "sigmoid": 0.3}.items() if name in label)
        value = value if seed < 8 else 100 * (0.5 - value)
        return {"validation_accuracy": float(rung == 1), "test_accuracy": value}

    text = claim(
        'metric = "test_accuracy"\nover = "model.activation"\nmargin = 0.2\nreason = "r"\n'
        'statistic = { name = "rank_correlation", reference = { stage = "tuned", seeds = "others" } }\n'
        'lower = { stage = "default" }\nthan = { stage = "tuned" }'
    )
    ladder = TUNED.replace("0.01, 0.1, 1.0, 10.0", "0.01, 0.2, 1.0, 10.0")
    grid = grid_of(VARY + ladder + text, run=16)
    (view,) = judge(results_of(grid, finals))
    assert len(grid.seeds) == 16
    assert [row.second for row in view.parts[0].seeds] == [1.0] * 8


def test_a_target_that_is_never_reached_is_marked_as_censored(grid_of, results_of):
    def finals(label, *_):
        return {"test_accuracy": [0.1, 0.9] if is_tanh(label) else [0.1, 0.2]}

    text = claim(
        'metric = { name = "epochs_to_target", target = 0.8, split = "test" }\n'
        'lower = { model.activation = "tanh" }\nthan = "baseline"'
    )
    (view,) = judge(results_of(grid_of(VARY + text), finals))
    assert differences(view) == [1.0] * 8  # epoch 4 against budget + 1
    assert "the second side never got there in 8 of 8 seeds: counted as budget + 1" in view.parts[0].notes
