"""Files written whole or not at all, and JSON that every reader takes."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from d2lbench.core.errors import StoreError


def json_text(content: Any) -> str:
    """Return JSON that every reader takes: what is not a finite number is null."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_file(path: Path, content: str) -> None:
    """Write a text file as a whole or not at all.

    Raises
    ------
    StoreError
        It cannot be written; says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", newline="\n", delete=False) as draft:
            draft.write(content)
        Path(draft.name).replace(path)
    except OSError as error:
        problem = f"{path} could not be written: {error.strerror or error}; choose another place with -o"
        raise StoreError(problem) from error
