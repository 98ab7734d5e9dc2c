"""Facts about measuring cases one after the other: checked, counted, timed within a budget, never ending the others."""

from __future__ import annotations

import gc
import hashlib
import json
import math
from dataclasses import replace

import pytest
import torch

from d2lbench.api.time import Timed
from d2lbench.commands.time_table import table
from d2lbench.core.environment import cpu_model
from d2lbench.core.files import json_text
from d2lbench.core.registry import Registry
from d2lbench.report.format import duration, size
from d2lbench.store.timings import KernelKey, Setting
from d2lbench.timing.clock import HostClock, Window
from d2lbench.timing.kernels import Built, cases
from d2lbench.timing.machine import _bytes, fingerprint
from d2lbench.timing.measure import MOST_SETS, Campaign, Harness
from d2lbench.timing.result import Measurement, as_record, gaps
from d2lbench.timing.windows import Samples

HOT = Setting()
DIFFERENTIATED = ("forward", "forward-train", "backward")
pytestmark = pytest.mark.usefixtures("process")


class Slow(torch.autograd.Function):
    """Doubling that takes a machine's time: a millisecond there and two back."""

    @staticmethod
    def forward(ctx, x, machine):
        ctx.machine = machine
        machine.takes(1e-3)()
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        ctx.machine.takes(2e-3)()
        return 2 * gradient, None


@pytest.fixture
def bench(machine, ceilings):
    """Return what registers cases that a simulated machine times, and the harness that does."""

    class Bench:
        registry, closed = Registry(), []

        def add(self, name, build, **traits):
            self.registry.register("kernel", name, **{"group": "g", "phases": DIFFERENTIATED, **traits})(build)

        def doubling(self, **changes):
            def build(device, dtype, /, *, n: int = 256):
                """Twice."""
                assert device == "cpu"
                x = torch.randn(n, dtype=dtype).requires_grad_()
                given = {"reference": lambda x: x + x, "flops": {"forward": n, "backward": n}, "tolerance": 1e-6}
                close = lambda: self.closed.append(n)  # noqa: E731
                return Built(lambda x: Slow.apply(x, machine), (x,), **{**given, "close": close, **changes})

            return build

        def harness(self, setting=HOT):
            clock = HostClock(machine.ticks)
            harness = Harness(setting, ceilings, clock, machine.now, cache=2**16)
            harness.measure_ceilings = lambda seconds: ceilings
            return harness

        def run(self, budget=100.0, setting=HOT, **given):
            campaign = Campaign(
                cases(self.registry), [setting], budget=budget, now=machine.now, harness=self.harness, **given
            )
            found = list(campaign.run())
            assert len(found) == campaign.total
            return found

    return Bench()


def told(measurements):
    return [(m.key.case, m.key.phase, m.status) for m in measurements]


def test_each_phase_has_its_own_time_and_all_of_them_are_checked(bench):
    bench.add("double", bench.doubling())
    found = bench.run()
    assert [m.key.phase for m in found] == ["forward", "forward-train", "backward", "whole"]
    assert [m.summary.median for m in found] == pytest.approx([1e-3, 1e-3, 2e-3, 3e-3])
    assert all(m.checked and m.status == "precise" and len(m.samples.seconds) == 30 for m in found)
    assert gaps(found) == {}
    assert bench.closed == [256]


def test_a_time_stands_below_its_ceiling(bench):
    bench.add("double", bench.doubling(flops={"forward": 5e7}, bytes={"forward": 1e3}), phases=("forward",))
    (found,) = bench.run()
    assert found.place.bound == "compute"
    assert found.place.share == pytest.approx(5e7 / 1e11 / 1e-3)
    assert found.work.bytes == 1e3


def test_peak_memory_is_told_of_prediction_and_of_training(bench):
    """Doubling holds its result, 4 n bytes, and back its gradient, too; the number 2 takes 8 bytes and a copy of 4."""
    bench.add("double", bench.doubling(), sizes={"one": {"n": 1000}})
    found = bench.run()
    assert {m.key.phase: m.peak_memory for m in found} == {
        "forward": 4012,
        "forward-train": None,
        "backward": None,
        "whole": 8012,
    }
    assert "7.82 KiB" in table(found, {}, MACHINE)


