"""Put a report together: one section a grid, from nothing but the grid and the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from d2lbench.analysis.checks import check_views
from d2lbench.analysis.claims import judge
from d2lbench.analysis.costs import cost_table, known_costs
from d2lbench.analysis.model import Report, Section
from d2lbench.analysis.panels import figure_groups
from d2lbench.analysis.published import beside_published
from d2lbench.analysis.results import Results
from d2lbench.analysis.tables import arm_table, kernel_table
from d2lbench.analysis.timings import kernels
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import REGISTRY
from d2lbench.core.spec import COMPONENT_KEYS, NO_STOPPING, SCALAR_KEYS, Component, Config, spelled
from d2lbench.core.version import __version__
from d2lbench.store.machines import environment_of

if TYPE_CHECKING:
    from d2lbench.analysis.costs import CostKey, Costs
    from d2lbench.grid.model import Grid
    from d2lbench.store import Store


def results_of(grid: Grid, store: Store, environment: str, *, contents: bool = True) -> Results:
    """Return a grid's runs, read from the store in one go."""
    place = environment_of(grid, store, environment)
    runs = store.runs(place, [cell.id for cell in grid.cells()], contents=contents)
    return Results(grid, runs, environment=place)


def assemble(
    grids: Sequence[Grid], store: Store, environment: str, command: str, cost_key: CostKey | None = None
) -> Report:
    """Return the report on some grids at one scale.

    ``cost_key`` tells which program a configuration trains; without it, arms have no costs.
    """
    costs = known_costs(store, environment, cost_key) if cost_key else None
    sections = tuple(section(results_of(grid, store, environment), store, costs) for grid in grids)
    return Report(
        scale=grids[0].scale if grids else "quick",
        sections=sections,
        command=command,
        environment=environment,
        provenance=_provenance(store, environment),
        untested=tuple(pair for grid in grids for pair in _untested(grid)),
        version=__version__,
        kernels=kernels(store, environment),
    )


def section(results: Results, store: Store, costs: Costs | None = None) -> Section:
    """Return everything about one grid."""
    grid = results.grid
    seen = {claim.id: store.claim_seen(grid.name, grid.scale, claim.id, claim.digest) for claim in grid.claims}
    datasets = sorted({arm.config.dataset.name for arm in grid.arms if isinstance(arm.config, Config)})
    table = kernel_table(results) if grid.is_timed else arm_table(results)
    return Section(
        name=grid.name,
        title=grid.title,
        question=grid.question,
        scale=grid.scale,
        size=grid.size_text,
        setting=(*_setting(grid), *_machine(results, store)),
        seeds=tuple(grid.seeds),
        counts=results.counts(),
        reasons=results.reasons(),
        claims=judge(results, seen),
        table=table,
        figures=figure_groups(results),
        checks=check_views(results),
        data=tuple((name, REGISTRY.get(DatasetTraits, name).traits.checksum) for name in datasets),
        published=beside_published(results),
        costs=cost_table(results, table, None if grid.is_timed else costs),
    )


def _setting(grid: Grid) -> tuple[tuple[str, str], ...]:
    """Return the first context's baseline, key by key; nothing of what it does without (clipping, early stopping)."""
    arm = next((arm for arm in grid.arms if arm.is_baseline), grid.arms[0] if grid.arms else None)
    if arm is None:
        return ()
    if not isinstance(arm.config, Config):
        return ((arm.config.experiment.kind, arm.config.experiment.label()),)
    values = ((key, getattr(arm.config, key)) for key in (*COMPONENT_KEYS, *SCALAR_KEYS) if key != "replica")
    return tuple(
        (key, _described(value) if isinstance(value, Component) else spelled(value))
        for key, value in values
        if value not in (None, NO_STOPPING)
    )


def _machine(results: Results, store: Store) -> tuple[tuple[str, str], ...]:
    """Return what a grid's kernels were timed on; nothing of a grid that trains, whose machine is everybody's."""
    if not results.grid.is_timed or not results.runs:
        return ()
    told = dict(_provenance(store, results.environment))
    return tuple((name, told[name]) for name in ("processor", "gpu", "cores", "torch", "load") if name in told)


def _described(component: Component) -> str:
    """Return a component with all of its options, defaults too: a reader should not have to look them up."""
    derived = REGISTRY.get(component.kind, component.name).traits.derived
    options = [(name, value) for name, value in component.options if value is not None and name not in derived]
    inner = ", ".join(f"{name}={spelled(value)}" for name, value in options)
    return f"{component.name}({inner})" if inner else component.name


def _provenance(store: Store, environment: str) -> tuple[tuple[str, str], ...]:
    """Return what the runs were made with; where several machines or versions took part, all of their values."""
    found: dict[str, dict[str, None]] = {}
    for origin in store.provenances(environment):
        for key, value in origin.items():
            found.setdefault(key, {})[str(value)] = None
    return tuple((key, "; ".join(values)) for key, values in found.items())


def _untested(grid: Grid) -> list[tuple[str, str]]:
    elsewhere = [claim for claim in grid.claims if not claim.asked]
    reasons = [(claim.id, f"asked at the scale {' and '.join(claim.scales)} only") for claim in elsewhere]
    return [*reasons, *((f"{each.id}: {each.says}", each.reason) for each in grid.untested)]
