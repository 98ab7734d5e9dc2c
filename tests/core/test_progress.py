"""Facts about progress: a bar on a terminal, quiet plain lines elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from d2lbench.core import progress
from d2lbench.core.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 50.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_without_a_terminal_a_plain_line_comes_every_half_minute(clock, capsys):
    with Progress(100) as shown:
        for _ in range(70):
            clock.now += 1
            shown.advance(1, "optimizers")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "optimizers: 30 of 100 cells, 1 a second, 1:10 left",
        "optimizers: 60 of 100 cells, 1 a second, 0:40 left",
    ]


def test_a_short_run_without_a_terminal_says_nothing(clock, capsys):
    with Progress(3) as shown:
        for _ in range(3):
            clock.now += 1
            shown.advance(1, "optimizers")
    assert capsys.readouterr().err == ""


def test_a_clock_that_stands_still_divides_nothing_by_zero(clock):
    del clock
    shown = Progress(3, quiet=True)
    assert shown.line("optimizers") == "optimizers: 0 of 3 cells, 0 a second, unknown time left"
    shown.advance(3, "optimizers")
    assert shown.line("optimizers").endswith("0:00 left")


def test_on_a_terminal_a_bar_shows_count_rate_and_time_left(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(4) as shown:
        shown.advance(4, "optimizers")
    text = sys.stderr.getvalue()
    assert "optimizers: 100%" in text
    assert "4/4" in text
    assert "cells/s" in text
