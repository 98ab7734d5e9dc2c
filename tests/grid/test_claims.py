"""Claims: sides found, axes walked, margins decided, seeds enough."""

from __future__ import annotations

import pytest

from d2lbench.core.errors import GridError
from d2lbench.grid import load

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'
DEPTHS = "[product]\nmodel.depth = [2, 4, 8]\n"
INITS = 'init = ["default", "xavier-normal"]\n'
LADDER = '[[tune]]\nspace."optimizer.lr" = [1.0, 0.01, 0.1]\n'
HIGHER = 'metric = "test_accuracy"\nhigher = { optimizer = "adam" }\nthan = "baseline"\n'


def sides(claim):
    return [(each.label, each.first.label, getattr(each.second, "label", each.second)) for each in claim.parts]


def only(claim):
    (part,) = claim.parts
    return part


def test_a_side_is_the_one_arm_that_its_selector_names(ask):
    claim = ask(HIGHER)
    assert sides(claim) == [("", "adam", "baseline")]
    assert (claim.parts[0].relation, claim.parts[0].sign) == ("greater", 1)
    assert claim.in_family
    assert len(claim.parts) == 1


@pytest.mark.parametrize(
    ("direction", "relation", "sign"),
    [
        ('higher = { optimizer = "adam" }\nthan = "baseline"', "greater", 1),
        ('lower = { optimizer = "adam" }\nthan = "baseline"', "greater", -1),
        ('no_worse = { optimizer = "adam" }\nthan = "baseline"\nbetter = "higher"', "no_worse", 1),
        ('no_worse = { optimizer = "adam" }\nthan = "baseline"\nbetter = "lower"', "no_worse", -1),
    ],
)
def test_a_direction_is_a_relation_and_a_sign(ask, direction, relation, sign):
    comparison = ask('metric = "test_accuracy"\n' + direction).parts[0]
    assert (comparison.relation, comparison.sign) == (relation, sign)


def test_same_is_a_relation_of_two_sides(ask):
    claim = ask('metric = "test_accuracy"\nsame = ["baseline", { optimizer = "adam" }]', kind="equivalence")
    assert (claim.parts[0].relation, sides(claim)) == ("same", [("", "baseline", "adam")])


def test_a_number_may_stand_on_either_side_of_same(ask):
    claim = ask('metric = "train_loss"\nsame = [0.5, "baseline"]\ntolerance = 0.1', kind="identity")
    assert sides(claim) == [("", "baseline", 0.5)]
    assert (only(claim).measure.margin, claim.in_family) == (0.1, False)


def test_keys_that_a_side_does_not_name_are_the_baselines(ask):
    before = '[vary]\nmodel.activation = ["tanh"]\nmodel.depth = [4]\n'
    claim = ask('metric = "gap"\nlower = { model.depth = 4 }\nthan = { model.activation = "relu" }', before)
    assert sides(claim) == [("", "depth=4", "baseline")]


def test_a_side_may_match_on_an_option_alone(ask):
    claim = ask('metric = "gap"\nlower = { optimizer = { momentum = 0.9 } }\nthan = "baseline"')
    assert sides(claim) == [("", "sgd(momentum=0.9)", "baseline")]


def test_a_claim_holds_in_every_context_that_where_leaves(ask):
    claim = ask(HIGHER, DEPTHS + VARY)
    assert [label for label, _, _ in sides(claim)] == ["depth=2", "depth=4", "depth=8"]

    claim = ask(HIGHER + "where = { model.depth = [2, 8] }", DEPTHS + VARY)
    assert [label for label, _, _ in sides(claim)] == ["depth=2", "depth=8"]


def test_over_a_context_axis_a_side_is_its_arms_in_the_order_of_the_axis(ask):
    before = "[product]\nmodel.depth = [8, 2, 4]\n" + INITS + VARY
    claim = ask(HIGHER + 'over = "model.depth"\nwhere = { init = "default" }', before)
    (comparison,) = claim.parts
    assert [point.position for point in comparison.first.points] == [8, 2, 4]
    assert [arm.label for arm in comparison.second.arms] == [
        "depth=8, default · baseline", "depth=2, default · baseline", "depth=4, default · baseline",
    ]  # fmt: skip
    assert (only(claim).measure.along, only(claim).measure.statistic.name) == ("contexts", "mean")
    slope = ask(HIGHER + 'over = "model.depth"\nstatistic = "slope"\nmargin = 0.1\nreason = "r"', before)
    assert len(slope.parts) == 2  # one for each init that remains
    assert [point.position for point in slope.parts[0].first.points] == [2, 4, 8]  # numbers go up


