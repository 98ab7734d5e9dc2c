"""Facts about claims: the first sight counts, and whether data were there before it."""

from __future__ import annotations

import pytest

from d2lbench.store import store as opened


@pytest.fixture
def _moments(monkeypatch):
    moments = iter(["2030-01-01T00:00:00+00:00", "2030-01-02T00:00:00+00:00"])
    monkeypatch.setattr(opened, "now", lambda: next(moments))


@pytest.mark.usefixtures("_moments")
def test_the_first_sight_of_a_claim_is_kept(store):
    store.see_claims([("grid", "quick", "claim", "digest", False)])
    store.see_claims([("grid", "quick", "claim", "digest", True)])
    assert store.claim_seen("grid", "quick", "claim", "digest") == ("2030-01-01T00:00:00+00:00", False)


@pytest.mark.usefixtures("_moments")
def test_a_claim_first_seen_after_its_data_is_marked_so(store):
    store.see_claims([("grid", "quick", "claim", "digest", True)])
    assert store.claim_seen("grid", "quick", "claim", "digest") == ("2030-01-01T00:00:00+00:00", True)


@pytest.mark.usefixtures("_moments")
def test_a_changed_declaration_is_another_claim(store):
    store.see_claims([("grid", "quick", "claim", "digest", False)])
    store.see_claims([("grid", "quick", "claim", "changed", True)])
    assert store.claim_seen("grid", "quick", "claim", "changed") == ("2030-01-02T00:00:00+00:00", True)
    assert store.claim_seen("grid", "full", "claim", "digest") is None
