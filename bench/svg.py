# SPDX-License-Identifier: MIT
"""Line charts as SVG text, for a light and a dark page; the same bytes for the same numbers."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 190, 44, 56
# One series after the other, on a light page and on a dark one.
COLOURS = (("#2f6fde", "#74a9ff"), ("#d9480f", "#ff9a5c"), ("#2b8a3e", "#69db7c"), ("#a61e8c", "#f290dd"),
           ("#946c00", "#ffd43b"), ("#0b7285", "#66d9e8"), ("#868e96", "#adb5bd"),
           ("#c2255c", "#faa2c1"))
# Everything else: class, property, on a light page, on a dark one.
PARTS = (("page", "fill", "#ffffff", "#0d1117"), ("text", "fill", "#495057", "#b1bac4"),
         ("title", "fill", "#212529", "#f0f6fc"), ("grid", "stroke", "#e9ecef", "#21262d"),
         ("axis", "stroke", "#adb5bd", "#6e7681"))


def number(value):
    """1234567 -> 1.2 M, 0.25 -> 0.25"""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def style(count):
    def rules(dark):
        out = [f".{name}{{{what}:{colours[dark]}}}" for name, what, *colours in PARTS]
        for i, colours in enumerate(COLOURS[:count]):
            out.append(f".line{i}{{stroke:{colours[dark]}}}.mark{i}{{fill:{colours[dark]}}}")
        return "".join(out)
    return f"<style>{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}</style>\n"


class Axis:
    def __init__(self, values, log, at_least=None):
        low, high = min(values), max(values)
        self.log = log
        if log:
            if low <= 0:
                raise ValueError("a logarithmic axis has no place for 0")
            self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            if self.low == self.high:
                self.high += 1
            self.ticks = [10.0 ** e for e in range(self.low, self.high + 1)]
            self.minor_ticks = [m * tick for tick in self.ticks[:-1] for m in range(2, 10)]
        else:
            low, high = min(low, 0), max(high, at_least or high)
            step = 10.0 ** math.floor(math.log10((high - low) or 1))
            while (high - low) / step < 4:
                step /= 2
            self.low, self.high = low, math.ceil(high / step - 1e-9) * step
            self.ticks = [low + step * i for i in range(round((self.high - low) / step) + 1)]
            self.minor_ticks = [tick + step * part / 5 for tick in self.ticks[:-1] for part in range(1, 5)]

    def place(self, value, start, end):
        v = math.log10(value) if self.log else value
        return start + (v - self.low) / (self.high - self.low) * (end - start)


def chart(title, x_label, y_label, series, log_x=False, log_y=False, y_at_least=None, nothing=()):
    """series: {name: [(x, y), ...]}. "model, KIND" is the model of "table, KIND": in its colour, dashed, without marks.
    `nothing`: names of what has no curve because it found nothing."""
    points = [p for line in series.values() for p in line]
    x_axis = Axis([x for x, _ in points], log_x)
    y_axis = Axis([y for _, y in points], log_y, y_at_least)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x_at(value):
        return x_axis.place(value, LEFT, right)

    def y_at(value):
        return y_axis.place(value, bottom, TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"',
           ' font-family="system-ui, sans-serif" font-size="13" class="text" role="img" aria-labelledby="title">\n',
           f'<title id="title">{escape(title)}: {escape(y_label)} over {escape(x_label)}</title>\n',
           style(len(series)),
           f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" class="page"/>\n',
           f'<text x="{LEFT}" y="26" font-size="15" font-weight="600" class="title">{escape(title)}</text>\n']
    for tick in x_axis.ticks:
        x = x_at(tick)
        out.append(f'<path d="M{x:.1f} {TOP}V{bottom}" class="grid"/>'
                   f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{number(tick)}</text>\n')
    for tick in y_axis.ticks:
        y = y_at(tick)
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" class="grid"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>\n')
    minor = "".join(f"M{x_at(t):.1f} {bottom}v-4" for t in x_axis.minor_ticks)
    minor += "".join(f"M{LEFT} {y_at(t):.1f}h4" for t in y_axis.minor_ticks)
    out.append(f'<path d="{minor}" class="axis"/>\n')
    out.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" class="axis"/>\n')
    out.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>\n')
    middle = (TOP + bottom) / 2
    out.append(f'<text x="18" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 18 {middle:.0f})">'
               f'{escape(y_label)}</text>\n')
    names = list(series)
    for row, (name, line) in enumerate(series.items()):
        model = name.startswith("model")
        i = names.index(name.replace("model", "table", 1)) % len(COLOURS)
        dashes = ' stroke-dasharray="5 4"' if model else ""
        path = "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in sorted(line))
        out.append(f'<path d="M{path}" fill="none" class="line{i}" stroke-width="2"{dashes}/>\n')
        if not model:
            out.extend(f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" class="mark{i}"/>' for x, y in line)
        y = TOP + 8 + row * 22
        out.append(f'\n<path d="M{right + 14} {y}h22" class="line{i}" stroke-width="{2 if model else 3}"{dashes}/>'
                   f'<text x="{right + 42}" y="{y + 4}">{escape(name)}</text>\n')
    for i, name in enumerate(nothing, len(series)):
        out.append(f'<text x="{right + 14}" y="{TOP + 12 + i * 22}">{escape(name)}: found nothing</text>\n')
    out.append("</svg>\n")
    return "".join(out)
