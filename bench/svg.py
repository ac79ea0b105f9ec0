# SPDX-License-Identifier: MIT
"""Line charts as SVG text: readable on a light and on a dark page, the same bytes for the same numbers."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 190, 44, 56
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#a61e8c", "#946c00", "#0b7285", "#868e96")


def number(value):
    """1234567 -> 1.2 M, 0.25 -> 0.25"""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


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
        else:
            low, high = min(low, 0), max(high, at_least or high)
            step = 10.0 ** math.floor(math.log10((high - low) or 1))
            while (high - low) / step < 4:
                step /= 2
            self.low, self.high = low, math.ceil(high / step - 1e-9) * step
            self.ticks = [low + step * i for i in range(round((self.high - low) / step) + 1)]

    def place(self, value, start, end):
        v = math.log10(value) if self.log else value
        return start + (v - self.low) / (self.high - self.low) * (end - start)


def chart(title, x_label, y_label, series, log_x=False, log_y=False, y_at_least=None):
    """series: {name: [(x, y), ...]}; a name that begins with "model" is drawn dashed and without marks."""
    points = [p for line in series.values() for p in line]
    x_axis = Axis([x for x, _ in points], log_x)
    y_axis = Axis([y for _, y in points], log_y, y_at_least)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x_at(value):
        return x_axis.place(value, LEFT, right)

    def y_at(value):
        return y_axis.place(value, bottom, TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"',
           ' font-family="system-ui, sans-serif" font-size="13" fill="#495057">\n',
           f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>\n',
           f'<text x="{LEFT}" y="26" font-size="15" font-weight="600" fill="#212529">{escape(title)}</text>\n']
    for tick in x_axis.ticks:
        x = x_at(tick)
        out.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#e9ecef"/>'
                   f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{number(tick)}</text>\n')
    for tick in y_axis.ticks:
        y = y_at(tick)
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e9ecef"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>\n')
    out.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#adb5bd"/>\n')
    out.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>\n')
    middle = (TOP + bottom) / 2
    out.append(f'<text x="18" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 18 {middle:.0f})">'
               f'{escape(y_label)}</text>\n')
    for i, (name, line) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        model = name.startswith("model")
        path = "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in sorted(line))
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"'
                   f'{" stroke-dasharray=" + chr(34) + "5 4" + chr(34) if model else ""}/>\n')
        if not model:
            out.extend(f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"/>' for x, y in line)
        y = TOP + 8 + i * 22
        out.append(f'\n<path d="M{right + 14} {y}h22" stroke="{colour}" stroke-width="3"/>'
                   f'<text x="{right + 42}" y="{y + 4}">{escape(name)}</text>\n')
    out.append("</svg>\n")
    return "".join(out)
