"""`d2lbench schema`: the JSON Schema of a grid file."""

from __future__ import annotations

from d2lbench.commands import flags  # noqa: TC001  (typer resolves the annotation)
from d2lbench.commands.printing import show


def schema(*, plugins: flags.Plugins = None) -> None:
    """Print the JSON Schema of a grid file, for editors."""
    from d2lbench.api.session import registered
    from d2lbench.core.files import json_text
    from d2lbench.grid import json_schema

    show(json_text(json_schema(registered(plugins or ()))))