def test_a_wrong_kernel_gets_no_number_and_its_neighbours_do(bench):
    bench.add("wrong", bench.doubling(reference=lambda x: 2.01 * x))
    bench.add("right", bench.doubling())
    found = bench.run()
    assert [m.status for m in found] == ["refused"] * 4 + ["precise"] * 4
    assert all(m.summary is None and m.samples is None and m.place is None for m in found[:4])
    assert "forward is off by 0.005" in found[0].reason


def test_a_case_that_breaks_is_told_with_its_error_and_its_neighbours_are_timed(bench):
    def broken(*where):
        """Never."""
        problem = f"no such kernel\nfor {where}"
        raise RuntimeError(problem)

    bench.add("broken", broken)
    bench.add("right", bench.doubling(), phases=("forward",))
    found = bench.run()
    assert [m.status for m in found] == ["failed"] * 4 + ["precise"]
    assert found[0].reason == "RuntimeError: no such kernel"


def test_a_case_of_unknown_work_is_refused(bench):
    bench.add("double", bench.doubling(flops={}), phases=("forward",))
    assert "FLOPs of its forward phase are unknown" in bench.run()[0].reason


def test_what_has_no_reference_and_needs_none_is_timed_and_marked(bench):
    bench.add("random", bench.doubling(reference=None), phases=("forward",), reference_needed=False)
    (found,) = bench.run()
    assert (found.status, found.checked) == ("precise", False)
    assert "unchecked" in table([found], {}, MACHINE)


def test_a_budget_is_shared_and_the_time_that_one_leaves_goes_to_the_others(bench, machine):
    """Ten seconds for 12 phases: a half of what 30 windows of all of them take."""
    for name in ("a", "b", "c"):
        bench.add(name, bench.doubling(), phases=("forward",), sizes={"one": {}, "two": {}})
    found = bench.run(budget=0.12)
    assert {m.status for m in found} == {"unconverged"}
    counts = [len(m.samples.seconds) for m in found]
    assert max(counts) - min(counts) <= 6
    assert machine.now() == pytest.approx(0.12, rel=0.35)


def test_what_no_time_is_left_for_is_told(bench):
    for name in ("a", "b", "c"):
        bench.add(name, bench.doubling(), phases=("forward",))
    found = bench.run(budget=1e-3)
    assert told(found)[1:] == [("b", "forward", "not reached"), ("c", "forward", "not reached")]
    assert found[0].status == "unconverged"
    assert found[1].reason == "the budget was spent"


def test_an_interrupted_campaign_tells_what_it_left_out(bench):
    for name in ("a", "b"):
        bench.add(name, bench.doubling(), phases=("forward",))
    asked = iter([False, True, True])
    found = bench.run(stopped=lambda: next(asked))
    assert [(m.status, m.reason) for m in found] == [("precise", ""), ("not reached", "interrupted")]


def test_no_garbage_is_collected_while_a_case_is_timed(bench):
    seen = []
    build = bench.doubling()

    def watched(device, dtype, /):
        """Twice."""
        built = build(device, dtype)
        call = lambda x: seen.append(gc.isenabled()) or built.call(x)  # noqa: E731
        return Built(call, built.inputs, reference=built.reference, flops=built.flops)

    bench.add("double", watched, phases=("forward",))
    bench.run()
    assert not any(seen[-30:])
    assert gc.isenabled()


def test_only_the_phases_asked_for_are_timed(bench):
    bench.add("double", bench.doubling())
    assert [m.key.phase for m in bench.run(phases=("backward",))] == ["backward"]


def test_a_cold_case_goes_through_more_tensors_than_the_cache_holds(bench):
    seen = []
    build = bench.doubling()

    def watched(device, dtype, /, *, n: int = 256):
        """Twice."""
        built = build(device, dtype, n=n)
        return Built(
            lambda x: seen.append(x.data_ptr()) or built.call(x), built.inputs,
            reference=built.reference, flops=built.flops,
        )  # fmt: skip

    bench.add("double", watched, phases=("forward",), sizes={"large": {"n": 4096}})
    (found,) = bench.run(setting=Setting(cold=True))
    assert len(set(seen)) == 2 * 2**16 / (4096 * 4)
    assert all(first != second for first, second in zip(seen[-20:], seen[-19:], strict=False)), "never twice in a row"
    assert found.key.setting.kind == "cold"


