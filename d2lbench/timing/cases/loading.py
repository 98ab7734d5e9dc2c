"""An epoch of loading, and an epoch of training with it: torch's DataLoader with workers, against resident images.

All hand out the same shuffled batches of images in 0…1 with their labels, on the device. What is checked is the sum of
all that an epoch hands out: each image once.
"""

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
_TRAITS: dict[str, Any] = {
    "group": "loading",
    "phases": ("step",),
    "sizes": {"small": {"examples": 2_000}, "large": {"examples": 20_000, "batch": 256}},
    "tiny": {"examples": 7, "batch": 3, "pixels": 4},
}
#: Where an epoch's batches come from: always the same one, all of them on the device, or a loader with workers.
_SOURCES: Final[dict[str, dict[str, Any]]] = {
    "computing": {"loading": "none"},
    "resident": {"loading": "resident"},
    **{f"workers-{workers}": {"loading": "loader", "workers": workers} for workers in (0, 1, 2, 4)},
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


def _resident(pixels: torch.Tensor, labels: torch.Tensor, dtype: torch.dtype, batch: int) -> Batches:
    """Yield an epoch of images (N, pixels) that lie on the device as bytes, gathered by batch and scaled."""
    import torch

    for rows in torch.split(torch.randperm(len(labels), device=labels.device), batch):
        yield pixels.index_select(0, rows).to(dtype).div_(_WHITE), labels[rows]


def _loader(
    examples: Any, device: str, dtype: torch.dtype, batch: int, workers: int
) -> tuple[Callable[[], Batches], Callable[[], None]]:
    """Return what yields an epoch's batches by torch's DataLoader, (B, pixels) and (B), and what ends its workers."""
    from torch.utils.data import DataLoader

    held: list[DataLoader[Any]] = []

    def epoch() -> Batches:
        for images, labels in held[0]:
            yield images.flatten(1).to(device, dtype), labels.to(device)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are more workers than cores, or threads beside them, is the case
        held.append(DataLoader(examples, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0))
        for _ in epoch():  # starts the workers, here and not in a window
            pass
    return epoch, held.clear


def _summed(epoch: Callable[[], Batches], pixels: int, device: str) -> Callable[[], torch.Tensor]:
    """Return a call that adds up all images of an epoch."""
    import torch

    def call() -> torch.Tensor:
        total = torch.zeros(pixels, dtype=torch.float64, device=device)
        for images, _ in epoch():
            total += images.double().sum(0)
        return total

    return call


def _epoch(
    epoch: Callable[[], Batches], x: torch.Tensor, device: str, dtype: torch.dtype, close: Callable[[], None] | None
) -> Built:
    """Build from a function that yields an epoch's batches; a byte is read and a number written for each pixel."""

    def step() -> None:
        for _ in epoch():
            pass

    return Built(
        _summed(epoch, x.shape[1], device),
        reference=lambda: (x.double().sum(0) / _WHITE).to(device),
        tolerance=tolerance(dtype),
        step=step,
        flops={"step": float(x.numel())},
        bytes={"step": float(x.numel() * (1 + dtype.itemsize))},
        close=close,
    )


@register("kernel", "load-resident", **_TRAITS)
def load_resident(
    device: str, dtype: torch.dtype, /, *, examples: Count = 2_000, batch: Count = 64, pixels: Count = 784
) -> Built:
    """An epoch of images that lie on the device as bytes: gathered by batch and scaled, 1 operation for each pixel."""
    import torch

    x, y = whole_numbers("cpu", 256, examples, pixels).to(torch.uint8), whole_numbers("cpu", 10, examples)
    there = x.to(device), y.to(device)
    return _epoch(lambda: _resident(*there, dtype, batch), x, device, dtype, None)


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

    x, y = whole_numbers("cpu", 256, examples, pixels).to(torch.uint8), whole_numbers("cpu", 10, examples)
    epoch, close = _loader(Images(x, y, dtype), device, dtype, batch, workers)
    return _epoch(epoch, x, device, dtype, close)


def _source(
    x: torch.Tensor, y: torch.Tensor, device: str, dtype: torch.dtype, batch: int, loading: str, workers: int
) -> tuple[Callable[[], Batches], Callable[[], None] | None]:
    """Return what yields an epoch's batches, (B, 784) and (B), and what ends its workers."""
    import torch

    if loading == "loader":
        import PIL.Image  # noqa: F401  (here once, and not in each worker)
        import torchvision.transforms.functional  # noqa: F401  (the same)

        return _loader(Pictures(x, y), device, dtype, batch, workers)
    pixels, labels = x.flatten(1).to(device), y.to(device)
    if loading == "resident":
        return (lambda: _resident(pixels, labels, dtype, batch)), None
    ready = pixels[:batch].to(dtype) / _WHITE

    def same() -> Batches:
        for rows in torch.split(torch.arange(len(y)), batch):
            yield ready[: len(rows)], labels[: len(rows)]

    return same, None


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

    def reference() -> torch.Tensor:
        rows = torch.arange(examples) if loading != "none" else torch.cat([torch.arange(size) for size in sizes])
        return (x.flatten(1)[rows].double().sum(0) / _WHITE).to(device)

    def step() -> None:
        for images, labels in epoch():
            train(images, labels)

    return Built(
        _summed(epoch, pixels, device),
        reference=reference,
        tolerance=tolerance(dtype),
        step=step,
        flops={"step": sum(operations(size, pixels, width) for size in sizes)},
        bytes={"step": float(x.numel() * (1 + dtype.itemsize))},
        close=close,
    )
