"""Training: one loop for any number of rows, which reads from top to bottom."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import dropouts
from d2lbench.catalogue.models import model_of
from d2lbench.catalogue.shapes import widest
from d2lbench.core.runs import Run
from d2lbench.core.spec import Cell, Measurement, configs
from d2lbench.engine.batches import HELD_OUT, SPLITS, Feed, Uniforms
from d2lbench.engine.evaluation import Evaluation, Fit
from d2lbench.engine.journal import Journal
from d2lbench.engine.module import packed_row
from d2lbench.engine.parameters import DTYPES, Parameters, initial
from d2lbench.engine.plan import WEIGHTS, Stack, regularization_of
from d2lbench.engine.probes import (
    PROBED,
    Oscillation,
    change_probes,
    constant_predictor,
    doubt_auroc,
    network_probes,
    weight_probes,
)
from d2lbench.engine.schedules import Rates, Stopping
from d2lbench.engine.stacked import Pass, Stacked, derived, takes_shared
from d2lbench.engine.updates import Penalties, evaluated_block, optimizers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.catalogue.losses import Loss
    from d2lbench.engine.checkpoint import Checkpoint, State


def train(stack: Stack, *, device: str = "cpu", checkpoint: Checkpoint | None = None) -> list[Run]:
    """Run every cell of a stack and return what became of each, in the stack's order.

    A cell that diverges is a result like any other and leaves its neighbours' bits alone; an experiment's own
    errors are not caught. With a checkpoint, training goes on where an earlier one was cut off.
    """
    if isinstance(stack.cells[0].config, Measurement):
        return [measure(cell, stack.series) for cell in stack.cells]
    return Training(stack, device).run(checkpoint)


def measure(cell: Cell, extras: frozenset[str] = frozenset()) -> Run:
    """Return the run of an experiment that does not train: each of its metrics is a series with x = [0]."""
    assert isinstance(cell.config, Measurement)
    experiment = cell.config.experiment
    metrics: Mapping[str, float] = (
        load().get("experiment", experiment.name).factory(cell.seed, **dict(experiment.options))
    )
    series = {name: (np.zeros(1), np.array([value], dtype=np.float64)) for name, value in metrics.items()}
    return Run(cell.id, cell.seed, cell.identity, "done", extras=extras, series=series)


class Training:
    """The training of one stack."""

    def __init__(self, stack: Stack, device: str) -> None:
        self.cells, self.configs, self.series = stack.cells, configs(stack.cells), stack.series
        config = self.configs[0]
        model, self.dtype = model_of(config), DTYPES[config.dtype]
        self.feed = Feed(self.cells, self.dtype, device, takes_shared=takes_shared(model))
        self.program = Stacked(model)
        self.parameters = initial(self.cells, model, self.dtype, device)
        self.gradients = torch.zeros_like(self.parameters.block)  # (M, N)
        self._by_leaf = self.parameters.with_rows(self.gradients).leaves  # views of them
        self.families, self.borrowed = optimizers(self.cells, self.parameters)
        self.penalties = Penalties(self.cells, self.parameters)
        self.masks = self._masks(device) if "dropout" in regularization_of(config) else None
        self.loss: Loss = load().get("loss", config.loss.name).factory(**dict(config.loss.options))
        #: Set to None, autograd finds the gradients.
        self.derived = derived(model, self.loss)
        outputs = self.derived.outputs if self.derived else lambda parameters, x: self.program(Pass(parameters), x)
        self.widest = widest(model, self.feed.shape)
        self.evaluation = Evaluation(outputs, self.feed, self.loss, self.widest)
        self.sizes = torch.tensor(self.feed.batch_sizes(), dtype=torch.float64, device=device)  # (T,)
        self.rates = Rates(self.cells, len(self.sizes))
        self.fit = Fit(model, self.feed, config.loss.name)
        self.oscillation = Oscillation(self.parameters.block) if "step_oscillation" in self.series else None
        self.stopping = Stopping(self.cells, self.parameters)
        self.journal = Journal(self.cells, self.series)

    def _masks(self, device: str) -> Uniforms:
        model = self.program.model
        rates = [regularization_of(config)["dropout"] for config in self.configs]
        rates = [row * len(dropouts(model)) if len(row) == 1 else row for row in rates]
        return Uniforms(self.feed.streams, model, rates, device)

    def run(self, checkpoint: Checkpoint | None = None) -> list[Run]:
        """Train every row to its own last epoch."""
        begun = checkpoint.read() if checkpoint is not None else None
        done = self.begin_anew() if begun is None else self.restore(begun)
        for epoch in range(done + 1, self.journal.last_epoch + 1):
            self.train_epoch(epoch)
            self.stopping.hold()
            self.observe(epoch)
            self.rates.watch(epoch, self.journal.at(epoch))
            if not self.journal.running(epoch + 1):
                break
            if checkpoint is not None:
                checkpoint.offer(functools.partial(self.snapshot, epoch))
        return self.journal.runs()

    def begin_anew(self) -> int:
        """Observe everything before the first step; return 0, the epochs that are done."""
        self.journal.note_constants(*(vector.cpu() for vector in constant_predictor(self.feed, self.loss)))
        self.observe(0)
        return 0

    def snapshot(self, epoch: int) -> State:
        """Return all that the epochs after this one depend on and that a new training of the stack would not know."""
        return {
            "epoch": epoch,
            "block": self.parameters.block,
            "buffers": dict(self.parameters.buffers),
            "families": [family.snapshot() for family in self.families],
            "borrowed": self.borrowed.snapshot() if self.borrowed else None,
            "stopping": self.stopping.snapshot(),
            "journal": self.journal.snapshot(),
        }

    def restore(self, state: State) -> int:
        """Become the training whose snapshot this is; return the epochs that it has done."""
        self.parameters.block.copy_(state["block"])
        for name, buffer in self.parameters.buffers.items():
            buffer.copy_(state["buffers"][name])
        for family, own in zip(self.families, state["families"], strict=True):
            family.restore(own)
        if self.borrowed is not None:
            self.borrowed.restore(state["borrowed"])
        self.stopping.restore(state["stopping"])
        self.journal.restore(state["journal"])
        done = int(state["epoch"])
        for epoch in range(1, done + 1):  # the journal has all that a schedule has looked at
            self.rates.watch(epoch, self.journal.at(epoch))
        return done

    def train_epoch(self, epoch: int) -> None:
        """Take one step for every batch; nothing is read back from the device before the epoch's end."""
        P = self.parameters.block  # (M, N)
        self.begin(epoch)
        losses: list[torch.Tensor] = []
        health = P.new_empty(len(self.sizes), len(P))  # (T, M)
        tiny = torch.full_like(P[0], 1e-9)  # (N,)
        for t, (x, y) in enumerate(self.feed.batches(epoch)):  # (M, B, *shape), (M, B)
            losses.append(self.take(x, y, t))
            # Finite where every parameter is: the sum cannot overflow. A gradient that is not finite makes its
            # parameter so in the same step, as every optimizer multiplies it into the parameter.
            torch.mv(P, tiny, out=health[t])
            if self.oscillation is not None:
                self.oscillation.step()
        self.close(epoch, torch.stack(losses), health)

    def take(self, x: torch.Tensor, y: torch.Tensor, t: int) -> torch.Tensor:
        """Take step t of the epoch (from 0) and return the losses before it, (M,)."""
        return self.borrowed_step(x, y, t) if self.borrowed else self.step(x, y, t)

    def differentiate(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return every row's loss (M,) in training mode and write its gradients to ``gradients``, (M, N)."""
        if self.derived is not None:
            return self.derived(self.parameters, self.masks, x, y, self._by_leaf)
        loss, gradients = self.by_autograd(x, y)
        with torch.no_grad():
            torch.cat([g.flatten(1) for g in gradients], dim=1, out=self.gradients)
        return loss

    def by_autograd(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Return every row's loss (M,) in training mode and its gradients by leaf, which may be sparse."""
        sparse = self.borrowed is not None and self.borrowed.sparse
        o = self.program(Pass(self.parameters, self.masks, batch_statistics=True, track=True, sparse=sparse), x)
        loss = self.loss.per_example(o, y).mean(1)  # (M,)
        leaves = tuple(self.parameters.leaves.values())
        gradients = torch.autograd.grad(loss, leaves, torch.ones_like(loss))  # of the rows' sum, where they meet
        return loss.detach(), gradients

    def step(self, x: torch.Tensor, y: torch.Tensor, t: int) -> torch.Tensor:
        """Move every row by one batch and return the losses before, (M,)."""
        loss = self.differentiate(x, y)
        with torch.no_grad():
            self.penalties.apply(self.gradients)
            for family in self.families:
                family.update(self.gradients, t)
        return loss

    def borrowed_step(self, x: torch.Tensor, y: torch.Tensor, t: int) -> torch.Tensor:
        """Move the only row by a torch optimizer, which may ask for loss and gradients several times."""
        assert self.borrowed is not None
        sparse = self.borrowed.sparse

        def compute() -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
            if sparse:  # goes with no penalties
                loss, gradients = self.by_autograd(x, y)
                return loss, torch.zeros_like(loss), gradients
            loss = self.differentiate(x, y)
            with torch.no_grad():
                self.penalties.apply(self.gradients)
                return loss, self.penalties.sizes(), tuple(g.detach().clone() for g in self._by_leaf.values())

        return self.borrowed.step(compute, t)

    def begin(self, epoch: int) -> None:
        """Prepare an epoch's rates and dropout's draws; build optimizers anew where that is due."""
        rates = self.rates.of(epoch)  # (T, M)
        rates[:, self.stopping.stopped] = 0.0
        on_device = torch.from_numpy(rates).to(self.parameters.block.device)
        before = (epoch - 1) * len(rates)
        due = [row for row, config in enumerate(self.configs) if config.rebuild_at == epoch - 1]
        for family in self.families:
            family.rebuild(due, before)
            family.begin(on_device, before + 1)
        if self.borrowed is not None:
            if due:
                self.borrowed.rebuild()
            self.borrowed.begin(on_device)
        if self.masks is not None:
            self.masks.begin(epoch, self.dtype)
        if self.oscillation is not None:
            self.oscillation.begin()
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
        shown = self.shown()
        if epoch == 0 or self.journal.evaluates(epoch):
            self.evaluate(epoch, shown)
            if epoch and self.stopping.active and self.stopping.watch(epoch, self.journal.at(epoch), shown.block):
                shown = self.shown()
                self.evaluate(epoch, shown)  # some row went back to its best: that is what it ends with
        if epoch == 0 or self.journal.ends(epoch):
            x, y = self.feed.gather(self.feed.rows["train"][:, :PROBED])
            x = self.feed.streams.spread(x) if self.feed.shares else x
            self._note(epoch, network_probes(self.program, shown, self.loss.per_example, x, y, self.widest))
            self._note(epoch, weight_probes(shown))
        if epoch and self.journal.ends(epoch):
            self._note(epoch, change_probes(shown, self.cells))
            if self.feed.classes:
                self.journal.note_correctness(epoch, "test", self.evaluation.packed("test"))
            if "doubt_auroc" in self.series and self.masks is not None and self.feed.classes:
                self._note(epoch, doubt_auroc(self.program, shown, self.feed, self.loss, self.masks))
            if self.stopping.active:
                self._note(epoch, {"stopped": torch.from_numpy(self.stopping.epochs)})
            if WEIGHTS in self.series:
                self.journal.note_weights(epoch, lambda row: packed_row(shown, row))

    def shown(self) -> Parameters:
        """Return the parameters at which the networks are judged."""
        block = evaluated_block(self.families, self.parameters.block, self.stopping.returned)
        return self.parameters if block is self.parameters.block else self.parameters.with_rows(block)

    def evaluate(self, epoch: int, shown: Parameters) -> None:
        """Note losses and accuracies of the splits that are due, and how far a linear fit still is from the best."""
        with_training = epoch == 0 or self.journal.evaluates(epoch, training=True)
        evaluated = self.evaluation(shown, SPLITS if with_training else HELD_OUT)
        self._note(epoch, evaluated)
        self._note(epoch, self.fit(shown, evaluated))

    def _note(self, epoch: int, vectors: Mapping[str, torch.Tensor]) -> None:
        self.journal.note(epoch, {name: vector.cpu() for name, vector in vectors.items()})
