"""The medians as a page of tables."""

from statistics import median

from measure import Cost


def middle(costs):
    return Cost(*(median(getattr(cost, field) for cost in costs) for field in ("wall", "cpu", "peak_mb", "store_mb")))


def cell(cost):
    if cost is None:
        return "-"
    digits = 2 if cost.wall < 10 else 1
    text = f"{cost.wall:.{digits}f} / {cost.cpu:.{digits}f} / {cost.peak_mb:.0f}"
    return text + (f" / {cost.store_mb:+.0f}" if cost.store_mb else "")


def ratio(ours, peers, field, lean=False):
    best = min((getattr(cost, field) for cost in peers), default=0)
    return f"{getattr(ours, field) / best:.2f}" if best > 0 else "-"


def page(results, limits, tools, notes):
    """`results`: {data set: {step: {tool: [Cost]}}}; `limits`: {data set: lines}."""
    lines = ["# Beside the others", "", *notes, ""]
    names = [tool.name for tool in tools]
    for data, steps in results.items():
        lines += [f"## {data.letter}: {data.title}", "",
                  "| step | " + " | ".join(names) + " | wall, CPU, peak of ours to the best of each |",
                  "|---|" + "---|" * (len(names) + 1)]
        for step, by_tool in steps.items():
            costs = {name: middle(by_tool[name]) if by_tool.get(name) else None for name in names}
            ours = costs.get("resurgam")
            peers = [cost for name, cost in costs.items() if cost and name != "resurgam"]
            ratios = ", ".join(ratio(ours, peers, field) for field in ("wall", "cpu", "peak_mb")) if ours else "-"
            lines.append(f"| {step} | " + " | ".join(cell(costs[name]) for name in names) + f" | {ratios} |")
        lines += ["", "Limits:", "", "```", *limits[data], "```", ""]
    return "\n".join(lines)
