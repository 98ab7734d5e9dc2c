"""What makes a fresh process fit to train or to measure in."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: How often a worker shows that it is alive, in seconds.
PULSE_SECONDS = 1.0
#: What makes a process single-threaded, set before it starts.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
#: What has glibc keep the memory of one activation for the next: a megabyte that is handed back and asked for anew
#: costs several times what is computed with it. The first is the largest that glibc takes.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**29)}


def prepare(driver: int, folder: Path, plugins: tuple[Path, ...]) -> None:
    """Make a fresh process a worker: it ends with its driver, uses one thread, and knows the plugins."""
    gc.disable()  # what is imported stays: to walk it over and over takes a tenth of the time
    pulse = folder / str(os.getpid())
    pulse.touch()
    threading.Thread(target=_show_life, args=(driver, pulse), daemon=True).start()

    from d2lbench import catalogue
    from d2lbench.catalogue import plugins as loading

    catalogue.load()
    loading.load(plugins)
    prepare_process(threads=1)
    gc.freeze()  # loky collects garbage between stacks, 0.1 s each time if it walks all that was imported
    gc.enable()


def _show_life(driver: int, pulse: Path) -> None:
    """Touch a file as long as this process runs and its driver lives; end with it."""
    while os.getppid() == driver:
        try:
            os.utime(pulse)
        except OSError:  # the driver has put the folder away: it is stopping
            break
        time.sleep(PULSE_SECONDS)
    os._exit(1)


def prepare_process(threads: int = 1) -> None:
    """Set what numbers depend on in this process: threads, denormals flushed to zero, no reduced precision.

    Convolutions on a GPU would otherwise be rounded to TF32, ten bits: of the two, torch spares products alone.
    """
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
