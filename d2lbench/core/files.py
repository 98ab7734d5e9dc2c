"""Files replaced whole or not at all, the user's cache, and JSON that every reader takes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import platformdirs

from d2lbench.core.errors import StoreError


def json_text(content: Any) -> str:
    """Return JSON that every reader takes: what is not a finite number is null."""
    return json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)


def plain(content: Any) -> Any:
    """Return the same content as JSON reads it back, None in the place of what is not a finite number.

    Python's own encoder, not pydantic's: the two spell small numbers differently (1e-05 and 1e-5).
    """
    return json.loads(json.dumps(content), parse_constant=lambda _: None)


def cache_folder() -> Path:
    """Return where the user's cache keeps what is ours: on Linux ``$XDG_CACHE_HOME/d2lbench`` or ``~/.cache/…``."""
    return platformdirs.user_cache_path("d2lbench", appauthor=False)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file as a whole or not at all, in UTF-8; not forced to the disk.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file that a user asked for as a whole or not at all.

    Raises
    ------
    StoreError
        It cannot be written; says why.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        problem = f"{path} could not be written: {error.strerror or error}; choose another place with -o"
        raise StoreError(problem) from error
