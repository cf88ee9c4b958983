"""Plots as inline SVG that takes its colours and its font from the page around it."""

import io
import re
from collections.abc import Callable

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

# Colours that stand for variables of the page's style sheet, which has light and dark.
INK, FAINT, CLIP = "#010101", "#020202", "#030303"
LINES = ("#040404", "#050505", "#060606", "#070707")
_VARIABLES = {INK: "ink", FAINT: "faint", CLIP: "clip"} | {
    colour: f"line-{number}" for number, colour in enumerate(LINES)
}
#: Line styles beside the colours, for whoever sees no difference between those.
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def chart(draw: Callable, name: str, alt: str, width: float = 4.2, height: float = 2.6) -> Markup:
    """Draws a chart as an ``<svg>`` element.

    Args:
        draw: Called with the axes to draw on; uses the colours of this module.
        name: Another one for each chart of a page, for the names inside of the SVG.
        alt: What the chart shows, for whoever cannot see it.
        width: Natural width, inches of 72 points; the page fits it to the space there is.
        height: Natural height.
    """
    text = io.StringIO()
    with rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    view_box = re.search(r'viewBox="[^"]*"', svg).group()
    label = Markup('<svg {} role="img" aria-label="{}">').format(Markup(view_box), alt)
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index(">") + 1 :], flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # no one refers to them and they repeat
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return label + Markup(svg)
