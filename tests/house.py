"""The house as its imports draw it: rooms, floors, circles. `tox -e house` prints it, and tests hold it to rules."""

from __future__ import annotations

import argparse
import ast
import graphlib
import itertools
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import grimp

PACKAGE = "d2lbench"


@dataclass(frozen=True)
class House:
    """Every module of the package with the modules that it imports, anywhere in it and for whatever reason."""

    imports: dict[str, frozenset[str]]

    @classmethod
    def read(cls):
        graph = grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)
        return cls({module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules})

    @property
    def modules(self):
        return {module for module in self.imports if module.partition(".")[0] == PACKAGE}

    @property
    def rooms(self):
        """Return each room with the rooms that it imports: folders, and modules beside them."""
        rooms = {room_of(module): set() for module in self.modules if module != PACKAGE}
        for module in self.modules - {PACKAGE}:
            imported = {room_of(each) for each in self.imports[module] if each in self.modules and each != PACKAGE}
            rooms[room_of(module)] |= imported - {room_of(module)}
        return rooms

    @property
    def floors(self):
        """Return each room's floor: one above the highest room that it imports, by way of any import."""
        floors = {}
        for room in graphlib.TopologicalSorter(self.rooms).static_order():
            floors[room] = 1 + max((floors[below] for below in self.rooms[room]), default=0)
        return floors

    @property
    def circle(self):
        """Return modules that import each other in a circle; empty where there are none."""
        own = {module: self.imports[module] & self.modules for module in self.modules}
        try:
            graphlib.TopologicalSorter(own).prepare()
        except graphlib.CycleError as error:
            return error.args[1]
        return []

    def reached(self, *rooms):
        """Return everything that modules of these rooms import, directly or through others."""
        found, waiting = set(), [module for module in self.modules if room_of(module) in rooms]
        while waiting:
            for module in self.imports[waiting.pop()] - found:
                found.add(module)
                waiting.append(module)
        return found


def room_of(module):
    """Return the folder or the module under the package: ``d2lbench.grid.load`` is of ``grid``."""
    return module.split(".")[1] if "." in module else ""


def text(house):
    floors = house.floors
    lines = [f"{len(floors)} rooms on {max(floors.values())} floors, {len(house.modules)} modules"]
    for floor, rooms in itertools.groupby(sorted(floors, key=lambda room: (-floors[room], room)), key=floors.get):
        lines += [f"{floor}  {room:<10}  imports {', '.join(sorted(house.rooms[room])) or 'nothing'}" for room in rooms]
    return "\n".join([*lines, f"circles of modules: {' → '.join(house.circle) or 'none'}"])


def draw(house, path):
    """Draw the rooms floor by floor, each with what its docstring says first, and the arrows that no others imply."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": PACKAGE, "svg.fonttype": "none"}
    arrows, places = implied_by_no_others(house.rooms), placed(house)
    height = max(floor for _, floor in places.values())
    figure = Figure(figsize=(11, 1.15 * height), layout="constrained")
    axes = figure.subplots()
    for room, other in arrows:
        (x, y), (u, v) = places[room], places[other]
        style = {"arrowstyle": "-|>", "color": "0.6"}
        axes.annotate("", (u, v + 0.3), (x, y - 0.3), arrowprops=style)
    for room, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#eef3fa", "edgecolor": "#33507a"}
        lines = textwrap.wrap(first_sentence(room), 34)
        axes.text(x, y, "\n".join([room, *lines]), ha="center", va="center", bbox=box, fontsize=8.5, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0.4, height + 0.6), xticks=[], yticks=range(1, height + 1), ylabel="floor")
    axes.set_title("A room imports what its arrows lead to, and what those import.", fontsize=9, loc="left")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def implied_by_no_others(rooms):
    """Return the arrows from room to room without those that a way over another room implies."""
    below = {room: set(rooms[room]).union(*(rooms[other] for other in rooms[room])) for room in rooms}
    for _ in rooms:
        below = {room: below[room].union(*(below[other] for other in below[room])) for room in rooms}
    return [
        (room, other) for room in rooms for other in rooms[room]
        if not any(other in below[way] for way in rooms[room] - {other})
    ]  # fmt: skip


def placed(house):
    """Return where each room stands, across (0 to 1) and its floor: in the order that makes the arrows shortest.

    A room alone on its floor stands above what it imports. Odd floors are narrower, so that an arrow that passes one
    does not meet its rooms.
    """
    floors, arrows, best = house.floors, implied_by_no_others(house.rooms), {}
    members = [sorted(room for room in floors if floors[room] == each) for each in sorted(set(floors.values()))]
    for order in itertools.product(*map(itertools.permutations, members)):
        across = {}
        for floor, rooms in enumerate(order, 1):
            width = 0.6 if floor % 2 else 1.0
            across |= {room: 0.5 + width * ((place + 0.5) / len(rooms) - 0.5) for place, room in enumerate(rooms)}
            below = [across[other] for room, other in arrows if [room] == list(rooms)]
            across |= dict.fromkeys(rooms, sum(below) / len(below)) if below else {}
        length = sum(abs(across[room] - across[other]) for room, other in arrows)
        if not best or length < best["length"] - 1e-9:
            best = {"length": length, "across": across}
    return {room: (best["across"][room], floors[room]) for room in floors}


def first_sentence(room):
    """Return what a room says of itself, up to the first colon, semicolon or stop."""
    module = Path(__file__).parents[1] / PACKAGE / room
    source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return re.split(r"[:;.](?:\s|$)", text.replace("`", ""))[0]


def main():
    parser = argparse.ArgumentParser(description="Print the rooms, floors and circles of the package, and draw them.")
    parser.add_argument("-o", "--output", type=Path, help="file of the drawing, .svg or .png")
    output = parser.parse_args().output
    house = House.read()
    sys.stdout.write(text(house) + "\n")
    if output:
        draw(house, output)


if __name__ == "__main__":
    main()
