"""Numbers as a reader wants them: accuracy in points, ratios as factors or percent, p-values, intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MINUS: Final = "\N{MINUS SIGN}"  # as wide as a plus
TIMES: Final = "\N{MULTIPLICATION SIGN}"
NOTHING: Final = "\N{EN DASH}"
POINTS: Final = 100.0  # of a share
AS_PERCENT_BELOW: Final = math.log(2)  # "+7.3 %" reads well up to a doubling, a factor from there on
MOST_AS_PERCENT: Final = math.log(100)
PLAIN_UP_TO, PLAIN_FROM = 1e5, 1e-4
MOST_DECIMALS: Final = 6
EXACT_UP_TO: Final = 1e15
_SECONDS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES: Final = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def power_of_ten(exponent: int) -> str:
    """Return ``10⁻³`` for -3."""
    return "10" + str(exponent).translate(_RAISED)


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """Return ``value`` with so many decimals and a real minus; what rounds to zero carries no sign."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return (MINUS if value < 0 else "+" if signed else "") + "∞"
    text = f"{abs(value):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Return ``value`` with so many significant digits: ``0.912``, ``1,250``, or a power of ten."""
    if not math.isfinite(value):
        return fixed(value, 0, signed=signed)
    if value == 0:
        return "0"
    if not PLAIN_FROM <= abs(value) < PLAIN_UP_TO:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        told = fixed(float(mantissa), digits - 1, signed=signed)
        told = told.rstrip("0").rstrip(".") if "." in told else told
        return f"{told} {TIMES} {power_of_ten(int(exponent))}"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = fixed(rounded, decimals, signed=signed)
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    """Return three digits of a time in the unit that suits it: ``12.3 µs``."""
    return NOTHING if math.isnan(seconds) else _in_units(seconds, _SECONDS)


def durations(median: float, low: float, high: float) -> tuple[str, str]:
    """Return a time and the ends of its interval, in the time's unit: ``12.3 µs`` and ``12.1, 12.6``."""
    scale = _unit(median, _SECONDS)[0]
    known = math.isfinite(low) and math.isfinite(high)
    return duration(median), f"{number(low / scale)}, {number(high / scale)}" if known else NOTHING


def size(count: float) -> str:
    """Return three digits of a number of bytes in the unit that suits it: ``1.06 MiB``."""
    return NOTHING if math.isnan(count) else _in_units(count, _BYTES)


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next((unit for unit in units if value >= unit[0]), units[-1])


def _in_units(value: float, units: tuple[tuple[float, str], ...]) -> str:
    scale, name = _unit(value, units)
    return f"{number(value / scale)} {name}"


def exact(value: float) -> str:
    """Return every digit of a whole number, three of any other: counts are not rounded."""
    return (
        fixed(value, 0)
        if math.isfinite(value) and value == round(value) and abs(value) < EXACT_UP_TO
        else number(value)
    )


def p_value(p: float | None) -> str:
    """Return two digits of a p-value: ``0.23``, ``0.012``, ``0.00049``; never "0"."""
    if p is None or math.isnan(p):
        return NOTHING
    if p >= 0.995:  # noqa: PLR2004
        return "1"
    if p >= 0.0995:  # noqa: PLR2004
        return f"{p:.2f}"
    return number(p, 2)


def share(value: float | None) -> str:
    """Return ``83 %`` for 0.83."""
    return NOTHING if value is None else f"{fixed(value * 100, 0)} %"


def seeds_in_words(seeds: tuple[int, ...]) -> str:
    """Return ``12 seeds (0 to 11)``; runs of consecutive seeds are shortened."""
    if not seeds:
        return "no seeds"
    ordered = sorted(set(seeds))
    runs: list[list[int]] = []
    for seed in ordered:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    spans = ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"{counted(len(ordered), 'seed')} ({spans})"


def counted(count: int, thing: str, plural: str = "") -> str:
    """Return ``1 claim``, ``2 claims``, ``3 identities``."""
    return f"{count:,} {thing if count == 1 else plural or thing + 's'}"


