"""The harness put to the test on this machine: `python -m benchmarks.harness.self_tests -o reports/timing`.

What it must find is put there, and what is equal must come out equal. The same rules are proved on simulated machines
by the tests; here they meet this machine's clocks, caches and neighbours.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from scipy import stats

from benchmarks.harness import page
from d2lbench.core.generators import generator
from d2lbench.core.registry import Registry
from d2lbench.engine.process import prepare_process
from d2lbench.store.timings import Setting
from d2lbench.timing.clock import Clock, HostClock, clock_of
from d2lbench.timing.kernels import Built, cases
from d2lbench.timing.measure import Harness
from d2lbench.timing.windows import RULES, Pair, Rule, Samples, collect, collect_pair, summarize, undisturbed

#: ``unsure``: this machine is too noisy to say.
Verdict = Literal["holds", "fails", "unsure", "not run"]

#: A sleep of this length is known within a thousandth: waking up takes about 0.1 ms.
SLEEP, SLEEP_ERROR = 0.1, 0.01
#: Base does 20 products and the slower one 21: 5 % more of the same work.
PRODUCTS, SIDE = 20, 64
FOUND_AT_LEAST, ALARMS_AT_MOST = 0.90, 0.01
#: A share is refuted where so many or more come by luck in less than this.
LUCK = 0.01
PAIR_SECONDS = 1.0
#: On the host, this many launches of the smallest kernel with a wait after each: no device can be kept busy so.
LAUNCHES = 3


@dataclass(frozen=True)
class Finding:
    """One self-test: what must hold, what was found, and the verdict; ``reason`` says why it is neither yes nor no."""

    name: str
    claim: str
    found: str
    verdict: Verdict
    reason: str = ""


def self_tests(device: str = "cpu", *, trials: int = 100, pairs: int = 300) -> Iterator[Finding]:
    """Yield every finding; ``trials`` injected slow-downs and ``pairs`` equal ones take a second each at most."""
    clock = clock_of(device)
    yield known_sleep()
    yield slow_downs(device, clock, trials)
    yield equal_pairs(device, clock, pairs)
    yield host_bound(device)
    yield wrong_kernel(device)


def known_sleep(
    seconds: float = SLEEP, clock: Clock | None = None, sleep: Callable[[float], object] = time.sleep
) -> Finding:
    """Time a sleep of known length."""
    claim = f"a sleep of {1e3 * seconds:g} ms comes back within {SLEEP_ERROR:.0%}"
    with undisturbed():
        samples = collect(
            lambda: sleep(seconds), clock or HostClock(), Rule(SLEEP_ERROR / 10, least=15), time.monotonic() + 5
        )
    error = samples.summary.median / seconds - 1
    return _judged(
        "sleep", claim, f"{error:+.2%} from {samples.summary.windows} windows", holds=abs(error) <= SLEEP_ERROR
    )


def slow_downs(device: str, clock: Clock, trials: int) -> Finding:
    """Time products beside 5 % more of them, again and again; found is what is called slower.

    Where too few are found because too many trials end before their ratio is known as well as kernels' times are, the
    machine is to blame and not the rule.
    """
    base, slower = (_products(device, count) for count in (PRODUCTS, PRODUCTS + 1))
    seen = list(_pairs(base, slower, device, clock, trials))
    found, needed = sum(pair.slower for pair in seen), FOUND_AT_LEAST * trials
    noisy = sum(summarize(pair.ratios).precision > RULES[device].precision for pair in seen)
    claim = f"an injected slow-down of {1 / PRODUCTS:.0%} is found in {FOUND_AT_LEAST:.0%} of trials or more"
    told = f"{found} of {trials}"
    if found < needed <= found + noisy:
        within = f"{RULES[device].precision:.0%} within {PAIR_SECONDS:g} s"
        return Finding("slow-down", claim, told, "unsure", f"too noisy: {noisy} ratios are not known to {within}")
    return _judged("slow-down", claim, told, holds=found >= needed)


def equal_pairs(device: str, clock: Clock, pairs: int) -> Finding:
    """Time products beside the same products; whatever is called different is a false alarm.

    A true rate of 1 % shows more than 1 % in half of all runs: it is refuted by a count that luck does not explain.
    """
    first, second = _products(device, PRODUCTS), _products(device, PRODUCTS)
    alarms = sum(pair.differ for pair in _pairs(first, second, device, clock, pairs))
    claim = f"equal pairs are called different in {ALARMS_AT_MOST:.0%} of trials at most"
    luck = float(stats.binom.sf(alarms - 1, pairs, ALARMS_AT_MOST))
    told = f"{alarms} of {pairs}; so many or more come by luck in {luck:.0%} of runs at a rate of {ALARMS_AT_MOST:.0%}"
    return _judged("equal pairs", claim, told, holds=luck >= LUCK)


def host_bound(device: str) -> Finding:
    """Time a call that waits for the device after every launch: its time is the host's, and it must be labelled so."""
    claim = "a case that its host holds up is labelled host-bound, and one that it does not is not"
    if device == "cpu":
        reason = "there is no CUDA device; tested on simulated ones"
        return Finding("host-bound", claim, "", "not run", reason)
    one, side = torch.ones(1, device=device), 4096
    big = torch.randn(side, side, generator=generator(0, "self-test"), device="cpu").to(device)

    def waiting() -> None:
        for _ in range(LAUNCHES):
            one.neg_()
            torch.cuda.synchronize()

    labels = [_collected(call, clock_of(device), device).host_bound for call in (waiting, lambda: big @ big)]
    return _judged(
        "host-bound", claim, f"waiting: {labels[0]}, a large product: {labels[1]}", holds=labels == [True, False]
    )


