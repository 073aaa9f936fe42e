"""Draws what tools/compare measured: per configuration the ratios of throughput and of CPU time per command to
the first target's, each run a dot and the median a bar; and what tools/curves did. Plain SVG, no library needed."""

import math
import statistics
from xml.sax.saxutils import escape

COLOURS = ("#888888", "#c77d2b", "#2b6fc7", "#2ba05a")
BAR, GAP, LABEL, WIDTH, LEFT = 12, 14, 14, 420, 170


def _series(rows, targets, metric):
    """[(label, [(target, [ratio per run])])], in the order of measuring."""
    groups = {}
    for row in rows:
        key = (row["operation"], row["bytes"], row["connections"], row["pipeline"])
        groups.setdefault(key, {}).setdefault(row["target"], []).append(row[metric])
    return [("{} {} B, {} conn, pipe {}".format(*key),
             [(target, [a / b for a, b in zip(group[target], group[targets[0]])]) for target in targets[1:]])
            for key, group in groups.items()]


def _panel(x, title, series, targets, most):
    scale = (WIDTH - 40) / most
    parts = [f'<text x="{x}" y="20" font-weight="bold">{escape(title)}</text>']
    y = 40
    for label, bars in series:
        if x == LEFT:
            parts.append(f'<text x="{LEFT - 8}" y="{y + BAR}" text-anchor="end">{escape(label)}</text>')
        for target, ratios in bars:
            colour = COLOURS[targets.index(target) % len(COLOURS)]
            middle = statistics.median(ratios)
            parts.append(f'<rect x="{x}" y="{y}" width="{middle * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            parts += [f'<circle cx="{x + ratio * scale:.1f}" cy="{y + BAR / 2 - 1}" r="1.6"/>' for ratio in ratios]
            parts.append(f'<text x="{x + max(ratios) * scale + 5:.1f}" y="{y + BAR - 3}">{middle:.2f}</text>')
            y += BAR
        y += GAP
    one = x + scale
    parts.append(f'<line x1="{one:.1f}" y1="30" x2="{one:.1f}" y2="{y}" stroke="#000" stroke-dasharray="3 3"/>')
    return parts, y


def write_svg(path, rows, targets):
    if len(targets) < 2:
        raise ValueError("a plot of ratios needs two targets")
    parts, bottom = [], 0
    for index, (metric, title) in enumerate((("rate", "commands per second"), ("cpu", "CPU time per command"))):
        series = _series(rows, targets, metric)
        most = max([1.2] + [ratio for _, bars in series for _, ratios in bars for ratio in ratios])
        drawn, bottom = _panel(LEFT + index * (WIDTH + 40), f"{title}, of {targets[0]}'s", series, targets, most)
        parts += drawn
    for index, target in enumerate(targets[1:], 1):
        parts.append(f'<text x="{LEFT + 90 * index}" y="{bottom + 20}" fill="{COLOURS[index % len(COLOURS)]}">'
                     f'{escape(target)}</text>')
    with open(path, "w") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + 2 * WIDTH + 60}" height="{bottom + 40}" '
                   f'font-family="sans-serif" font-size="10">\n' + "\n".join(parts) + "\n</svg>\n")


def _curve_panel(x, y, rows, title, most):
    """CPU time per command over the number of keys or connections, which is drawn by its logarithm."""
    width, height = 360, 180
    places = sorted({row["at"] for row in rows})
    low, high = math.log10(places[0]), math.log10(places[-1])

    def place(at, cpu):
        return x + width * (math.log10(at) - low) / max(high - low, 1e-9), y + height * (1 - cpu / most)
    parts = [f'<text x="{x}" y="{y - 8}" font-weight="bold">{escape(title)}</text>',
             f'<path d="M{x} {y}V{y + height}H{x + width}" fill="none" stroke="#000"/>',
             f'<text x="{x - 4}" y="{y + 4}" text-anchor="end">{most:.1f}</text>',
             f'<text x="{x - 4}" y="{y + height}" text-anchor="end">0</text>']
    parts += [f'<text x="{place(at, 0)[0]:.1f}" y="{y + height + 14}" text-anchor="middle">{at}</text>'
              for at in places]
    for number, target in enumerate(dict.fromkeys(row["target"] for row in rows)):
        colour = COLOURS[number % len(COLOURS)]
        own = [row for row in rows if row["target"] == target]
        middles = [place(at, statistics.median(row["cpu"] for row in own if row["at"] == at)) for at in places]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in middles)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for row in own:
            a, b = place(row["at"], row["cpu"])
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6" fill="{colour}"/>')
        parts.append(f'<text x="{middles[-1][0] + 5:.1f}" y="{middles[-1][1]:.1f}" fill="{colour}">{escape(target)}</text>')
    return parts


def write_curves_svg(path, rows):
    """CPU seconds per million commands: a row of panels per operation, one over keys and one over connections."""
    parts = []
    for line, operation in enumerate(("get", "set")):
        for column, curve in enumerate(("keys", "connections")):
            own = [row for row in rows if row["operation"] == operation and row["curve"] == curve]
            if own:
                most = 1.1 * max(row["cpu"] for row in rows if row["operation"] == operation)
                parts += _curve_panel(50 + 450 * column, 40 + 240 * line, own,
                                      f"{operation.upper()}: CPU seconds per million, by {curve}", most)
    with open(path, "w") as file:
        file.write('<svg xmlns="http://www.w3.org/2000/svg" width="930" height="500" font-family="sans-serif" '
                   'font-size="10">\n' + "\n".join(parts) + "\n</svg>\n")