def test_a_side_may_pick_a_context_and_the_other_then_takes_bases_value(ask):
    before = DEPTHS + INITS + VARY
    claim = ask('metric = "gap"\nlower = { init = "xavier-normal" }\nthan = "baseline"', before)
    assert sides(claim) == [
        (f"depth={depth}", f"depth={depth}, xavier-normal · baseline", f"depth={depth}, default · baseline")
        for depth in (2, 4, 8)
    ]


def test_both_sides_may_pick_contexts(ask):
    before = DEPTHS + VARY
    claim = ask('metric = "gap"\nlower = { model.depth = 8, optimizer = "adam" }\nthan = { model.depth = 4 }', before)
    assert sides(claim) == [("", "depth=8 · adam", "depth=4 · baseline")]


def test_a_side_takes_bases_value_only_where_the_axis_has_it(ask):
    with pytest.raises(GridError, match=r"claims\.it\.than: selects no arm; given \"baseline\"; allowed: depth=4"):
        ask('metric = "gap"\nlower = { model.depth = 8 }\nthan = "baseline"', "[product]\nmodel.depth = [4, 8]\n")


def test_zip_is_one_axis_whichever_of_its_keys_is_named(ask):
    before = "[zip]\nmodel.depth = [2, 4]\nmodel.width = [64, 48]\n"
    claim = ask('metric = "train_loss"\nlower = { model.depth = 4 }\nthan = "baseline"', before)
    assert sides(claim) == [("", "depth=4, width=48 · baseline", "depth=2, width=64 · baseline")]


def test_over_a_vary_key_a_side_is_the_baseline_and_all_its_values(ask):
    before = "[vary]\ndataset.train_size = [100, 400]\nmodel.activation = ['tanh']\n"
    claim = ask(
        'metric = "gap"\nhigher = "baseline"\nthan = 0.0\nover = "dataset.train_size"\nstatistic = "slope"', before,
        dataset='{ name = "digits", train_size = 200 }',
    )  # fmt: skip
    (comparison,) = claim.parts
    assert [(point.position, point.label) for point in comparison.first.points] == [
        (100, "train_size=100"), (200, "baseline"), (400, "train_size=400"),
    ]  # fmt: skip
    assert only(claim).measure.along == "arms"


def test_a_side_may_be_the_other_sides_arm_at_another_stage(ask):
    fields = 'metric = "test_accuracy"\nno_worse = { optimizer = "adam", stage = "default" }\n'
    claim = ask(fields + 'than = { stage = "tuned" }\nbetter = "higher"', VARY + LADDER)
    assert sides(claim) == [("", "adam [default]", "adam")]


def test_own_values_are_run_where_a_claim_reads_them(loaded, claim_text):
    fields = 'metric = "test_accuracy"\nlower = { optimizer = "adam", stage = "default" }\nthan = { stage = "tuned" }'
    grid = loaded(VARY + LADDER + claim_text(fields))
    assert grid.own_values == {"adam"}
    assert len(list(grid.cells())) == 12 * (3 * 3 + 1 + 2)  # adam's 0.001 is no rung; the baseline's 0.1 is


def test_the_ranking_of_arms_is_over_a_vary_key_at_two_stages(ask):
    claim = ask(
        'metric = "test_accuracy"\nover = "optimizer"\nlower = { stage = "default" }\nthan = { stage = "tuned" }\n'
        'statistic = { name = "rank_correlation", reference = { stage = "tuned", seeds = "others" } }\n'
        'margin = 0.2\nreason = "one swap"', VARY + LADDER,
    )  # fmt: skip
    (comparison,) = claim.parts
    assert [side.stage for side in comparison.sides] == ["default", "tuned"]
    assert len(comparison.first.points) == len(comparison.second.points) == 3


def test_trials_run_from_the_lowest_rung_to_the_highest(ask):
    claim = ask(
        'metric = "validation_accuracy"\nstage = "trials"\nstatistic = { name = "window", within = 0.02 }\n'
        'over = "optimizer.lr"\nhigher = { optimizer = "adam" }\nthan = "baseline"\nmargin = 1\nreason = "a rung"',
        VARY + LADDER,
    )
    part = only(claim)
    assert (part.measure.along, part.first.stage, part.measure.over) == ("trials", "trials", "optimizer.lr")
    for side in claim.parts[0].sides:
        assert [rung.position("optimizer.lr") for rung in side.rungs] == [0.01, 0.1, 1.0]
    assert part.measure.select.name == "validation_accuracy"


