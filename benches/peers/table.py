"""What was measured as a page of tables, and as a file that the page can be made from again."""

import json
from dataclasses import asdict, dataclass, field
from statistics import median

from data import DATA_SETS
from goals import Set, goals
from measure import Cost
from places import Disk


@dataclass
class Measured:
    """One data set, in one run."""

    # When, where, with which versions.
    how: str
    scale: float
    # The programs, in the order of the columns.
    tools: list
    # Seconds of `cp -a`, and all limits of the machine as lines.
    cp_seconds: float
    limits: list
    # {step: {program: [Cost]}}
    steps: dict = field(default_factory=dict)

    def rounds(self, name):
        """How many of them a program ended: as often as it did the step that it did least."""
        return min((len(by_tool[name]) for by_tool in self.steps.values() if name in by_tool), default=0)

    def medians(self):
        return {step: {name: middle(costs) for name, costs in by_tool.items()} for step, by_tool in self.steps.items()}


def middle(costs):
    return Cost(*(median(getattr(cost, name) for cost in costs) for name in ("wall", "cpu", "peak_mb", "store_mb")))


def load(path):
    """{name: Measured} of the data sets that were measured before."""
    if not path.exists():
        return {}
    sets = {name: Measured(**one) for name, one in json.loads(path.read_text()).items()}
    for one in sets.values():
        one.steps = {step: {name: [Cost(**cost) for cost in costs] for name, costs in by_tool.items()}
                     for step, by_tool in one.steps.items()}
    return sets


def save(path, sets):
    path.write_text(json.dumps({name: asdict(one) for name, one in sorted(sets.items())}, indent=1) + "\n")


def cell(cost):
    if cost is None:
        return "-"
    digits = 2 if cost.wall < 10 else 1
    text = f"{cost.wall:.{digits}f} / {cost.cpu:.{digits}f} / {cost.peak_mb:.0f}"
    return text + (f" / {cost.store_mb:+.0f}" if cost.store_mb else "")


def ratio(ours, peers, name):
    best = min((getattr(cost, name) for cost in peers), default=0)
    return f"{getattr(ours, name) / best:.2f}" if best > 0 else "-"


def page(sets, bounds):
    """`sets`: {name: Measured}, by letter, and by letter and what a place adds to it; `bounds`: what is written by hand."""
    warm = [(data, sets[data.letter]) for data in DATA_SETS if data.letter in sets]
    cold = [(data, sets[data.letter + Disk.suffix]) for data in DATA_SETS if data.letter + Disk.suffix in sets]
    lines = ["# Beside the others", "",
             "Made by `python3 benches/peers`. Each cell: wall s / CPU s / peak MB, and where the store changed, by how many MB; for the last "
             "step, what it takes in the end.", ""]
    for data, measured, name in [(*one, one[0].letter) for one in warm] + [(*one, one[0].letter + Disk.suffix) for one in cold]:
        names = measured.tools
        lines += [f"## {name}: {data.title}", "", measured.how, "",
                  "| step | " + " | ".join(names) + " | wall, CPU, peak of ours to the best of each |",
                  "|---|" + "---|" * (len(names) + 1)]
        for step, costs in measured.medians().items():
            ours = costs.get("resurgam")
            peers = [cost for name, cost in costs.items() if name != "resurgam"]
            ratios = ", ".join(ratio(ours, peers, name) for name in ("wall", "cpu", "peak_mb")) if ours else "-"
            lines.append(f"| {step} | " + " | ".join(cell(costs.get(name)) for name in names) + f" | {ratios} |")
        lines += ["", "Limits:", "", "```", *measured.limits, "```", ""]
    if all("resurgam" in one.tools and len(one.tools) > 1 for _, one in warm):
        lines += ["## What was to be reached", "", "What is reached is **bold**; - is where a goal does not apply, or the best peer takes less "
                  "than 0.05 s.", "",
                  *goals([Set(data.letter, one.scale, one.medians(), one.cp_seconds) for data, one in warm]), ""]
    return "\n".join([*lines, bounds])
