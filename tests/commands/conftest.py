"""The command line called in this process, where no real process is asked about."""

from __future__ import annotations

import signal
import sys

import pytest

from d2lbench import __main__ as entry


@pytest.fixture
def call(monkeypatch, capsys, house):
    """Call the command line in the house's folder and return exit code, output and errors."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(house.folder)
    for name in ("D2LBENCH_STORE", "D2LBENCH_DEVICE", "D2LBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)

    def calls(*arguments):
        monkeypatch.setattr(sys, "argv", ["d2lbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            entry.main()
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    yield calls
    signal.signal(signal.SIGTERM, before)
