"""The plain loop on resident data, one thread, as the other peers run it."""

import torch
from benchopt import BaseSolver

from benchmarks.versus.processes import train


class Solver(BaseSolver):
    """One arm: an optimizer, its rate and its momentum, as one word."""

    name = "Resident"
    parameters = {  # noqa: RUF012  (benchopt reads them so)
        "arm": ["sgd-0.1-0.0"],
        "epochs": [20],
    }

    def set_objective(self, seed):
        """Put the task together."""
        optimizer, rate, momentum = self.arm.rsplit("-", 2)
        options = {"lr": float(rate)} | ({"momentum": float(momentum)} if float(momentum) else {})
        self.task = {
            "dataset": "digits", "model": "mlp", "hidden": (64,), "loss": "cross-entropy", "optimizer": optimizer,
            "options": options, "epochs": self.epochs, "batch_size": 64, "seed": seed,
        }  # fmt: skip

    def warm_up(self):
        """Set the threads before the clock runs; nothing is trained twice."""
        torch.set_num_threads(1)

    def run(self, _):
        """Train to the last epoch, evaluating after each."""
        self.curves = train(self.task)

    def get_result(self):
        """Return the curves."""
        return {"curves": self.curves}
