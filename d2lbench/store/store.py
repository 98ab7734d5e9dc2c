"""The store as it is opened: runs, weights, leases, claims, checkpoints and timings in one SQLite file."""

from __future__ import annotations

from d2lbench.store.checkpoints import Checkpoints
from d2lbench.store.claims import Claims
from d2lbench.store.leases import Leases
from d2lbench.store.runs import Runs
from d2lbench.store.timings import Timings
from d2lbench.store.weights import Weights


class Store(Runs, Weights, Leases, Claims, Checkpoints, Timings):
    """An open store. Use it as a context manager; every method raises :class:`StoreError` when the storage fails."""
