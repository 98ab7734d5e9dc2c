"""One SQLite file that holds every run: the only door between making and reading.

One transaction a stack, so a kill at any moment loses no finished stack and shows no half row. The key of a run is
(cell identity, environment); leases only save work when several processes share a store, correctness rests on the key.
"""

from __future__ import annotations

from d2lbench.core.runs import FINISHED, Run
from d2lbench.store.database import SCHEMA_VERSION
from d2lbench.store.leases import LEASE_SECONDS, this_owner
from d2lbench.store.machines import machine_key
from d2lbench.store.store import Store
from d2lbench.store.timings import Timing

__all__ = ["FINISHED", "LEASE_SECONDS", "SCHEMA_VERSION", "Run", "Store", "Timing", "machine_key", "this_owner"]
