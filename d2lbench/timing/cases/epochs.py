"""An epoch of training on small images, from a loader with workers, from the device, or without any loading at all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import Count, tolerance, whole_numbers
from d2lbench.timing.cases.training import CLASSES, concise, operations, start
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

    Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]

_WHITE: Final = 255
_SIDE: Final = 28


@dataclass(frozen=True)
class Pictures:
    """Images one at a time, as torchvision hands out Fashion-MNIST: a picture is made of bytes, then a tensor of it."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return an image (1, 28, 28) in 0…1 and its label."""
        from PIL import Image
        from torchvision.transforms.functional import to_tensor

        return to_tensor(Image.fromarray(self.x[index].numpy())), int(self.y[index])


#: Where an epoch's batches come from: always the same one, all of them on the device, or a loader with workers.
_SOURCES: Final[dict[str, dict[str, Any]]] = {
    "computing": {"loading": "none"},
    "resident": {"loading": "resident"},
    **{f"workers-{workers}": {"loading": "loader", "workers": workers} for workers in (0, 1, 2, 4)},
}


def _source(
    x: torch.Tensor, y: torch.Tensor, device: str, dtype: torch.dtype, batch: int, loading: str, workers: int
) -> tuple[Callable[[], Batches], Callable[[], None] | None]:
    """Return what yields an epoch's batches, (B, 784) and (B), and what ends its workers."""
    import torch

    pixels, labels = x.flatten(1).to(device), y.to(device)
    if loading == "loader":
        return _loader(Pictures(x, y), device, dtype, batch, workers)
    ready = pixels[:batch].to(dtype) / _WHITE

    def same() -> Batches:
        for rows in torch.split(torch.arange(len(y)), batch):
            yield ready[: len(rows)], labels[: len(rows)]

    def resident() -> Batches:
        for rows in torch.split(torch.randperm(len(y), device=device), batch):
            yield pixels.index_select(0, rows).to(dtype).div_(_WHITE), labels[rows]

    return (resident if loading == "resident" else same), None


def _loader(
    pictures: Pictures, device: str, dtype: torch.dtype, batch: int, workers: int
) -> tuple[Callable[[], Batches], Callable[[], None]]:
    import PIL.Image  # noqa: F401  (here once, and not in each worker)
    import torchvision.transforms.functional  # noqa: F401  (the same)
    from torch.utils.data import DataLoader

    data: Any = pictures
    held: list[DataLoader[Any]] = []

    def epoch() -> Batches:
        for images, labels in held[0]:
            yield images.flatten(1).to(device, dtype), labels.to(device)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are more workers than cores is the case
        held.append(DataLoader(data, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0))
        for _ in epoch():  # starts the workers, here and not in a window
            pass
    return epoch, held.clear


@register(
    "kernel",
    "train-epoch",
    group="training",
    phases=("step",),
    sizes={"small": {"examples": 2_560}, "large": {"examples": 20_480}},
    tiny={"examples": 7, "batch": 3, "width": 4},
    implementations=_SOURCES,
    dtypes=("float32",),
)
def train_epoch(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    examples: Count = 2_560,
    batch: Count = 256,
    width: Count = 256,
    loading: Literal["none", "resident", "loader"] = "none",
    workers: Annotated[int, Ge(0)] = 0,
) -> Built:
    """An epoch of training the perceptron on images of 28 × 28, of which ``computing`` alone loads none.

    The book's loader makes a picture and then a tensor of each image, one at a time (section 4.2); workers are started
    once. What is checked is the sum of all images that an epoch hands out. Counted like ``train-step``, batch by batch.
    """
    import torch

    pixels = _SIDE**2
    x = whole_numbers("cpu", _WHITE + 1, examples, _SIDE, _SIDE).to(torch.uint8)
    y = whole_numbers("cpu", CLASSES, examples)
    epoch, close = _source(x, y, device, dtype, batch, loading, workers)
    train = concise(start(device, dtype, pixels, width), "none")[0]

    sizes = [batch] * (examples // batch) + [examples % batch] * bool(examples % batch)

    def call() -> torch.Tensor:
        total = torch.zeros(pixels, dtype=torch.float64, device=device)
        for images, _ in epoch():
            total += images.double().sum(0)
        return total

    def reference() -> torch.Tensor:
        rows = torch.arange(examples) if loading != "none" else torch.cat([torch.arange(size) for size in sizes])
        return (x.flatten(1)[rows].double().sum(0) / _WHITE).to(device)

    def step() -> None:
        for images, labels in epoch():
            train(images, labels)

    return Built(
        call,
        reference=reference,
        tolerance=tolerance(dtype),
        step=step,
        flops={"step": sum(operations(size, pixels, width) for size in sizes)},
        bytes={"step": float(x.numel() * (1 + torch.empty((), dtype=dtype).element_size()))},
        close=close,
    )
