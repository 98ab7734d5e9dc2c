"""Training: one loop for any number of rows, which reads from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import dropouts, linears
from d2lbench.engine.batches import Feed, Uniforms
from d2lbench.engine.journal import Journal
from d2lbench.engine.module import packed_row
from d2lbench.engine.outcome import Outcome
from d2lbench.engine.plan import WEIGHTS, Stack, model_of, regularization_of
from d2lbench.engine.probes import (
    PROBED,
    Evaluation,
    Oscillation,
    change_probes,
    constant_predictor,
    network_probes,
    weight_probes,
)
from d2lbench.engine.schedules import Rates
from d2lbench.engine.stacked import DTYPES, Stacked, initial
from d2lbench.engine.updates import Penalties, families
from d2lbench.spec import Cell, Config, Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.catalogue.losses import PerExample


def prepare_process(threads: int = 1) -> None:
    """Set what numbers depend on in this process: threads, denormals flushed to zero, no reduced precision."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("highest")


def train(stack: Stack, *, device: str = "cpu") -> list[Outcome]:
    """Run every cell of a stack and return what became of each, in the stack's order.

    A cell that diverges is an outcome like any other and leaves its neighbours' bits alone; an experiment's own
    errors are not caught.
    """
    if isinstance(stack.cells[0].config, Measurement):
        return [measure(cell) for cell in stack.cells]
    return Training(stack, device).run()


def measure(cell: Cell) -> Outcome:
    """Return the outcome of an experiment that does not train: each of its metrics as a series with x = [0]."""
    experiment = cell.config.experiment  # type: ignore[union-attr]
    found: Mapping[str, float] = (
        load().get("experiment", experiment.name).factory(cell.seed, **dict(experiment.options))
    )
    series = {name: (np.zeros(1), np.array([value], dtype=np.float64)) for name, value in found.items()}
    return Outcome(cell.id, "done", series=series)


class Training:
    """The training of one stack."""

    def __init__(self, stack: Stack, device: str) -> None:
        self.cells, self.series = stack.cells, stack.series
        config: Any = self.cells[0].config
        assert isinstance(config, Config)
        model, self.dtype = model_of(config), DTYPES[config.dtype]
        self.feed = Feed(self.cells, self.dtype, device)
        self.program = Stacked(model)
        self.parameters = initial(self.cells, model, self.dtype, device)
        self.gradients = torch.zeros_like(self.parameters.block)  # (M, N)
        self.families = families(self.cells, self.parameters.block)
        self.penalties = Penalties(self.cells, self.parameters)
        self.masks = self._masks(device) if "dropout" in regularization_of(config) else None
        self.per_example: PerExample = load().get("loss", config.loss.name).factory(**dict(config.loss.options))
        self.sizes = torch.tensor(self.feed.batch_sizes(), dtype=torch.float64, device=device)  # (T,)
        self.rates = Rates(self.cells, len(self.sizes))
        widest = max(layer.outputs for layer in linears(model))
        self.evaluation = Evaluation(self.program, self.feed, self.per_example, widest)
        self.oscillation = Oscillation(self.parameters.block) if "step_oscillation" in self.series else None
        self.journal = Journal(self.cells)

    def _masks(self, device: str) -> Uniforms:
        model = self.program.model
        rates = [regularization_of(cell.config)["dropout"] for cell in self.cells]  # type: ignore[arg-type]
        rates = [row * len(dropouts(model)) if len(row) == 1 else row for row in rates]
        return Uniforms(self.feed.streams, model, rates, device)

    def run(self) -> list[Outcome]:
        """Train every row to its own last epoch."""
        self.journal.note_constants(*(vector.cpu() for vector in constant_predictor(self.feed)))
        self.observe(0)
        for epoch in range(1, self.journal.last_epoch + 1):
            self.train_epoch(epoch)
            self.observe(epoch)
            self.rates.watch(epoch, self.journal.at(epoch))
            if not self.journal.running(epoch + 1):
                break
        return self.journal.outcomes()

    def train_epoch(self, epoch: int) -> None:
        """Take one step for every batch; nothing is read back from the device before the epoch's end."""
        P, G, leaves = self.parameters.block, self.gradients, self.parameters.leaves  # (M, N), (M, N)  # noqa: N806
        self.begin(epoch)
        losses = torch.empty(len(self.sizes), len(P), dtype=self.dtype, device=P.device)  # (T, M)
        health = torch.empty_like(losses)
        tiny = torch.full_like(P[0], 1e-9)  # (N,)
        for t, (x, y) in enumerate(self.feed.batches(epoch)):  # (M, B, features), (M, B)
            o = self.program(self.parameters, x, self.masks)  # (M, B, classes)
            loss = self.per_example(o, y).mean(1)  # (M,)
            gradients = torch.autograd.grad(loss.sum(), leaves)  # rows meet in this sum alone
            with torch.no_grad():
                torch.cat([g.flatten(1) for g in gradients], dim=1, out=G)
                self.penalties.add_to(G)
                for family in self.families:
                    family.update(G, t)
                losses[t] = loss
                # Finite where every parameter is: the sum cannot overflow. A gradient that is not finite makes its
                # parameter so in the same step, as every optimizer multiplies it into the parameter.
                torch.mv(P, tiny, out=health[t])
                if self.oscillation is not None:
                    self.oscillation.step()
        self.close(epoch, losses, health)

    def begin(self, epoch: int) -> None:
        """Prepare an epoch's rates and dropout's draws."""
        rates = self.rates.of(epoch)  # (T, M)
        on_device = torch.from_numpy(rates).to(self.parameters.block.device)
        for family in self.families:
            family.begin(on_device, (epoch - 1) * len(rates) + 1)
        if self.masks is not None:
            self.masks.begin(epoch, self.dtype)
        self.journal.note(epoch, {"learning_rate": rates[0]})

    def close(self, epoch: int, losses: torch.Tensor, health: torch.Tensor) -> None:
        """Write down an epoch's mean batch loss, weighted by examples, and judge its steps; (T, M) both."""
        mean = (losses.double() * self.sizes[:, None]).sum(0) / self.sizes.sum()
        self.journal.note(epoch, {"batch_loss": mean.cpu()})
        self.journal.note_steps(epoch, losses.double().cpu().numpy(), health.double().cpu().numpy())
        if self.oscillation is not None:
            self.journal.note(epoch, {"step_oscillation": self.oscillation.close().cpu()})

    def observe(self, epoch: int) -> None:
        """Record what is due after an epoch (0: before the first step): evaluation, and the probes at both ends."""
        if epoch == 0 or self.journal.evaluates(epoch):
            self._note(epoch, self.evaluation(self.parameters))
        if epoch == 0 or self.journal.ends(epoch):
            x, y = self.feed.gather(self.feed.rows["train"][:, :PROBED])
            self._note(epoch, network_probes(self.program, self.parameters, self.per_example, x, y))
            self._note(epoch, weight_probes(self.parameters))
        if epoch and self.journal.ends(epoch):
            self._note(epoch, change_probes(self.parameters, self.cells))
            self.journal.note_correctness(epoch, "test", self.evaluation.packed("test"))
            if WEIGHTS in self.series:
                self.journal.note_weights(epoch, lambda row: packed_row(self.parameters, row))

    def _note(self, epoch: int, vectors: Mapping[str, torch.Tensor]) -> None:
        self.journal.note(epoch, {name: vector.cpu() for name, vector in vectors.items()})
