"""Reports made of synthetic runs but judged for real: what the report must be able to show."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from d2lbench.analysis import timing_model as timed
from d2lbench.analysis.figures import ArmRow, ArmTable, Curve, FigureGroup, HeatMap, Interval, Panel
from d2lbench.analysis.model import CheckView, ClaimView, PartView, Report, Section, SeedRow
from d2lbench.analysis.statistics.estimates import paired_correlation, t_interval
from d2lbench.analysis.statistics.parts import Part
from d2lbench.analysis.statistics.verdicts import Evidence, judge_family

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = tuple(range(12))


def rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogatepass")))


def interval(values: list[float]) -> Interval:
    found = t_interval(values)
    return Interval(found.estimate, found.low, found.high, len(values))


def spec(name: str, says: str, effect: float, spread: float, **more: Any) -> dict[str, Any]:
    """What one claim of a fixture is made of; see `section`."""
    return {
        "id": name,
        "says": says,
        "effect": effect,
        "spread": spread,
        "kind": "comparison",
        "relation": "greater",
        "margin": 0.01,
        "unit": "share",
        "as_ratio": False,
        "level": 0.9,
        "parts": 1,
        "origin": "notes",
        "source": "notes, chapter 4",
        "metric": "test_accuracy, last",
        "statistic": "mean",
        "required": 0,
        "first": "optimizer = adam",
        "second": "baseline",
        "view": {},
        "evidence": {},
        "diverged": (),
        "edge": False,
        "seeds": SEEDS,
        "picks": False,
    } | more


def part_view(made: dict[str, Any], place: int) -> PartView:
    draws = rng(f"{made['id']}{place}")
    n = len(made["seeds"])
    common = draws.normal(0, 0.02, n)
    differences = draws.normal(made["effect"], made["spread"], n)
    rows = []
    for i, seed in enumerate(made["seeds"]):
        second = made["level"] + float(common[i])
        difference = float(differences[i])
        first = second * math.exp(-difference) if made["as_ratio"] else second + difference
        rows.append(
            SeedRow(
                seed,
                first,
                second,
                difference,
                first_diverged=seed in made["diverged"],
                first_pick="optimizer.lr 0.1" if made["picks"] else "",
            )
        )
    label = made["first"] if made["parts"] == 1 else f"model.depth = {2**place}"
    return PartView(
        label=label,
        relation=made["relation"],
        differences=tuple(row.difference for row in rows),
        margin=made["margin"],
        diverged=tuple((row.first_diverged, row.second_diverged) for row in rows) if made["diverged"] else (),
        edge=made["edge"],
        first=made["first"],
        second=made["second"],
        seeds=tuple(rows),
        edge_share=0.25 if made["edge"] else 0.0,
        settled=-0.0004,
        correlation=paired_correlation([r.first for r in rows], [r.second for r in rows]) if n > 1 else None,
        on_such_data=(made["effect"] - made["spread"], made["effect"] + made["spread"]) if n else None,
    )


def evidence(made: dict[str, Any], parts: tuple[PartView, ...]) -> Evidence:
    return Evidence(
        made["id"], made["kind"], **({"parts": parts, "seeds_required": made["required"]} | made["evidence"])
    )


def claims(grid: str, specs: list[dict[str, Any]], scale: str = "quick") -> tuple[ClaimView, ...]:
    views = [
        tuple(part_view(made, place) for place in range(made["parts"]))
        if made["kind"] in {"comparison", "equivalence"}
        else ()
        for made in specs
    ]
    judged = judge_family([evidence(made, view) for made, view in zip(specs, views, strict=True)])
    return tuple(
        ClaimView(
            id=made["id"],
            grid=grid,
            kind=made["kind"],
            origin=made["origin"],
            says=made["says"],
            source=made["source"],
            scale=scale,
            metric=made["metric"],
            statistic=made["statistic"],
            unit=made["unit"],
            as_ratio=made["as_ratio"],
            margin=made["margin"],
            margin_reason="",
            judgement=judgement,
            parts=view,
            **made["view"],
        )
        for made, view, judgement in zip(specs, views, judged, strict=True)
    )


def curve(label: str, end: float, *, points: int = 21, start: float = 0.1, baseline: bool = False) -> Curve:
    x = np.arange(points, dtype=float)
    mean = end + (start - end) * np.exp(-x / (points / 6)) + rng(label).normal(0, 0.003, points)
    half = 0.012 + 0.02 * np.exp(-x / 4)
    return Curve(label, tuple(x), tuple(mean), tuple(mean - half), tuple(mean + half), baseline)


def ladder(label: str, peak: float, *, baseline: bool = False) -> Curve:
    x = 10.0 ** np.arange(-4, 1.5, 0.5)
    mean = 0.95 - 0.09 * (np.log10(x) - peak) ** 2
    mean = np.maximum(mean, 0.1)
    return Curve(label, tuple(x), tuple(mean), tuple(mean - 0.01), tuple(mean + 0.01), baseline)


ARMS = (
    "baseline",
    "optimizer = adam",
    "optimizer = rmsprop",
    "optimizer = adagrad",
    "optimizer = adadelta",
    "momentum = 0.9",
)


def panels(count: int = 1, arms: tuple[str, ...] = ARMS) -> tuple[Panel, ...]:
    return tuple(
        Panel(
            title=f"model.depth = {2**i}",
            x_label="epoch",
            y_label="test accuracy",
            curves=tuple(curve(arm, 0.95 - 0.02 * j, baseline=j == 0) for j, arm in enumerate(arms)),
            reference=0.1,
            reference_label="majority class",
            y_unit="share",
        )
        for i in range(count)
    )


def arm_table(arms: tuple[str, ...] = ARMS, contexts: tuple[str, ...] = ("",)) -> ArmTable:
    rows = []
    for context in contexts:
        base = [0.91 + 0.01 * float(v) for v in rng("base" + context).normal(size=12)]
        for j, arm in enumerate(arms):
            values = [
                b + 0.004 * j + 0.004 * float(v) for b, v in zip(base, rng(arm + context).normal(size=12), strict=True)
            ]
            values = base if j == 0 else values
            against = None if j == 0 else interval([v - b for v, b in zip(values, base, strict=True)])
            rows.append(
                ArmRow(
                    context,
                    arm,
                    j == 0,
                    interval(values),
                    "optimizer.lr 0.1 (9 of 12 seeds), 0.3 (3)",
                    interval([v + 0.05 for v in values]),
                    against,
                    None if j == 0 else paired_correlation(values, base),
                    12 - (j == 3),
                    int(j == 3),
                    0,
                )
            )
    return ArmTable("test_accuracy", "share", "train_accuracy", tuple(rows), "majority class", 0.101)


def time(median: float, status: str = "precise") -> timed.Time:
    unknown = status == "unknown"
    return timed.Time(
        median, math.nan if unknown else 0.97 * median, math.nan if unknown else 1.05 * median,
        "unconverged" if unknown else status,
    )  # fmt: skip


def cost_table(arms: tuple[str, ...] = ARMS, contexts: tuple[str, ...] = ("",)) -> timed.CostTable:
    """Arms of which the later ones cost more and do better, but for the last, which nobody has measured."""
    rows = []
    for i, context in enumerate(contexts):
        for j, arm in enumerate(arms):
            quality = interval([0.90 + 0.01 * j + 0.002 * k for k in range(4)])
            row = timed.CostRow(ArmRow(context, arm, j == 0, quality))
            if j < len(arms) - 1:
                step = time(1e-4 * 2**i * (1 + j // 2), "unknown" if j == 2 else "precise")
                row = dataclasses.replace(
                    row, program=1 + i * 9 + j // 2, parameters=9098, batch=32, forward=time(2e-5), backward=time(3e-5),
                    step=step, memory=331_000.0, steps=600.0, seconds=600 * step.median, is_optimal=j % 2 == 1,
                )  # fmt: skip
            rows.append(row)
    machine = (("processor", "Some CPU @ 2.5 GHz"), ("cores", "2"))
    return timed.CostTable(tuple(rows), machine)


def kernels(name: str = "relu", setting: str = "float32, 1 thread, hot cache") -> timed.Kernels:
    rows = tuple(
        timed.KernelRow(
            f"{name}{i}", "small",
            {"forward": time(2e-6 * 3**i), "backward": time(3e-6 * 3**i, ("precise", "unknown")[i == 2])},
            (("forward", "memory", 0.62), ("backward", "launch", 0.3)), ("backward unconverged",) if i == 2 else (),
        )
        for i in range(5)
    )  # fmt: skip
    steps = tuple(
        timed.KernelRow(f"{name}[{way}]", "small", {"step": time(1e-5 * k)}) for k, way in enumerate("abc", 1)
    )
    points = tuple(
        timed.RooflinePoint(f"{name}{i}/small", phase, 0.1 * 4**i, 1e9 * 3**i, bound)
        for i, (phase, bound) in enumerate((("forward", "memory"), ("backward", "launch"), ("step", "compute")))
    )
    curve_ = Curve("training", (1.0, 2.0, 4.0), (0.1, 0.2, 0.4), (0.1, 0.2, 0.4), (0.1, 0.2, 0.4), is_baseline=True)
    other = Curve("prediction", (1.0, 2.0, 4.0), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1), (0.1, 0.1, 0.1))
    return timed.Kernels(
        machine=(("processor", "Some CPU @ 2.5 GHz"), ("cores", "2")),
        groups=(timed.KernelGroup(name, setting, rows), timed.KernelGroup(f"{name} steps", setting, steps)),
        rooflines=(timed.Roofline(setting, 2e11, ((262144.0, 1.2e11), (1.3e8, 3e10)), points),),
        hot_cold=(timed.HotCold(f"{name}/small forward", time(2e-6), time(5e-6, "unknown")),),
        memory=(Panel(name, "hidden layers", "peak memory, MiB", (curve_, other)),),
        refused=((f"{name}9/small forward", "forward is off by 1.9"),),
        other_machines=1,
    )


def section(name: str, title: str, specs: list[dict[str, Any]], **more: Any) -> Section:
    given: dict[str, Any] = {
        "question": f"Which choice matters for {title.lower()}, at an equal tuning budget?",
        "scale": "quick",
        "size": "72 cells = 6 [arms] \N{MULTIPLICATION SIGN} 12 [seed]",
        "setting": (
            ("dataset", "digits, train_size 900"),
            ("model", "mlp, hidden [64, 64], activation relu"),
            ("optimizer", "sgd, lr 0.1"),
            ("schedule", "linear-decay, start 0.5"),
            ("epochs", "21"),
            ("batch_size", "32"),
        ),
        "seeds": SEEDS,
        "counts": {"done": 71, "diverged": 1, "failed": 0, "skipped": 0, "missing": 0},
        "reasons": (),
        "table": arm_table(),
        "figures": (FigureGroup("curves", "Learning curves: mean over seeds with 95 % bands.", panels(2)),),
        "checks": (
            CheckView(
                "A/A",
                "The baseline with other draws differs from itself by less than the margin",
                passed=True,
                detail="difference +0.02 points",
            ),
            CheckView(
                "rate 0", "A rate of 0 learns nothing", passed=True, detail="training loss unchanged in 12 of 12 seeds"
            ),
        ),
        "data": (("digits", "sha256:9f5c2d9e7d0a"),),
    }
    return Section(name=name, title=title, claims=claims(name, specs), **(given | more))


def optimizers() -> Section:
    rate = FigureGroup(
        "ladder",
        "Validation accuracy over the ladder of rates: the wider the plateau, the less tuning.",
        panels=(
            Panel(
                "Rate ladder",
                "learning rate",
                "validation accuracy",
                tuple(ladder(arm, -1.2 - 0.35 * j, baseline=j == 0) for j, arm in enumerate(ARMS)),
                x_log=True,
                y_unit="share",
            ),
        ),
    )
    heat = HeatMap(
        "Best rung",
        "optimizer",
        "model.depth",
        ARMS,
        ("1", "2", "4", "8", "16"),
        tuple(tuple(0.95 - 0.01 * i - 0.02 * j if (i, j) != (2, 4) else math.nan for j in range(5)) for i in range(6)),
        "test accuracy (%)",
        unit="share",
    )
    specs = [
        spec("momentum-helps", "Momentum reaches a higher accuracy than plain SGD at the same budget", 0.021, 0.006),
        spec("adam-beats-sgd", "Adam generalizes better than SGD", -0.018, 0.006, origin="book"),
        spec(
            "adagrad-stalls",
            "Adagrad ends with a higher training loss than RMSprop",
            0.9,
            0.25,
            margin=0.05,
            unit="nats",
            as_ratio=True,
            level=0.2,
            metric="train_loss, last",
        ),
        spec(
            "tiny-loss",
            "Nesterov lowers the test loss",
            0.03,
            0.05,
            margin=0.05,
            unit="nats",
            as_ratio=True,
            level=0.3,
            metric="test_loss, last",
            picks=True,
        ),
        spec("every-depth", "Adam is ahead at every depth", 0.02, 0.005, parts=3),
        spec("edge-case", "Adadelta hardly depends on its rate", 0.01, 0.01, edge=True, picks=True),
        spec(
            "diverging", "A large rate survives with clipping", 0.03, 0.02, diverged=(3, 7), view={"after_data": True}
        ),
        spec("too-few", "The cosine schedule wins", 0.01, 0.01, required=12, seeds=(0, 1)),
    ]
    groups = (
        FigureGroup("curves", "Learning curves: mean over seeds with 95 % bands.", panels(3)),
        rate,
        FigureGroup("map", "Accuracy by optimizer and depth.", maps=(heat,)),
    )
    return section(
        "optimizers",
        "Optimizers",
        specs,
        figures=groups,
        table=arm_table(contexts=("model.depth = 2", "model.depth = 8")),
        costs=cost_table(contexts=("model.depth = 2", "model.depth = 8")),
    )


def regularizers() -> Section:
    specs = [
        spec(
            "dropout-closes-gap",
            "Dropout narrows the gap between training and test accuracy",
            0.013,
            0.011,
            metric="gap, last",
        ),
        spec(
            "l1-sparser-than-l2", "L1 drives more weights to zero than L2", 0.31, 0.04, margin=0.05, metric="sparsity"
        ),
        spec(
            "bias-undecayed",
            "Leaving the bias out of the decay changes little",
            0.0004,
            0.003,
            kind="equivalence",
            relation="same",
            origin="ours",
        ),
        spec("decay-no-worse", "A little decay is no worse than none", 0.002, 0.006, relation="no_worse"),
        spec(
            "penalty-equals-decay",
            "An L2 penalty in the loss equals weight decay under SGD",
            0,
            0,
            kind="identity",
            unit="",
            evidence={"parts": (Part("it", "same", (3.1e-13, 2e-14), 1e-12),)},
        ),
        spec(
            "parameters",
            "The network has 9,098 parameters",
            0,
            0,
            kind="count",
            unit="",
            evidence={"parts": (Part("it", "same", (0.0,), 0.0),)},
        ),
        spec(
            "decay-shrinks",
            "A strong penalty shrinks the weights",
            0,
            0,
            kind="demonstration",
            unit="",
            evidence={"parts": (Part("it", "greater", (1.0,) * 12, 0.0),)},
        ),
        spec("explore", "Weight decay also steadies training", 0.004, 0.006, view={"exploratory": True}),
    ]
    return section("regularizers", "Regularization on a small sample", specs)


def depth() -> Section:
    x = (1.0, 2.0, 4.0, 8.0, 16.0)

    def fall(label: str, slope: float, *, baseline: bool = False) -> Curve:
        mean = tuple(10 ** (-1 + slope * at) for at in x)
        return Curve(label, x, mean, tuple(m / 1.5 for m in mean), tuple(m * 1.5 for m in mean), baseline)

    group = FigureGroup(
        "depth",
        "Norm of the gradient at the first layer before the first step.",
        tuple(
            Panel(
                f"init = {init}",
                "hidden layers",
                "gradient norm",
                (fall("relu (baseline)", -0.02, baseline=True), fall("sigmoid", -0.6), fall("tanh", -0.05)),
                y_log=True,
            )
            for init in ("default", "xavier-normal")
        ),
    )
    specs = [
        spec(
            "sigmoid-vanishes",
            "Gradients die with depth under sigmoid, less under ReLU",
            0.58,
            0.03,
            margin=0.2,
            unit="decades",
            level=-0.02,
            metric="log10_gradient_norm, layer 1, at the start",
            statistic="slope over model.depth",
        ),
        spec(
            "batch-norm-faster",
            "Batch norm reaches a target in fewer epochs",
            2.4,
            2.8,
            margin=1.0,
            unit="epochs",
            level=9.0,
            metric="epochs_to_target",
        ),
    ]
    return section("depth", "Depth and activation", specs, figures=(group,))


def failed_section() -> Section:
    specs = [
        spec(
            "needs-data",
            "More data does not hurt",
            0,
            0,
            seeds=(),
            evidence={"not_run": "12 runs skipped: fashion-mnist is missing"},
        )
    ]
    return section(
        "data",
        "More data",
        specs,
        table=None,
        figures=(),
        checks=(CheckView("A/A", "The baseline equals itself", None, "not run"),),
        counts={"done": 0, "diverged": 0, "failed": 4, "skipped": 8, "missing": 0},
        reasons=(("fashion-mnist is missing and this machine is offline", 8), ("out of memory", 4)),
        data=(),
    )


def report(*sections: Section, **more: Any) -> Report:
    given: dict[str, Any] = {
        "scale": "quick",
        "command": "d2lbench run --scale quick",
        "environment": "cpu/torch-2.11/ieee",
        "provenance": (
            ("machine", "x86_64"),
            ("processor", "Some CPU @ 2.5 GHz"),
            ("cores", "2"),
            ("python", "3.11.2"),
            ("torch", "2.11.0"),
            ("commit", "0123456789ab"),
        ),
        "untested": (("adadelta-any-rate", "asked at the full scale only"), ("alexnet-vs-lenet", "needs CUDA")),
        "version": "0.1.0",
    }
    return Report(sections=sections, **(given | more))


@pytest.fixture(scope="session")
def whole() -> Report:
    """A report with every kind of claim, verdict and figure, and a grid that failed."""
    return report(optimizers(), regularizers(), depth(), failed_section(), kernels=kernels())


@pytest.fixture(scope="session")
def small() -> Report:
    """A report that is quick to draw."""
    return report(section("small", "A small grid", [spec("only", "Adam beats SGD", 0.02, 0.005)], figures=()))


@pytest.fixture(scope="session")
def make() -> dict[str, Callable[..., Any]]:
    """The builders, for tests that need a report of their own."""
    return {
        "report": report,
        "section": section,
        "spec": spec,
        "claims": claims,
        "panels": panels,
        "failed": failed_section,
        "curve": curve,
        "optimizers": optimizers,
        "replace": dataclasses.replace,
        "cost_table": cost_table,
        "kernels": kernels,
        "time": time,
    }
