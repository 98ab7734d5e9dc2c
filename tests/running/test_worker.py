"""What a worker process is like before it trains anything."""

from __future__ import annotations

import gc
import os

import pytest

from d2lbench.engine.process import MEMORY, THREADS
from d2lbench.running.pool import Pool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    pool = Pool(1, "cpu")
    yield pool
    pool.stop()


def test_a_worker_has_one_thread_and_keeps_its_memory(pool):
    import torch

    assert pool.call(torch.get_num_threads).result(60) == 1
    for name, value in (THREADS | MEMORY).items():
        assert pool.call(os.getenv, name).result(60) == value


def test_a_worker_collects_garbage_but_not_what_it_imported(pool):
    assert pool.call(gc.isenabled).result(60)
    assert pool.call(gc.get_freeze_count).result(60) > 10_000
