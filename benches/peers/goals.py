"""What was to be reached, beside what was. Each goal is a row: a text, the most that is allowed, and how the number is got from the
medians of one data set (`None` where the goal does not apply to it)."""

BACKUPS = ("first backup", "unchanged", "after 1 or 2 % changed")
CHANGED = BACKUPS[-1]
PRUNE = "prune after half was dropped"
# The leanest of these is the measure of memory.
LEAN = ("restic", "rustic", "bupstash")


class Set:
    """The medians of one data set: what we take, and what the best of the others takes."""

    def __init__(self, letter, scale, medians, cp_seconds):
        self.letter, self.scale, self.medians, self.cp_seconds = letter, scale, medians, cp_seconds

    def ours(self, step, field):
        return getattr(self.medians[step]["resurgam"], field)

    def best(self, step, field, among=None):
        return min((getattr(cost, field) for name, cost in self.medians[step].items()
                   if name != "resurgam" and (among is None or name in among)), default=0)

    def ratio(self, step, field):
        """None where the others' best is too small to divide by: hundredths of a second are what the clock shows."""
        best = self.best(step, field)
        return self.ours(step, field) / best if best >= 0.05 else None

    def added(self):
        return self.ratio(CHANGED, "store_mb")

    def size(self):
        """Of the volume after the first backup."""
        return self.ratio(BACKUPS[0], "store_mb")

    def peak(self, *steps):
        leanest = min(max(getattr(self.medians[step][name], "peak_mb") for step in steps) for name in LEAN
                      if all(name in self.medians[step] for step in steps))
        return max(self.ours(step, "peak_mb") for step in steps) / leanest


def ratio_of(step, field="wall"):
    return lambda one: one.ratio(step, field)


def on(letters, value):
    return lambda one: value(one) if one.letter in letters else None


GOALS = (
    ("first backup: time, to the fastest", 0.5, ratio_of(BACKUPS[0])),
    ("first backup: processor seconds, to the leanest", 1, ratio_of(BACKUPS[0], "cpu")),
    ("unchanged: time, to the fastest", 0.5, ratio_of(BACKUPS[1])),
    ("after a change: time, to the fastest", 0.5, ratio_of(CHANGED)),
    ("after a change, files: bytes added, to the fewest", 1, on("ABE", Set.added)),
    ("after a change, database and image: bytes added, to the fewest", 0.4, on("CD", Set.added)),
    ("restore: time, to the fastest", 0.6, ratio_of("restore")),
    ("restore of small files: time, to `cp -a`", 1.5, on("AE", lambda one: one.ours("restore", "wall") / one.cp_seconds)),
    ("restore of one file of many: seconds", 0.1, on("ABE", lambda one: one.ours("restore one file", "wall"))),
    ("list of everything: seconds", 0.1, lambda one: one.ours("list", "wall")),
    ("points: seconds", 0.1, lambda one: one.ours("points", "wall")),
    ("verify of all data: time, to the fastest", 0.6, ratio_of("verify all data")),
    ("prune after half was dropped: time, to the fastest", 0.5, ratio_of(PRUNE)),
    ("volume, parity and reserve included: bytes, to the fewest", 1, Set.size),
    ("peak memory of backups, to the leanest", 1, lambda one: one.peak(*BACKUPS)),
    ("peak memory of a restore, to the leanest", 1, lambda one: one.peak("restore")),
    ("a million files unchanged: processor seconds", 2.5, on("E", lambda one: one.ours(BACKUPS[1], "cpu") if one.scale == 1 else None)),
)


def goals(sets):
    """Lines of a table, with what is reached in bold."""
    rows = ["| goal | at most | " + " | ".join(one.letter for one in sets) + " |", "|---|---|" + "---|" * len(sets)]
    for text, limit, value in GOALS:
        cells = (said(value(one), limit) for one in sets)
        rows.append(f"| {text} | {limit:g} | " + " | ".join(cells) + " |")
    return rows


def said(value, limit):
    if value is None:
        return "-"
    return f"**{value:.2f}**" if round(value, 2) <= limit else f"{value:.2f}"
