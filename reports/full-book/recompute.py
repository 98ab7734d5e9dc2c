"""Recompute every p of claims.csv from seeds.csv: `python recompute.py`. Needs Python 3.11 and SciPy.

Ends with exit code 1 when any p differs. For up to 13 differences d of a claim of direction, one line does the same:
scipy.stats.permutation_test((d,), numpy.mean, permutation_type="samples", n_resamples=2 ** len(d)).pvalue
"""

import csv
import sys
from bisect import bisect_left
from math import fsum
from pathlib import Path

import numpy as np
from scipy import stats

TIE = 1e-12  # numbers nearer than this share of their size are equal: accuracies are fractions, rounded in binary


def moved(differences, shift):
    """Subtract the shift; what equals it is exactly 0."""
    pairs = ((d, d - shift) for d in differences)
    return [0.0 if abs(away) <= TIE * max(abs(d), abs(shift)) else away for d, away in pairs]


def share_of_patterns(values):
    """Share of all 2^n sign patterns whose sum is at least the observed one, by meeting in the middle."""
    least = fsum(values) - TIE * fsum(map(abs, values))
    if len(values) > 40:
        return drawn(values, least)
    half, sums = len(values) // 2, ([0.0], [0.0])
    for side, part in zip(sums, (values[:half], values[half:])):
        for value in part:
            side[:] = [s - value for s in side] + [s + value for s in side]
    left, right = sums[0], sorted(sums[1])
    short = sum(bisect_left(right, least - s) for s in left)
    return (len(left) * len(right) - short) / (len(left) * len(right))


def drawn(values, least, both=False):
    """A million random patterns from the key that the report used."""
    generator, extreme = np.random.Generator(np.random.Philox(key=0x5197F11B5)), 0
    for _ in range(100):
        sums = (2 * generator.integers(0, 2, size=(10_000, len(values)), dtype=np.int8) - 1) @ np.array(values)
        extreme += int(np.count_nonzero((abs(sums) if both else sums) >= least))
    return (extreme + 1) / (10**6 + 1)


def one_sided(differences, shift, signs_only):
    """p that the mean (or, with signs only, the typical seed) lies above the shift."""
    values = moved(differences, shift)
    if not signs_only:
        return share_of_patterns(values)
    above, below = sum(v > 0 for v in values), sum(v < 0 for v in values)
    return stats.binomtest(above, above + below, 0.5, "greater").pvalue if above + below else 1.0


def two_sided(differences, signs_only):
    """p that the mean (or the typical seed) differs from 0."""
    values = differences if fsum(differences) >= 0 else [-d for d in differences]
    if signs_only:
        above, below = sum(v > 0 for v in values), sum(v < 0 for v in values)
        return stats.binomtest(above, above + below, 0.5).pvalue if above + below else 1.0
    least = fsum(values) - TIE * fsum(map(abs, values))
    if least <= 0:
        return 1.0
    return drawn(values, least, both=True) if len(values) > 40 else 2 * share_of_patterns(values)


def p_of(rows):
    """The p that support rests on, from one part's seeds."""
    differences = [float(row["difference"]) for row in rows]
    signs_only = any("true" in (row["first_diverged"], row["second_diverged"]) for row in rows)
    relation, margin = rows[0]["relation"], float(rows[0]["margin"])
    if relation == "greater":
        return two_sided(differences, signs_only)
    above = one_sided(differences, -margin, signs_only)
    if relation == "no_worse":
        return above
    return max(above, one_sided([-d for d in differences], -margin, signs_only))


def main():
    folder, seeds, wrong = Path(__file__).parent, {}, 0
    for row in csv.DictReader((folder / "seeds.csv").open(encoding="utf-8", newline="")):
        seeds.setdefault((row["grid"], row["claim"], row["part"]), []).append(row)
    for row in csv.DictReader((folder / "claims.csv").open(encoding="utf-8", newline="")):
        if not row["p"]:
            continue
        p = p_of(seeds[row["grid"], row["claim"], row["part"]])
        agrees = abs(p - float(row["p"])) <= 1e-9
        wrong += not agrees
        print(f"{row['grid']:20} {row['claim']:34} {row['part']:>2}  p {p:.6g}  {'agrees' if agrees else 'REPORTED ' + row['p']}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