def test_what_is_too_small_to_be_cold_is_left_out_with_the_reason(bench):
    bench.add("double", bench.doubling(), sizes={"tiny": {"n": 2 * 2**16 // 4 // MOST_SETS - 1}}, phases=("forward",))
    (found,) = bench.run(setting=Setting(cold=True))
    assert found.status == "skipped"
    assert found.reason.startswith("it cannot be cold: its tensors have 60 bytes")


def test_a_dtype_that_a_case_lacks_is_left_out(bench):
    bench.add("double", bench.doubling(), dtypes=("float32",), phases=("forward",))
    (found,) = bench.run(setting=Setting(dtype="bfloat16"))
    assert (found.status, found.reason) == ("skipped", "it exists in float32 only")


def test_the_process_is_the_same_for_every_case(bench):
    seen = set()
    build = bench.doubling()

    def watched(device, dtype, /):
        """Twice."""
        tiny = torch.tensor([1e-39]) * torch.ones(1)
        seen.add((torch.get_num_threads(), float(tiny), dtype))
        return build(device, dtype)

    bench.add("a", watched, phases=("forward",))
    bench.add("b", watched, phases=("forward",))
    bench.run(setting=Setting(dtype="float64", threads=2))
    assert seen == {(2, 0.0, torch.float64)}


def test_the_machines_fingerprint_says_what_a_time_depends_on(bench):
    bench.harness(Setting(threads=2))
    facts = fingerprint("cpu")
    assert facts["processor"] == cpu_model()
    assert (facts["threads"], facts["subnormals"]) == (2, "flushed")
    assert facts["last_level_cache"] >= 2**18
    assert facts["torch"] == torch.__version__.split("+")[0]
    torch.set_flush_denormal(False)
    assert fingerprint("cpu")["subnormals"] == "kept"


@pytest.mark.parametrize(("size", "count"), [("48K", 48 * 1024), ("32M", 2**25), ("512", 512), ("", 0), ("unknown", 0)])
def test_a_caches_size_is_read_as_the_kernel_writes_it(size, count):
    assert _bytes(size) == count


MACHINE = {"processor": "P", "cores": "2", "torch": "2", "python": "3", "commit": "c"}


def samples(seconds, calls=1, host=0.0):
    return Samples(tuple(Window(each, host) for each in seconds), calls, "precise")


def timing(phase, median, **changes):
    given = {"status": "precise", "checked": True, "samples": samples([median] * 30), **changes}
    return Measurement(KernelKey("relu", "", "small", phase), "activations", **given)


@pytest.mark.parametrize(
    ("whole", "share", "words"), [(3.2, None, ""), (3.6, 0.2, "20 % longer"), (2.4, -0.2, "20 % less (overlap)")]
)
def test_phases_that_do_not_add_up_to_the_whole_by_a_tenth_are_named(whole, share, words):
    found = [timing("forward-train", 1.0), timing("backward", 2.0), timing("whole", whole)]
    assert list(gaps(found).values()) == ([] if share is None else [pytest.approx(share)])
    assert words in table(found, {}, MACHINE)
    assert f"{(whole / 3 - 1) * 100:+.0f} % on its phases' sum".replace("-", "−") in table(found, {}, MACHINE)
    (told,) = as_record(found, {}, MACHINE, "now")["sums"]
    assert told["share"] == pytest.approx(whole / 3 - 1)
    assert ("do not add up" in table(found, {}, MACHINE)) is (share is not None)


@pytest.mark.parametrize(
    ("statuses", "interrupted", "code"),
    [
        (["precise", "unconverged"], False, 0),
        (["precise", "refused", "failed"], False, 1),
        (["precise", "failed"], False, 3),
        (["skipped"], False, 3),
        (["not reached"], False, 3),
        (["refused", "not reached"], True, 130),
    ],
)
def test_the_exit_code_tells_what_became_of_the_cases(statuses, interrupted, code):
    found = tuple(timing("forward", 1.0, status=status) for status in statuses)
    assert Timed(found, {}, MACHINE, "now", interrupted).exit_code == code


def test_the_table_has_a_row_per_phase_with_evidence_and_says_what_has_no_number(ceilings):
    rows = [
        timing("forward", 1.234e-5, status="unconverged", samples=samples([1.234e-5] * 30, calls=82)),
        replace(
            timing("backward", 2e-3, samples=samples([2e-3] * 30, host=1.0), wall=samples([3e-3] * 10)),
            key=KernelKey("relu", "", "small", "backward", Setting("cuda")),
        ),
        timing("step", 0.0, status="refused", reason="it is\nwrong", samples=None),
    ]
    text = table(rows, {"float32": ceilings}, MACHINE)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "P, 2 cores, torch 2, Python 3, revision c" in lines
    reached = "ceilings: 100 GFLOP/s, 10 GB/s from memory (100 from a cache), 1 µs a launch"
    assert f"cpu, float32, 1 thread, hot cache; {reached}" in lines
    assert "relu/small forward 12.3 µs −0.0 +0.0 % 0.0 % 30 × 82 – – – – unconverged" in lines
    assert "relu/small backward 2 ms −0.0 +0.0 % 0.0 % 30 × 1 – – – – host-bound, end to end 3 ms" in lines
    assert "No number for 1 of 3 phases:" in lines
    assert "relu/small step: refused: it is wrong" in lines


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (9.996e-4, "1,000 µs"), (4.2e-8, "42 ns"), (1e-10, "0.1 ns")]
)
def test_a_duration_is_told_in_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1_048_576, "1 MiB"), (2.5e9, "2.33 GiB")])
def test_a_number_of_bytes_is_told_in_the_unit_that_suits_it(count, text):
    assert size(count) == text


