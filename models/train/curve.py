#!/usr/bin/env python3
"""Draws the training curve: curve.py TRAIN.CSV OUTPUT.SVG"""
import csv
import sys

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 64, 34, 52
STAGES = {"pretrain": ("pre-training", "#f2f5fa"), "sft": ("fine-tuning on instructions", "#f3f8f0"),
          "dpo": ("preference optimisation", "#fbf4ea")}
TRAIN_COLOR, VALID_COLOR, EXACT_COLOR = "#8aa3c7", "#1f4e8c", "#b4571e"


def smooth(points, weight=0.8):
    result, mean = [], None
    for x, y in points:
        mean = y if mean is None else weight * mean + (1 - weight) * y
        result.append((x, mean))
    return result


def read(path):
    """Of each stage: the points of the three curves, by million tokens."""
    stages = {}
    with open(path, newline="") as f:
        for row in csv.DictReader(f):
            if row["stage"] == "stage":
                continue
            s = stages.setdefault(row["stage"], {"train": {}, "valid": {}, "exact": {}})
            if row["kind"] not in s:
                continue        # embeddings have a loss of another kind
            x = int(row["tokens"]) / 1e6
            s[row["kind"]][x] = float(row["loss"])
            if row["kind"] == "valid":
                s["exact"][x] = float(row["extra"])
    return {name: {k: sorted(v.items()) for k, v in s.items()} for name, s in stages.items()}


def draw(stages):
    last = max(x for s in stages.values() for c in s.values() for x, _ in c)
    highest = max(y for s in stages.values() for k in ("train", "valid") for _, y in s[k])
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def px(x):
        return LEFT + width * x / last

    def py(y):
        return TOP + height * (1 - y / highest)

    def pe(y):
        return TOP + height * (1 - y)

    def line(points, to_y, color, thick):
        path = " ".join("%.1f,%.1f" % (px(x), to_y(y)) for x, y in points)
        return '<polyline fill="none" stroke="%s" stroke-width="%s" points="%s"/>' % (color, thick, path)

    def text(x, y, s, anchor="middle", color="#333", size=12):
        return ('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" font-size="%d">%s</text>'
                % (x, y, anchor, color, size, s))

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
           'font-family="sans-serif">' % (WIDTH, HEIGHT, WIDTH, HEIGHT),
           '<rect width="%d" height="%d" fill="white"/>' % (WIDTH, HEIGHT)]
    for name, s in stages.items():
        xs = [x for c in s.values() for x, _ in c]
        title, color = STAGES[name]
        out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>'
                   % (px(min(xs)), TOP, px(max(xs)) - px(min(xs)), height, color))
        if px(max(xs)) - px(min(xs)) > 100:
            out.append(text((px(min(xs)) + px(max(xs))) / 2, TOP - 10, title))
    mark = 1 if highest > 2 else 0.2
    for i in range(int(highest / mark) + 1):
        y = py(i * mark)
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/>' % (LEFT, LEFT + width, y, y))
        out.append(text(LEFT - 8, y + 4, "%g" % (i * mark), "end"))
    for i in range(0, 101, 20):
        out.append(text(LEFT + width + 8, pe(i / 100) + 4, "%d %%" % i, "start", EXACT_COLOR))
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1e9) if last / s <= 12)
    for i in range(int(last / step) + 1):
        out.append(text(px(i * step), TOP + height + 18, "%g" % (i * step)))
    out.append(text(LEFT + width / 2, HEIGHT - 12, "million tokens"))
    for s in stages.values():
        out.append(line(smooth(s["train"]), py, TRAIN_COLOR, 1.2))
        out.append(line(s["valid"], py, VALID_COLOR, 2))
    for name in ("sft", "dpo"):
        if name in stages:
            out.append(line(stages[name]["exact"], pe, EXACT_COLOR, 2))
    for i, (label, color) in enumerate((("loss in training", TRAIN_COLOR), ("loss on held-out records", VALID_COLOR),
                                        ("whole answers right (right scale)", EXACT_COLOR))):
        y = TOP + 20 + 18 * i
        x = LEFT + width - 240
        out.append('<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="3"/>' % (x, x + 22, y, y, color))
        out.append(text(x + 30, y + 4, label, "start"))
    out.append("</svg>")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], "w") as svg:
        svg.write(draw(read(sys.argv[1])))
