"""`d2lbench export`: a row per cell, or the weights that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.commands import flags
from d2lbench.commands.printing import show

if TYPE_CHECKING:
    from d2lbench.api.session import Request


@flags.takes_request("output", "jobs")
def export(request: Request, *, output: flags.OutputFile = None, form: flags.Form = flags.Format.csv) -> None:
    """Write a row per cell: its configuration, what became of it, and a column per metric.

    With --format safetensors, write the final weights of grids that say keep_weights = true: a file per cell into the
    folder that -o names.
    """
    from d2lbench.analysis.export import as_csv
    from d2lbench.api import export as api
    from d2lbench.core.errors import UsageError
    from d2lbench.core.files import json_text, write_file

    if form is flags.Format.safetensors:
        if output is None:
            problem = "export --format safetensors: name a folder with -o"
            raise UsageError(problem)
        show(f"{api.export_weights(request, output)} files in {output}")
        return
    table = api.export(request)
    is_csv = form is flags.Format.csv
    content = as_csv(table) if is_csv else json_text(table.astype(object).to_dict("records")) + "\n"
    if output is None:
        show(content, end="")
    else:
        write_file(output, content)
        show(str(output))