def test_the_json_keeps_every_sample_the_setting_and_the_machine(bench, ceilings):
    bench.add("double", bench.doubling(), phases=("forward",))
    found = bench.run()
    record = json.loads(json_text(as_record(found, {"float32": ceilings}, MACHINE, "2020-01-01T00:00:00+00:00")))
    (kept,) = record["measurements"]
    assert kept["seconds"] == list(found[0].samples.seconds)
    assert kept["setting"] == {
        "device": "cpu",
        "dtype": "float32",
        "threads": 1,
        "compiled": False,
        "cold": False,
        "kind": "hot",
    }
    assert kept["summary"]["median"] == found[0].summary.median
    assert (record["format"], record["what"], record["machine"]) == (1, "timings", MACHINE)
    assert record["ceilings"]["float32"]["flops"] == 1e11


def test_a_key_is_one_word_where_it_is_stored_and_comes_back_a_record():
    key = KernelKey("adam", "fused", "small", "step", Setting(dtype="float64", threads=2, cold=True))
    assert (key.case, str(key)) == ("adam[fused]", "adam[fused]/small")
    assert KernelKey.of_record({**key.as_record(), "status": "precise"}) == key
    plain = KernelKey("relu", "", "small", "forward")
    assert KernelKey.of_record(plain.as_record()) == plain
    # As rows were keyed before keys were records: SHA-256 of the sorted JSON of what as_record() returns.
    setting = '{"cold":false,"compiled":false,"device":"cpu","dtype":"float32","kind":"hot","threads":1}'
    text = f'{{"case":"relu","phase":"forward","setting":{setting},"size":"small"}}'
    assert plain.digest == hashlib.sha256(text.encode()).hexdigest()


def test_an_unknown_interval_is_null_in_json_and_unknown_in_the_table():
    found = timing("forward", 1.0, samples=samples([1.0]), status="unconverged")
    assert found.summary.low == -math.inf
    record = json.loads(json_text(as_record([found], {}, MACHINE, "now")))
    assert record["measurements"][0]["summary"]["low"] is None
    assert "unknown" in table([found], {}, MACHINE)
