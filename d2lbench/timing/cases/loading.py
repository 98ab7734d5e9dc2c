"""An epoch of loading: torch's DataLoader with workers, against images that already lie on the device.

Both hand out the same shuffled batches of images in 0…1 with their labels, on the device. What is checked is the sum of
all that an epoch hands out: each image once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from annotated_types import Ge

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import Count, tolerance, whole_numbers
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

    Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]

_WHITE: Final = 255
_TRAITS: dict[str, Any] = {
    "group": "loading",
    "phases": ("step",),
    "sizes": {"small": {"examples": 2_000}, "large": {"examples": 20_000, "batch": 256}},
    "tiny": {"examples": 7, "batch": 3, "pixels": 4},
}


@dataclass(frozen=True)
class Images:
    """Examples one at a time, as a data set of files hands them out: bytes become numbers in 0…1 on the way."""

    x: torch.Tensor
    y: torch.Tensor
    dtype: torch.dtype

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return an image (pixels,) and its label."""
        return self.x[index].to(self.dtype) / _WHITE, self.y[index]


def _epoch(
    epoch: Callable[[], Batches], x: torch.Tensor, device: str, dtype: torch.dtype, close: Callable[[], None] | None
) -> Built:
    """Build from a function that yields an epoch's batches; a byte is read and a number written for each pixel."""
    import torch

    def call() -> torch.Tensor:
        total = torch.zeros(x.shape[1], dtype=torch.float64, device=device)
        for images, _ in epoch():
            total += images.double().sum(0)
        return total

    def step() -> None:
        for _ in epoch():
            pass

    width = torch.empty((), dtype=dtype).element_size()
    return Built(
        call,
        reference=lambda: (x.double().sum(0) / _WHITE).to(device),
        tolerance=tolerance(dtype),
        step=step,
        flops={"step": float(x.numel())},
        bytes={"step": float(x.numel() * (1 + width))},
        close=close,
    )


@register("kernel", "load-resident", **_TRAITS)
def load_resident(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    examples: Count = 2_000,
    batch: Count = 64,
    pixels: Count = 784,
) -> Built:
    """An epoch of images that lie on the device as bytes: gathered by batch and scaled, 1 operation for each pixel."""
    import torch

    x, y = whole_numbers("cpu", 256, examples, pixels).to(torch.uint8), whole_numbers("cpu", 10, examples)
    resident, labels = x.to(device), y.to(device)

    def epoch() -> Batches:
        for rows in torch.split(torch.randperm(examples, device=device), batch):
            yield resident.index_select(0, rows).to(dtype).div_(_WHITE), labels[rows]

    return _epoch(epoch, x, device, dtype, None)


@register(
    "kernel",
    "load-workers",
    implementations={str(workers): {"workers": workers} for workers in (0, 1, 2, 4)},
    **_TRAITS,
)
def load_workers(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    workers: Annotated[int, Ge(0)] = 0,
    examples: Count = 2_000,
    batch: Count = 64,
    pixels: Count = 784,
) -> Built:
    """An epoch by torch's DataLoader: one image at a time, scaled, collated, copied; 1 operation for each pixel.

    Workers are started once and kept between epochs, so that an epoch is loading and not the making of processes.
    """
    import torch
    from torch.utils.data import DataLoader

    x, y = whole_numbers("cpu", 256, examples, pixels).to(torch.uint8), whole_numbers("cpu", 10, examples)
    images: Any = Images(x, y, dtype)
    held: list[DataLoader[Any]] = []

    def epoch() -> Batches:
        for pixel, label in held[0]:
            yield pixel.to(device), label.to(device)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are more workers than cores, or threads beside them, is the case
        held.append(DataLoader(images, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0))
        for _ in epoch():  # starts the workers, here and not in a window
            pass
    return _epoch(epoch, x, device, dtype, held.clear)
