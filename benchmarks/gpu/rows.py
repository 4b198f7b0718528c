"""A measurement as a row, and the rows of a machine as JSON and as a page."""

import json
from dataclasses import dataclass
from pathlib import Path

ABOUT = """\
What only a GPU can show, measured by `make gpu` in one run. Times are medians; what is compared took turns, or ran one
after the other on the idle device.
"""
PRETENDED = """\
**No GPU: everything ran small on the pretended one.** This shows that the measurements run. Times and shares are those
of a CPU that acts a GPU: they mean nothing.
"""


@dataclass(frozen=True)
class Row:
    """A number, or None where it could not be measured (``note`` says why), and the goal it has: a bound, or none.

    unit: "x" for a ratio; most, least: the bound; note: what it was measured on, in a few words.
    """

    name: str
    value: float | None
    unit: str
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def goal(self):
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"

    @property
    def met(self):
        """Whether the goal is met: None without a goal, or without a value."""
        if self.value is None or not self.goal:
            return None
        return self.value <= self.most if self.most is not None else self.value >= self.least

    def as_dict(self):
        return {
            "name": self.name, "value": self.value, "unit": self.unit, "goal": self.goal, "met": self.met,
            "note": self.note,
        }  # fmt: skip


def write(folder, machine, groups):
    """Write ``{device}.json`` and ``{device}.md``; their paths.

    machine: {"device", "torch", "pretended", ...}; groups: {title: (seconds that it took, [Row])}.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = "".join(letter if letter.isalnum() else "-" for letter in machine["device"])
    record, page = folder / f"{stem}.json", folder / f"{stem}.md"
    rows = {title: [row.as_dict() for row in found] for title, (_, found) in groups.items()}
    record.write_text(json.dumps({**machine, "measurements": rows}, indent=2) + "\n", encoding="utf-8")
    page.write_text(text(machine, groups), encoding="utf-8")
    return record, page


def text(machine, groups):
    """The page, made of the rows alone."""
    said = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in ("device", "pretended"))
    lines = [f"# {machine['device']}", "", ABOUT + (PRETENDED if machine["pretended"] else ""), said]
    for title, (seconds, rows) in groups.items():
        lines += [
            "",
            f"## {title}",
            "",
            f"{seconds:.0f} s.",
            "",
            "| | value | goal | met | |",
            "| --- | --- | --- | --- | --- |",
        ]
        for row in rows:
            value = "not measured" if row.value is None else f"{row.value:.4g} {row.unit}".strip()
            met = {True: "yes", False: "**no**", None: ""}[row.met]
            lines.append(f"| {row.name} | {value} | {row.goal} | {met} | {row.note} |")
    return "\n".join(lines) + "\n"