def wrong_kernel(device: str) -> Finding:
    """Hand the harness a ReLU that lets a thousandth of the negative side through, forward and back."""
    registry = Registry()

    def leaky(device: str, dtype: torch.dtype, /) -> Built:
        """A ReLU that is none."""
        x = torch.randn(4096, generator=generator(0, "self-test")).to(device, dtype).requires_grad_()
        call, other = (lambda x: torch.nn.functional.leaky_relu(x, 1e-3)), (lambda x: x * (x > 0))
        return Built(call, (x,), reference=other, flops={"forward": 4096, "backward": 4096})

    registry.register("kernel", "leaky", group="self-tests", phases=("forward", "backward"))(leaky)
    (case,) = cases(registry)
    measured = list(Harness(Setting(device)).measure(case, case.phases, 1.0))
    refused = all(each.status == "refused" and each.samples is None for each in measured)
    return _judged("wrong kernel", "a wrong kernel gets no number", measured[0].reason or "it was timed", holds=refused)


def _products(device: str, count: int) -> Callable[[], None]:
    a, b = (torch.randn(SIDE, SIDE, generator=generator(0, "self-test", key)).to(device) for key in "ab")
    result = torch.empty_like(a)

    def call() -> None:
        for _ in range(count):
            torch.mm(a, b, out=result)

    return call


def _pairs(
    first: Callable[[], object], second: Callable[[], object], device: str, clock: Clock, count: int
) -> Iterator[Pair]:
    for _ in range(count):
        with torch.no_grad(), undisturbed():
            yield collect_pair(first, second, clock, RULES[device], time.monotonic() + PAIR_SECONDS)


def _collected(call: Callable[[], object], clock: Clock, device: str) -> Samples:
    with torch.no_grad(), undisturbed():
        return collect(call, clock, RULES[device], time.monotonic() + PAIR_SECONDS)


def _judged(name: str, claim: str, found: str, *, holds: bool) -> Finding:
    return Finding(name, claim, found, "holds" if holds else "fails")


def told(each: Finding) -> str:
    """Return what was found, and why that is neither yes nor no."""
    return "; ".join(part for part in (each.found, each.reason) if part)


def lines(found: list[Finding], device: str) -> list[str]:
    """Return the page."""
    rows = [(each.claim, told(each), each.verdict) for each in found]
    return [
        "# The timing harness put to the test",
        "",
        "What must be found is put there, and what is equal must come out equal. The same rules are proved on",
        "simulated machines by `tests/timing`; here they meet a real one. Pairs are timed in turn, window by window,",
        "and called different where the 99.5 % interval of the median ratio does not hold 1.",
        "",
        *page.table(("must hold", "found", "verdict"), rows),
        "",
        page.machine(device),
        "",
        "Made by `python -m benchmarks.harness.self_tests`; the numbers are in [self-tests.json](self-tests.json).",
    ]


def main() -> int:
    """Run the self-tests, print what each finds, write the page; 1 where one fails."""
    parser = page.options("Put the timing harness to the test on this machine.")
    parser.add_argument("--trials", type=int, default=100, help="injected slow-downs")
    parser.add_argument("--pairs", type=int, default=300, help="pairs of equal kernels")
    given = parser.parse_args()
    prepare_process(1)
    found = []
    for each in self_tests(given.device, trials=given.trials, pairs=given.pairs):
        found.append(each)
        print(f"{each.verdict:<8} {each.claim}: {told(each)}", flush=True)  # noqa: T201  (its output)
    records = [asdict(each) for each in found]
    print(page.publish(given.output, "self-tests", lines(found, given.device), records, given.device))  # noqa: T201
    return int(any(each.verdict == "fails" for each in found))


if __name__ == "__main__":
    sys.exit(main())
