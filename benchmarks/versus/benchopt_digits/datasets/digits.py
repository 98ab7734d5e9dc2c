"""The digits, split by a seed: what a solver does with the seed is its own reading of the same data."""

from benchopt import BaseDataset


class Dataset(BaseDataset):
    """A seed: the split, the initial weights and the order come from it."""

    name = "Digits"
    parameters = {  # noqa: RUF012  (benchopt reads them so)
        "seed": [0]
    }

    def get_data(self):
        """Return the seed."""
        return {"seed": self.seed}