def sentence(text: str) -> str:
    """Return ``text`` with a capital letter first and a full stop last."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" else text + "."


@dataclass(frozen=True)
class Effect:
    """A difference and its bounds in words."""

    estimate: str
    interval: str

    @property
    def together(self) -> str:
        """``+1.24 points [+0.80, +1.68]``; without brackets where there is no interval."""
        return f"{self.estimate} [{self.interval}]" if self.interval else self.estimate


@dataclass(frozen=True)
class Unit:
    """How the numbers of one metric are told: its unit, and whether differences are of logs."""

    name: str = ""
    as_ratio: bool = False
    factors: bool | None = None  # tell ratios as factors or in percent; None: whichever suits the numbers

    @property
    def is_share(self) -> bool:
        """Whether values lie in 0…1 and are told in percent, their differences in points."""
        return self.name == "share"

    def level(self, value: float, decimals: int | None = None) -> str:
        """Return a value of the metric: ``91.2 %``, ``0.312``, ``14 epochs``, ``12.3 µs``."""
        if self.name == "s":
            return duration(value)
        if self.is_share:
            percent = fixed(value * POINTS, 1 if decimals is None else decimals)
            return percent if percent == NOTHING else f"{percent} %"
        text = number(value) if decimals is None else fixed(value, decimals)
        return text if text == NOTHING else f"{text}{self._suffix(text)}"

    def levels(self, mean: float, low: float, high: float) -> Effect:
        """Return a mean of the metric and its interval, all with the decimals that the interval's width deserves."""
        factor = POINTS if self.is_share else 1.0
        if not math.isfinite(mean):
            return Effect(NOTHING, NOTHING)
        if self.name == "s":
            return Effect(*durations(mean, low, high))
        decimals = 2 if self.is_share else _decimals(mean, low, high)
        if decimals is None:
            return Effect(self.level(mean), f"{number(low)}, {number(high)}")
        bounds = f"{fixed(low * factor, decimals)}, {fixed(high * factor, decimals)}"
        return Effect(self.level(mean, decimals), bounds if math.isfinite(low) else NOTHING)

    def difference(self, value: float) -> str:
        """Return one difference: ``+1.24 points``, ``+7.3 %``, ``+2 epochs``, or a factor."""
        return self.effect(value, value, value).estimate

    def effect(self, estimate: float, low: float, high: float) -> Effect:
        """Return a mean difference and its interval in one common form."""
        if math.isnan(estimate):
            return Effect(NOTHING, NOTHING)
        if self.as_ratio:
            return _ratio(estimate, low, high, factors=self.factors)
        if self.is_share:
            points = [fixed(value * POINTS, 2, signed=True) for value in (estimate, low, high)]
            return Effect(f"{points[0]} points", f"{points[1]}, {points[2]}")
        decimals = None if low == high == estimate else _decimals(estimate, low, high)
        told = [
            number(value, signed=True) if decimals is None else fixed(value, decimals, signed=True)
            for value in (estimate, low, high)
        ]
        return Effect(f"{told[0]}{self._suffix(told[0])}", f"{told[1]}, {told[2]}")

    def margin(self, margin: float) -> str:
        """Return ``±1 point``, ``±2 epochs``, a factor either way, or ``none``."""
        if margin == 0:
            return "none"
        if self.as_ratio:
            return f"{TIMES}/÷ {number(math.exp(min(margin, 700.0)), 3)}"
        if self.is_share:
            points = number(margin * POINTS, 3)
            return f"±{points} {'point' if points == '1' else 'points'}"
        return f"±{number(margin)}{self._suffix(number(margin))}"

    def _suffix(self, told: str) -> str:
        """Return the unit behind a number; one epoch, two epochs."""
        if not self.name or self.is_share:
            return ""
        one = told.lstrip(f"+{MINUS}") == "1" and self.name.endswith("s") and " " not in self.name
        return f" {self.name[:-1] if one else self.name}"


def times(log: float) -> str:
    """Return a ratio given as natural log: how many times, with ``÷`` below one."""
    if math.isnan(log):
        return NOTHING
    sign = "÷" if log < 0 else TIMES
    if math.isinf(log):
        return f"{sign}∞"
    size = abs(log)
    if size >= math.log(PLAIN_UP_TO):
        return f"{sign}{power_of_ten(round(size / math.log(10)))}"
    factor = number(math.exp(size))
    return f"{TIMES}1" if factor == "1" else f"{sign}{factor}"


def needs_factors(*logs: float) -> bool:
    """Whether a ratio among these natural logs is beyond a doubling or halving."""
    return max((abs(log) for log in logs if not math.isinf(log)), default=math.inf) >= AS_PERCENT_BELOW


def _ratio(estimate: float, low: float, high: float, *, factors: bool | None) -> Effect:
    logs = (estimate, low, high)
    if not (needs_factors(*logs) if factors is None else factors) and not any(
        MOST_AS_PERCENT <= log < math.inf for log in logs
    ):
        percent = [math.inf * log if math.isinf(log) else math.expm1(log) * 100 for log in logs]
        decimals = min(_decimals(*percent) or 0, 2) if any(percent) else 0
        told = [fixed(value, max(1, decimals), signed=True) for value in percent]
        return Effect(f"{told[0]} %", f"{told[1]}, {told[2]}")
    told = [times(log) for log in logs]
    return Effect(told[0], f"{told[1]}, {told[2]}")


def _decimals(estimate: float, low: float, high: float) -> int | None:
    """Decimals that leave two digits of the interval's half width; None where only powers of ten can tell it."""
    half = (high - low) / 2
    known = math.isfinite(half) and half > 0
    size = half if known else abs(estimate)
    if size == 0 or math.isinf(size):
        return 0
    largest = max((abs(value) for value in (estimate, low, high) if math.isfinite(value)), default=size)
    decimals = (1 if known else 2) - math.floor(math.log10(size))
    if largest >= PLAIN_UP_TO or decimals > MOST_DECIMALS:
        return None
    return max(0, decimals)
