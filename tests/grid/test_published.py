"""Published numbers in a grid: beside which arm they stand, at which scale, and that they change no cell."""

from __future__ import annotations

import pytest

ENTRY = """
[[published]]
id = "theirs"
says = "It ended there."
source = "a book, page 7"
metric = "test_accuracy"
"""
VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'


def published(loaded, rest, before=VARY, **options):
    return loaded(before + ENTRY + rest, **options).published


def test_a_published_number_finds_its_arm_by_what_the_selector_names(loaded):
    (entry,) = published(
        loaded, 'arm = { optimizer = { momentum = 0.9 } }\nvalue = 0.8\ndiffers = ["another data set"]'
    )
    assert (entry.id, entry.arm.label, entry.metric.name) == ("theirs", "sgd(momentum=0.9)", "test_accuracy")
    assert (entry.values, entry.approximate, entry.differs) == ((0.8,), False, ("another data set",))


def test_several_editions_are_several_numbers(loaded):
    (entry,) = published(loaded, 'arm = "baseline"\nvalue = [0.83, 1]\napproximate = true')
    assert entry.values == (0.83, 1.0)
    assert (entry.approximate, entry.arm.is_baseline) == (True, True)


def test_a_context_is_named_by_the_selector(loaded):
    contexts = "[product]\nbatch_size = [16, 32]\n" + VARY
    (entry,) = published(loaded, "arm = { batch_size = 16 }\nvalue = 1", contexts)
    assert entry.arm.is_baseline
    assert entry.arm.config.batch_size == 16
    (entry,) = published(loaded, 'arm = { batch_size = 32, optimizer = "adam" }\nvalue = 1', contexts)
    assert entry.arm.label == "batch_size=32 · adam"


@pytest.mark.parametrize(
    ("rest", "before", "at"),
    [
        ("", "", {"quick", "full"}),
        ("", "[quick]\nepochs = 2\n", {"full"}),
        ('scales = ["quick"]', "[quick]\nepochs = 2\n", {"quick"}),
        ('scales = ["full"]', "", {"full"}),
        ('scales = ["full", "quick"]', "[quick]\nepochs = 2\n", {"quick", "full"}),
    ],
)
def test_a_published_number_stands_where_the_setting_is_that_of_the_file(loaded, rest, before, at):
    text = f'arm = "baseline"\nvalue = 1\n{rest}\n'
    assert {scale for scale in ("quick", "full") if published(loaded, text, before, scale=scale)} == at


def test_published_numbers_change_no_cell_and_no_family(loaded):
    plain, beside = loaded(VARY), loaded(VARY + ENTRY + 'arm = "baseline"\nvalue = 1\n')
    assert [cell.id for cell in plain.cells()] == [cell.id for cell in beside.cells()]
    assert (beside.claims, beside.seeds_required) == ((), 0)


def test_what_a_published_number_reads_is_recorded(loaded):
    entry = ENTRY.replace("test_accuracy", "step_oscillation") + 'arm = "baseline"\nvalue = 1\n'
    assert [metric.name for metric in loaded(entry).metrics] == ["step_oscillation"]
