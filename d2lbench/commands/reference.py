"""The page of everything that a grid can name, as Markdown, from what is registered and nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from d2lbench.core.kinds import DatasetTraits, ExperimentTraits, KernelTraits, LossTraits, MetricTraits
from d2lbench.core.registry import REQUIRED
from d2lbench.core.spec import spelled
from d2lbench.grid.kernels import phases_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from d2lbench.core.kinds import Options, Traits
    from d2lbench.core.registry import Entry, Option, Registry

COMMAND: Final = "d2lbench list --format markdown"
#: The kinds in the order of a reader's questions, each with where a grid names it; kinds that are missing come last.
KINDS: Final[Mapping[str, str]] = {
    "dataset": 'What is learned: `dataset = "digits"` in a grid\'s base, or `{ name = "digits", train_size = 300 }`.',
    "model": 'What learns: `model = { name = "mlp", hidden = [64] }`.',
    "activation": 'What stands between layers, an option of models: `model = { name = "mlp", activation = "tanh" }`.',
    "init": 'Where the weights start: `init = "xavier-uniform"`.',
    "loss": 'What training lowers: `loss = "cross-entropy"`.',
    "regularizer": 'What keeps the weights small or the units apart: `regularizer = { name = "l2", strength = 1e-3 }`.',
    "optimizer": 'How a step is taken: `optimizer = { name = "sgd", lr = 0.1 }`. Each equals the one in `torch.optim`.',
    "schedule": 'How the rate changes in the course of training: `schedule = "cosine"`. All of them can warm up first.',
    "stopping": 'When training ends before its last epoch: `stopping = "patience"`.',
    "metric": 'What a claim measures: `metric = "test_accuracy"`, or `{ name = "sparsity", measure = "share" }`.',
    "statistic": 'How a claim sums up several values of its metric: `statistic = "slope"`, along the axis `over`.',
    "experiment": 'What is measured without training, in place of a dataset, a model and all that: `experiment = "…"`.',
    "kernel": "What is timed, in place of all the others, by `d2lbench time --claims`: "
    '`kernel = { name = "relu", size = "small", phase = "forward" }`. Beside its own options each takes `size` and '
    "`implementation`, which stand for some of them, and `phase`, `dtype`, `threads`, `cold` and `compiled`.",
}
_TOP: Final = f"""# What a grid can name

Everything that is registered, with its options: what each takes, and its default. An option is written into its
thing's table; a bare name means the defaults. A list where one value is taken makes arms, in `vary`, `product`, `zip`
and `tune`.

This page is the output of `{COMMAND}`; do not edit it. `d2lbench list KIND` tells of one kind, and `--plugin FILE`
adds what a file of your own registers."""
_HEADINGS: Final = {"init": "Initializers", "loss": "Losses", "stopping": "Stopping"}
#: The underline of a docstring's section: prose ends before its title.
_SECTION: Final = re.compile(r"\n[^\n]+\n-{3,}\n")


def page(registry: Registry, kind: str | None = None) -> str:
    """Return the page of all kinds that have entries, or the part of one kind."""
    if kind is not None:
        return _part(registry, kind)
    known = [name for name in KINDS if registry.entries(name)]
    kinds = known + [name for name in registry.kinds() if name not in KINDS]
    contents = [f"- [{heading(name)}](#{heading(name).lower()}): {_joined(registry.names(name))}" for name in kinds]
    return "\n\n".join([_TOP, "\n".join(contents), *(_part(registry, name) for name in kinds)])


def heading(kind: str) -> str:
    """Return the title of a kind's part."""
    return _HEADINGS.get(kind, f"{kind.capitalize()}s")


def default_text(option: Option) -> str:
    """Return in words what an option is when it is not given: ``default 0.1``, ``required``, ``optional``."""
    if option.default is REQUIRED:
        return "required"
    if option.default is None:
        return "optional"
    return f'default "{option.default}"' if isinstance(option.default, str) else f"default {spelled(option.default)}"


def _part(registry: Registry, kind: str) -> str:
    introduction = [KINDS[kind]] if kind in KINDS else []
    return "\n\n".join([f"## {heading(kind)}", *introduction, *(_entry(entry) for entry in registry.entries(kind))])


def _entry(entry: Entry[Traits]) -> str:
    facts = _facts(entry)
    options = [f"- `{option.name}`: {option.allowed}; {default_text(option)}" for option in entry.options.values()]
    parts = [f"### {entry.name}", *prose(entry), "; ".join(facts), "\n".join(options)]
    return "\n\n".join(part for part in parts if part)


def prose(entry: Entry[Traits]) -> tuple[str, ...]:
    """Return the paragraphs of an entry's docstring, a line each, up to its first section; as Markdown."""
    text = _SECTION.split(inspect.getdoc(entry.factory) or "")[0]
    marked = re.sub(r":\w+:`([^`]+)`", r"`\1`", text.replace("``", "`"))
    return tuple(_paragraph(paragraph) for paragraph in marked.split("\n\n") if paragraph.strip())


def _paragraph(text: str) -> str:
    """Return a paragraph on one line, a list with its items a line each."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and not line.startswith("- "):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return "\n".join(lines)


def _joined(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _facts(entry: Entry[Traits]) -> list[str]:
    """Return what is declared of a thing, in words."""
    traits = entry.traits
    if isinstance(traits, DatasetTraits):
        return _dataset_facts(traits, {option.name: option.default for option in entry.options.values()})
    if isinstance(traits, LossTraits):
        return [] if traits.task is None else ["For any task" if traits.task == "any" else f"For {traits.task}"]
    if isinstance(traits, MetricTraits):
        return _metric_facts(traits)
    if isinstance(traits, ExperimentTraits):
        return [f"Measures {_joined(traits.metrics)}"] if traits.metrics else []
    return _kernel_facts(traits) if isinstance(traits, KernelTraits) else []


def _dataset_facts(traits: DatasetTraits, defaults: Options) -> list[str]:
    """Return shape, task and sizes, all at the defaults."""
    shape, classes = traits.shape_with(defaults), traits.classes_with(defaults)
    facts = [
        f"Shape {' × '.join(map(str, shape))}",
        f"{classes} classes" if classes else traits.task,
        ", ".join(f"{count:,} {_SPLITS.get(name, name)}" for name, count in traits.sizes.items() if count),
        "" if traits.embedded else "read from `$D2LBENCH_DATA`",
    ]
    return [fact for fact in facts if fact]


_SPLITS = {"train": "train", "validation": "validate", "test": "test"}


def _metric_facts(traits: MetricTraits) -> list[str]:
    """Return the unit, how two sides are compared, a claim's margins by default, and which way is better."""
    values = [spelled(value) for value in dict.fromkeys(traits.margins.values())]
    compared = f"compared by {traits.as_}"
    facts = [
        *([f"Unit: {traits.unit}", compared] if traits.unit else [compared.capitalize()]),
        f"margin {' (quick), '.join(values)}{' (full)' if len(values) > 1 else ''}" if values else "",
        f"{traits.better} is better" if traits.better else "",
    ]
    return [fact for fact in facts if fact]


def _kernel_facts(traits: KernelTraits) -> list[str]:
    """Return the group, the phases, and what a grid can call sizes and implementations."""
    facts = [f"Group: {traits.group or 'none'}", f"phases {_joined(phases_of(traits))}"]
    for name, choices in (("sizes", traits.sizes), ("implementations", traits.implementations)):
        facts += [f"{name} {_joined(choices)}"] if choices else []
    return facts