def test_a_statistic_of_trials_says_stage_and_key_by_itself(ask):
    part = only(ask('metric = "validation_accuracy"\nstatistic = "best_of_k"\nhigher = "baseline"\nthan = 0.5', LADDER))
    assert (part.first.stage, part.measure.along, part.measure.over) == ("trials", "trials", "optimizer.lr")


def test_a_regret_may_read_test_data_of_the_pick_and_of_one_rung(ask):
    fields = 'metric = "test_accuracy"\nover = "optimizer.lr"\nlower = "baseline"\nthan = 0.01\n'
    at_rung = ask(fields + 'statistic = { name = "regret", at = 0.1 }', LADDER)
    assert not at_rung.parts[0].first.reads_own
    own = ask(fields + 'statistic = "regret"', LADDER)
    assert own.parts[0].first.reads_own
    assert only(own).measure.select.name == "validation_accuracy"


def test_over_epochs_a_curve_is_read_at_each(ask):
    claim = ask('metric = "batch_loss"\nstatistic = { name = "area", until = 0.25 }\nover = "epoch"\n' + HIGHER[25:])
    part = only(claim)
    assert (part.measure.along, part.measure.metric.get("at")) == ("epochs", "each")


def test_a_part_says_otherwise_what_it_names_and_the_rest_is_the_claims(ask):
    claim = ask(
        HIGHER + 'where = { model.depth = 2 }\n[[claims.part]]\n[[claims.part]]\nmetric = "gap"\n'
        "lower = { optimizer.momentum = 0.9 }\nwhere = { model.depth = 4 }\n[[claims.part]]\nthan = 0.5\n",
        DEPTHS + VARY,
    )
    assert [(each.measure.metric.name, each.measure.margin, each.measure.as_) for each in claim.parts] == [
        ("test_accuracy", 0.01, "difference"), ("gap", 0.01, "difference"), ("test_accuracy", 0.0, "difference"),
    ]  # fmt: skip
    assert [(each.label, each.sign) for each in claim.parts] == [("depth=2", 1), ("depth=4", -1), ("depth=2", 1)]


def test_claims_may_be_tables_by_id_or_one_liners(loaded):
    line = '{ kind = "comparison", origin = "book", says = "s", source = "b", metric = "gap", lower = "baseline", '
    rest = VARY + "[claims]\none-liner = " + line + "than = 0.5 }\n"
    rest += '[claims.by-table]\nkind = "count"\norigin = "book"\nsays = "s"\nsource = "b"\nmetric = "gap"\n'
    grid = loaded(rest + 'higher = { "optimizer.momentum" = 0.9 }\nthan = "baseline"\n')
    assert [(claim.id, claim.kind) for claim in grid.claims] == [("one-liner", "comparison"), ("by-table", "count")]


def test_a_claim_that_is_not_asked_at_a_scale_has_no_parts_there(ask):
    fields = HIGHER + 'scales = ["full"]'
    quick, full = ask(fields, top="seeds = 8"), ask(fields, scale="full")
    assert (quick.asked, quick.parts, quick.in_family) == (False, (), False)
    assert (full.asked, len(full.parts), full.in_family) == (True, 1, True)


def test_an_experiments_metrics_come_with_their_margins(with_experiment, claim_text):
    text = 'format = 1\ntitle = "x"\nseeds = 12\n[base]\nexperiment = { name = "toy", factors = 2 }\n'
    text += "[vary]\nexperiment.factors = [9]\n"
    fields = 'metric = "{}"\nhigher = {{ experiment.factors = 9 }}\nthan = "baseline"\n'
    measure = only(load(text + claim_text(fields.format("deviation")), with_experiment).claims[0]).measure
    assert (measure.metric.name, measure.margin, measure.as_) == ("deviation", 0.1, "difference")
    with pytest.raises(GridError, match=r'the experiment returns no such metric.*did you mean "deviation"'):
        load(text + claim_text(fields.format("deviaton")), with_experiment)


def test_a_claims_digest_changes_with_what_it_says_and_not_with_its_neighbours(ask, loaded, claim_text):
    alone, beside = ask(HIGHER), loaded(VARY + claim_text(HIGHER) + claim_text(HIGHER, name="other"), model='"mlp"')
    assert alone.digest == beside.claims[0].digest
    assert alone.digest != ask(HIGHER + 'margin = 0.02\nreason = "r"').digest
