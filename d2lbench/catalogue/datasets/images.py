"""Published sets of images with a test set of their own: Fashion-MNIST, MNIST, Kuzushiji-MNIST and CIFAR-10.

The validation set is one fixed sample of the training images (5,000 of them, by default), so that every seed is
judged on the same images; what trains is drawn per seed. Pools are read once a process.
"""

from __future__ import annotations

import functools
import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from annotated_types import Ge, Lt

from d2lbench.catalogue.datasets.files import checked_bytes, data_folder, digest_of, refuse_missing
from d2lbench.catalogue.datasets.splits import Fold, Folds, Pool, Splits, TrainSize, refuse_misfits, split
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    from d2lbench.core.spec import Config

    Reader: TypeAlias = Callable[[Path], tuple[Pool, int]]

IDX_FILES: Final = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
CIFAR10_FILE: Final = "cifar-10-binary.tar.gz"
#: The sum that the archive's authors publish beside it.
CIFAR10_MD5: Final = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_PARTS: Final = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
#: A record of the archive: a byte for the class, then 32 × 32 bytes each of red, green and blue.
CIFAR10_RECORD: Final = 1 + 3 * 32 * 32

Validation: TypeAlias = Annotated[int, Ge(0), Lt(50_000)]


@dataclass(frozen=True)
class IdxFiles:
    """Four gzip files in the format of MNIST: images and labels that train and that test.

    Attributes
    ----------
    name
        What a grid calls the dataset.
    published
        What torchvision calls its class and its folder.
    md5
        The sums that torchvision publishes for :data:`IDX_FILES`, in their order.
    """

    name: str
    published: str
    md5: tuple[str, str, str, str]

    def locate(self) -> None:
        """Check, without reading them, that the files are there.

        Raises
        ------
        DataError
            Names the missing file, where it was looked for, and how to get it.
        """
        root = data_folder()
        statements = (
            f"from torchvision.datasets import {self.published}; {self.published}({str(root)!r}, download=True)"
        )
        for file in IDX_FILES:
            layout = f"a folder that torchvision's {self.published}(root=…) reads"
            refuse_missing(self.name, root / self.published / "raw" / file, layout, statements)

    def read(self, root: Path) -> tuple[Pool, int]:
        """Return all images, those that train first, and how many train.

        Raises
        ------
        DataError
            A file is missing or damaged.
        """
        import numpy as np

        self.locate()
        folder = root / self.published / "raw"
        packed = [checked_bytes(self.name, folder / file, md5) for file, md5 in zip(IDX_FILES, self.md5, strict=True)]
        # A header is a magic number and the length of each dimension, four bytes each.
        train, train_y, test, test_y = (
            np.frombuffer(gzip.decompress(content), dtype=np.uint8, offset=header)
            for content, header in zip(packed, (16, 8, 16, 8), strict=True)
        )
        x = np.concatenate([train, test]).reshape(-1, 28 * 28)
        return Pool(x, np.concatenate([train_y, test_y]).astype(np.int64), 1 / 255, 10), len(train_y)


FASHION_MNIST: Final = IdxFiles(
    "fashion-mnist",
    "FashionMNIST",
    (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
)
MNIST: Final = IdxFiles(
    "mnist",
    "MNIST",
    (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
)
KMNIST: Final = IdxFiles(
    "kmnist",
    "KMNIST",
    (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
)


def locate_cifar10() -> None:
    """Check, without reading it, that the archive is there: the binary one, as the other holds pickles.

    Raises
    ------
    DataError
        Names the missing file, where it was looked for, and how to get it.
    """
    root = data_folder()
    layout = f"a folder that holds {CIFAR10_FILE} (the binary version: no pickle is ever read)"
    source = f"https://www.cs.toronto.edu/~kriz/{CIFAR10_FILE}"
    statements = (
        "from torchvision.datasets.utils import download_url; "
        f"download_url({source!r}, {str(root)!r}, md5={CIFAR10_MD5!r})"
    )
    refuse_missing("cifar10", root / CIFAR10_FILE, layout, statements)


def read_cifar10(root: Path) -> tuple[Pool, int]:
    """Return all images as (N, 3 × 32 × 32) bytes, those that train first, and how many train.

    Raises
    ------
    DataError
        The archive is missing or damaged.
    """
    import numpy as np

    locate_cifar10()
    packed = checked_bytes("cifar10", root / CIFAR10_FILE, CIFAR10_MD5)
    parts = {}
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for member in archive:  # one pass: to go back is to unpack from the start again
            content = archive.extractfile(member)
            if content:
                parts[Path(member.name).stem] = np.frombuffer(content.read(), dtype=np.uint8)
    table = np.concatenate([parts[name] for name in CIFAR10_PARTS]).reshape(-1, CIFAR10_RECORD)
    tested = len(parts[CIFAR10_PARTS[-1]]) // CIFAR10_RECORD
    return Pool(table[:, 1:].copy(), table[:, 0].astype(np.int64), 1 / 255, 10), len(table) - tested


@functools.cache
def _read_once(read: Reader, root: Path) -> tuple[Pool, int]:
    return read(root)


def _images(
    name: str,
    read: Reader,
    trained: int,
    summary: str,
    *,
    checksum: str,
    locate: Callable[[], None],
    shape: tuple[int, int, int],
) -> Callable[..., Splits]:
    """Register a published set of images of which ``trained`` may train; ``summary`` becomes its docstring."""

    def factory(
        seed: int,
        /,
        *,
        train_size: TrainSize | None = None,
        validation: Validation = 5_000,
        folds: Folds = 0,
        fold: Fold = 0,
    ) -> Splits:
        import numpy as np

        pool, count = _read_once(read, data_folder())
        order = np.random.default_rng(key_integer(0, name, "validation")).permutation(count)
        parts = (order[validation:], order[:validation], np.arange(count, len(pool.y)))
        return split(pool, parts, seed, train_size=train_size, folds=folds, fold=fold)

    def fits(config: Config) -> None:
        refuse_misfits(config, trained - config.dataset.get("validation"))

    factory.__doc__ = summary
    factory.__name__ = factory.__qualname__ = name.replace("-", "_")
    sizes = {"train": trained - 5_000, "validation": 5_000, "test": 10_000}
    register(
        DatasetTraits,
        name,
        check=fits,
        classes=10,
        sizes=sizes,
        embedded=False,
        checksum=checksum,
        locate=locate,
        shape=shape,
    )(factory)
    return factory


def _idx(files: IdxFiles, summary: str) -> Callable[..., Splits]:
    return _images(
        files.name,
        files.read,
        60_000,
        summary,
        checksum=digest_of(*files.md5),
        locate=files.locate,
        shape=(1, 28, 28),
    )


fashion_mnist = _idx(
    FASHION_MNIST, "Fashion-MNIST: 70,000 pieces of clothing, 28 × 28 (Xiao, Rasul and Vollgraf 2017)."
)
mnist = _idx(MNIST, "MNIST: 70,000 handwritten digits, 28 × 28 (LeCun, Bottou, Bengio and Haffner 1998).")
kmnist = _idx(KMNIST, "Kuzushiji-MNIST: 70,000 cursive Japanese characters, 28 × 28 (Clanuwat et al. 2018).")
cifar10 = _images(
    "cifar10",
    read_cifar10,
    50_000,
    "CIFAR-10: 60,000 photographs of ten kinds of thing, 3 × 32 × 32 (Krizhevsky 2009).",
    checksum=digest_of(CIFAR10_MD5),
    locate=locate_cifar10,
    shape=(3, 32, 32),
)
