"""What the published pages of live measurements share: their options, a table, the machine, the raw numbers beside."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from d2lbench.core.files import write_file
from d2lbench.timing.machine import fingerprint


def options(about: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every page has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/timing"), help="folder of the page")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def machine(device: str) -> str:
    """Return the sentence that says where and when this was measured, and how busy the machine was."""
    facts = fingerprint(device)
    where = facts.get("gpu", facts["processor"])
    busy = f"load {facts['load']:.1f} on {facts['cores']} cores"
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    threads = f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}"
    return (
        f"Measured on {when}: {where}, {threads}, {busy} (a load beyond the threads is other work), "
        f"torch {facts['torch']}, Python {facts['python']}, revision {facts['commit']}."
    )


def publish(folder: Path, name: str, lines: Iterable[str], record: object, device: str) -> Path:
    """Write a page and, beside it, what it was made of."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {"machine": fingerprint(device), "found": record}
    write_file(folder / f"{name}.json", json.dumps(raw, indent=1, default=str) + "\n")
    page = folder / f"{name}.md"
    write_file(page, "\n".join(lines).rstrip("\n") + "\n")
    return page
