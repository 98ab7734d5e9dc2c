"""Facts about ceilings: which of them binds, and how near a time is to it."""

from __future__ import annotations

import pytest

from d2lbench.timing.roofline import Work, place


@pytest.mark.parametrize(
    ("work", "bound", "least"),
    [
        (Work(flops=1e9, bytes=1e6, launches=1), "compute", 1e9 / 1e11),
        (Work(flops=1e6, bytes=2**27, launches=1), "memory", 2**27 / 1e10),
        (Work(flops=1e3, bytes=1e3, launches=4), "launch", 4e-6),
    ],
)
def test_the_ceiling_that_alone_takes_longest_binds_and_its_share_is_told(ceilings, work, bound, least):
    found = place(work, 2 * least, ceilings)
    assert found.bound == bound
    assert found.share == pytest.approx(0.5)
    assert found.flops_per_second == pytest.approx(work.flops / (2 * least))
    assert found.bytes_per_second == pytest.approx(work.bytes / (2 * least))


def test_what_fits_into_a_cache_is_held_against_the_cache_unless_it_is_cold(ceilings):
    assert ceilings.bandwidth(2**18, cold=False) == 1e11
    assert ceilings.bandwidth(2**18 + 1, cold=False) == 1e10
    assert ceilings.bandwidth(2**30, cold=False) == 1e10
    assert ceilings.bandwidth(1, cold=True) == 1e10
