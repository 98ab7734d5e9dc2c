"""The house as its imports draw it: rooms, floors, circles. `tox -e house` prints it, and tests hold it to rules."""

from __future__ import annotations

import argparse
import graphlib
import itertools
import sys
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
    """Draw the rooms floor by floor, with an arrow down to every room that one imports."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams |= {"svg.hashsalt": PACKAGE, "svg.fonttype": "none"}
    floors = house.floors
    figure = Figure(figsize=(10, 1.05 * max(floors.values())), layout="constrained")
    axes = figure.subplots()
    places = {}
    for floor, members in itertools.groupby(sorted(floors, key=lambda room: (floors[room], room)), key=floors.get):
        rooms = list(members)
        places |= {room: ((place + 1) / (len(rooms) + 1), floor) for place, room in enumerate(rooms)}
    sizes = {room: sum(room_of(module) == room for module in house.modules) for room in floors}
    for room, below in house.rooms.items():
        for other in below:
            (x, y), (u, v) = places[room], places[other]
            bend = 0.12 * (y - v - 1) * (1 if x <= u else -1)
            arrow = {"arrowstyle": "-|>", "color": "0.72", "lw": 0.9, "connectionstyle": f"arc3,rad={bend:.2f}"}
            axes.annotate("", (u, v + 0.26), (x, y - 0.26), arrowprops=arrow)
    for room, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#eef3fa", "edgecolor": "#33507a"}
        modules = "1 module" if sizes[room] == 1 else f"{sizes[room]} modules"
        axes.text(x, y, f"{room}\n{modules}", ha="center", va="center", bbox=box, fontsize=10, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0.5, max(floors.values()) + 0.5), xticks=[], ylabel="floor")
    axes.set_yticks(range(1, max(floors.values()) + 1))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path, metadata={"Date": None})


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
