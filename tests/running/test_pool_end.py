"""What a pool's own thread says after it was told to end is no news; what any other thread says is."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from d2lbench.running import pool as workers


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (SimpleNamespace(kill_workers=True), False),
        (SimpleNamespace(kill_workers=False), True),
        (None, True),
    ],
    ids=["a pool told to end", "a pool at work", "another thread"],
)
def test_only_a_pool_that_was_told_to_end_is_hushed(flags, told, monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", lambda args: heard.append(args.exc_type))
    workers._hush_a_pool_that_ends.__wrapped__()

    def fail():
        raise ValueError

    thread = threading.Thread(target=fail)
    if flags is not None:
        thread.executor_flags = flags
    thread.start()
    thread.join()
    assert heard == ([ValueError] if told else [])
