"""Facts about leases: they save work, and never wedge."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from d2lbench.store import LEASE_SECONDS, Store, leases, this_owner


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""

    class Clock:
        now = 1_000_000.0

    monkeypatch.setattr(leases.time, "time", lambda: Clock.now)
    return Clock


def lease(store, stack, owner):
    """Try to take one stack; say whether that worked."""
    return store.lease_some([stack], owner, 1) == (stack,)


def test_a_held_stack_is_refused_to_others_but_not_to_its_holder(store):
    assert lease(store, "stack", "one")
    assert not lease(store, "stack", "two")
    assert lease(store, "stack", "one")
    assert lease(store, "another", "two")


def test_a_lease_runs_out_when_its_holder_is_not_heard_of(store, clock):
    lease(store, "stack", "one")
    clock.now += LEASE_SECONDS - 1
    assert not lease(store, "stack", "two")
    clock.now += 2
    assert lease(store, "stack", "two")


def test_a_beat_renews_all_leases_of_the_owner(store, clock):
    lease(store, "stack", "one")
    lease(store, "another", "one")
    clock.now += LEASE_SECONDS - 1
    store.beat("one")
    clock.now += LEASE_SECONDS - 1
    assert not lease(store, "stack", "two")
    assert not lease(store, "another", "two")


def test_a_clock_that_jumps_back_does_not_wedge_a_stack(store, clock):
    lease(store, "stack", "one")
    clock.now -= 10 * 365 * 86_400
    assert lease(store, "stack", "two")


def test_releasing_gives_back_one_lease_or_all(store):
    for stack in ("a", "b", "c"):
        lease(store, stack, "one")
    store.release("one", "a")
    assert (lease(store, "a", "two"), lease(store, "b", "two")) == (True, False)
    store.release("one")
    assert (lease(store, "b", "two"), lease(store, "c", "two")) == (True, True)


def test_of_several_stacks_the_first_free_ones_are_taken(store):
    lease(store, "b", "other")
    assert store.lease_some(["a", "b", "c", "d"], "one", 2) == ("a", "c")
    assert store.lease_some(["b"], "one", 1) == ()


def test_the_lease_of_a_process_that_has_ended_is_free_at_once(store):
    code = "from d2lbench.store import this_owner; print(this_owner())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    lease(store, "stack", ended)
    lease(store, "mine", this_owner())
    assert lease(store, "stack", "two")
    assert not lease(store, "mine", "two")


def test_a_reused_process_number_does_not_hold_a_lease(store):
    place, _, rest = this_owner().partition(":")
    lease(store, "stack", f"{place}:{os.getpid()}:1:{rest[-8:]}")
    assert lease(store, "stack", "two")


def test_a_process_of_another_machine_is_waited_for(store):
    lease(store, "stack", "0123456789abcdef:1:1:00000000")
    assert not lease(store, "stack", "two")


def test_two_connections_see_each_others_leases(store):
    with Store(store.path) as other:
        lease(store, "stack", "one")
        assert not lease(other, "stack", "two")
