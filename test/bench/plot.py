#!/usr/bin/env python3
"""Draws what "bench --series --csv FILE" measured, and writes it as tables.

    plot.py FILE.csv DIRECTORY [NOTE]

DIRECTORY gets threads.svg, batch.svg, context.svg, time.svg, memory.svg and
tables.md.  NOTE, the machine say, is added to the lines below the titles.
"""
import csv
import html
import math
import os
import sys

WIDTH = 860
INK, PALE, GRID, FRAME = "#333", "#666", "#e4e4e4", "#999"
COLORS = ("#8aa3c7", "#1f4e8c", "#e0a678", "#b4571e", "#9cc29c", "#3b7d3b", "#b9a3cc", "#6d4490")
PARTS = (("ternary", "ternary matrices", "#1f4e8c"), ("head", "head", "#8aa3c7"),
         ("attention", "attention", "#b4571e"), ("norm", "norms, quantisation", "#e0a678"),
         ("rope", "rotation, cache", "#3b7d3b"), ("embed", "embedding", "#9cc29c"),
         ("other", "other", "#c4c4c4"))
MEMORY = (("weights", "ternary matrices"), ("embedding", "embedding"), ("head", "head"),
          ("screen", "small copy of the head"), ("vocabulary", "vocabulary"), ("norms", "norms"),
          ("rest", "tables, alignment"))


# ---- what was measured ----

class Bench:
    """values[series, kernel, threads][x] is a row of the file, its numbers as floats."""

    def __init__(self, path):
        self.values = {}
        with open(path, newline="") as f:
            for row in csv.DictReader(f):
                for key in ("value", "n", "min", "q1", "q3", "max"):
                    row[key] = float(row[key]) if row[key] else None
                x = int(row["x"]) if row["x"].isdigit() else row["x"]
                key = row["series"], row["kernel"], int(row["threads"] or 0)
                self.values.setdefault(key, {})[x] = row
        self.setups = [(k, t) for s, k, t in self.values if s == "batch"]
        self.kernels = list(dict.fromkeys(k for k, _ in self.setups))
        self.threads = sorted({t for _, t in self.setups})
        self.wide = [s for s in self.setups if s[1] in (self.threads[0], self.threads[-1])]
        # with several kernels, limits of one thread would only be confusing
        self.limited = [s for s in self.wide if len(self.kernels) == 1 or s[1] == self.threads[-1]]
        self.rounds = int(self.rows("batch", self.setups[0])[1]["n"])

    def rows(self, series, setup=("", 0)):
        return self.values.get((series, *setup), {})

    def value(self, series, x, setup=("", 0)):
        row = self.rows(series, setup).get(x)
        return row["value"] if row else None

    def points(self, series, setup):
        """(x, median, first quartile, third quartile), by x."""
        return [(x, r["value"], r["q1"], r["q3"]) for x, r in sorted(self.rows(series, setup).items())]

    def memory_limit(self, setup, position=0):
        """Tokens per second of one sequence, if each byte is read once."""
        bandwidth = self.value("bandwidth", "", setup)
        per_token = bandwidth / self.value("memory_limit", "", setup) + position * self.value("memory", "kv_token")
        return bandwidth / per_token

    def batch_limit(self, setup, n):
        """The same of n sequences: weights are read once for all of them.  None: not known."""
        memory = n * self.memory_limit(setup)
        int8 = self.value("int8_limit_decode", "", setup)
        if int8:
            return min(memory, int8)
        return memory if n == 1 else None

    def name(self, setup):
        threads = "%d thread%s" % (setup[1], "" if setup[1] == 1 else "s")
        return threads if len(self.kernels) == 1 else "%s, %s" % (setup[0], threads)

    def color(self, setup):
        """A kernel has two colours: pale for one thread, strong for all."""
        strong = setup[1] == self.threads[-1]
        return COLORS[(2 * self.kernels.index(setup[0]) + strong) % len(COLORS)]

    def about(self, note, spread=False):
        return "; ".join(filter(None, (
            "%d layers of %d" % (self.value("model", "layers"), self.value("model", "width")),
            ", ".join(self.kernels),
            "medians of %d rounds%s" % (self.rounds, ", with quartiles" if spread else ""), note)))


# ---- drawing ----

def nice_step(largest, n):
    """A step of 1, 2 or 5 times a power of ten that fits at most n times."""
    power = 10 ** math.floor(math.log10(largest / n))
    return next(power * f for f in (1, 2, 5, 10) if largest / (power * f) <= n)


def digits(value):
    """Three of them, without an exponent."""
    return "%.0f" % value if value >= 100 else "%.3g" % value


class Picture:
    def __init__(self, height, title, subtitle):
        self.height = height
        self.out = []
        self.out.append("<title>%s</title>" % html.escape(title))
        self.text(16, 26, title, "start", INK, 16, "bold")
        self.text(16, 46, subtitle, "start", PALE)

    def text(self, x, y, s, anchor="middle", color=INK, size=12, weight="normal", extra=""):
        for name, value, usual in (("text-anchor", anchor, "middle"), ("fill", color, INK),
                                   ("font-size", size, 12), ("font-weight", weight, "normal")):
            extra += ' %s="%s"' % (name, value) if value != usual else ""
        self.out.append('<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, extra, html.escape(s)))

    def line(self, x1, y1, x2, y2, color, width=1.0, dash=None):
        self.path([(x1, y1), (x2, y2)], color, width, dash)

    def path(self, points, color, width=2.0, dash=None):
        self.out.append('<polyline fill="none" stroke="%s" stroke-width="%g"%s points="%s"/>'
                        % (color, width, ' stroke-dasharray="%s"' % dash if dash else "",
                           " ".join("%.1f,%.1f" % p for p in points)))

    def strokes(self, strokes, color, width=1.0):
        """Vertical ones, of (x, y, how far); of no length: a dot."""
        self.out.append('<path stroke="%s" stroke-width="%g" stroke-linecap="round" d="%s"/>'
                        % (color, width, "".join("M%.1f %.1fv%.1f" % s for s in strokes)))

    def dots(self, points, color):
        self.strokes([(x, y, 0) for x, y in points], color, 6)

    def box(self, x, y, width, height, color):
        self.out.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'
                        % (x, y, width, height, color))

    def legend(self, items):
        """
        Of (label, color, dash); dash None: a line, "box": a box.  Returns where
        the panels below may begin, and makes room for a second line.
        """
        x, y = 16, 68
        for label, color, dash in items:
            width = 41 + 6.6 * len(label)
            if x + width > WIDTH:
                x, y = 16, y + 18
                self.height += 18
            if dash == "box":
                self.box(x + 8, y - 6, 12, 12, color)
            else:
                self.line(x, y, x + 24, y, color, 2 if dash is None else 1.5, dash)
            if dash is None:
                self.dots([(x + 12, y)], color)
            self.text(x + 29, y + 4, label, "start")
            x += width
        return y + 44

    def svg(self):
        return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
                'font-family="sans-serif" font-size="12" text-anchor="middle" fill="%s">\n'
                '<rect width="%d" height="%d" fill="white"/>\n%s\n</svg>\n'
                % (WIDTH, self.height, WIDTH, self.height, INK, WIDTH, self.height, "\n".join(self.out)))


class Panel:
    """A part of a picture with axes; y begins at 0."""

    def __init__(self, picture, left, top, width, height, title, x_title, y_title, xs, y_max, log=False):
        self.picture = picture
        self.left, self.top, self.width, self.height = left, top, width, height
        self.log = log
        self.x_min, self.x_max = min(xs), max(xs)
        self.y_step = nice_step(y_max * 1.05, 6)
        self.y_max = self.y_step * math.ceil(y_max * 1.05 / self.y_step)
        picture.text(left, top - 10, title, "start", INK, 13, "bold")
        picture.text(left + width / 2, top + height + 38, x_title)
        at = (left - 46, top + height / 2)
        picture.text(*at, y_title, extra=' transform="rotate(-90 %.1f %.1f)"' % at)
        self.axes(xs)

    def axes(self, xs):
        p = self.picture
        bottom = self.top + self.height
        for i in range(round(self.y_max / self.y_step) + 1):
            y = self.y(i * self.y_step)
            p.line(self.left, y, self.left + self.width, y, GRID if i else FRAME)
            p.text(self.left - 6, y + 4, "%g" % (i * self.y_step), "end", PALE)
        taken = []                      # the first and the last label go first
        for x in [min(xs)] + sorted(set(xs) - {min(xs)}, reverse=True):
            at, half = self.x(x), 3.6 * len("%g" % x) + 1.5
            if all(at + half < low or at - half > high for low, high in taken):
                taken.append((at - half, at + half))
                p.line(at, bottom, at, bottom + 4, FRAME)
                p.text(at, bottom + 18, "%g" % x, color=PALE)

    def x(self, x):
        scale = math.log2 if self.log else float
        low, high = scale(self.x_min), scale(self.x_max)
        part = (scale(x) - low) / (high - low) if high > low else 0.5
        return self.left + 10 + (self.width - 20) * part

    def y(self, y):
        return self.top + self.height * (1 - y / self.y_max)

    def curve(self, points, color, dash=None):
        """points: (x, y) or (x, y, low, high)."""
        p = self.picture
        spread = [(self.x(q[0]), self.y(q[2]), self.y(q[3]) - self.y(q[2])) for q in points if len(q) == 4]
        if spread:
            p.strokes(spread, color)
        at = [(self.x(q[0]), self.y(q[1])) for q in points]
        p.path(at, color, 1.5 if dash else 2, dash)
        if dash is None:
            p.dots(at, color)

    def label(self, x, y, s, color, below=False):
        """Beside a point, on the side where there is room."""
        right = self.x(x) < self.left + self.width / 2
        self.picture.text(self.x(x) + (6 if right else -6), self.y(y) + (16 if below else -7), s,
                          "start" if right else "end", color,
                          extra=' stroke="white" stroke-width="4" paint-order="stroke"')


def largest(curves):
    return max(q[-1] if len(q) == 4 else q[1] for points in curves for q in points)


def panel_of(picture, box, title, x_title, curves, limits, log=False):
    """A panel of speeds: curves and, dashed, limits, both as (points, color)."""
    xs = {q[0] for c, _ in curves for q in c}
    panel = Panel(picture, *box, title, x_title, "tokens/s", xs, largest([c for c, _ in curves + limits]), log)
    for points, color in limits:
        panel.curve(points, color, "5 4")
    for points, color in curves:
        panel.curve(points, color)
    return panel


# ---- the pictures ----

def prompt_of(bench):
    """The prompt that the table has: of 512 tokens, if the context is so long."""
    return max(x for x in bench.rows("prefill", bench.wide[0]) if x <= 512)


def draw_threads(bench, note):
    p = Picture(372, "Speed over threads", bench.about(note, True))
    prompt = prompt_of(bench)
    top = p.legend([(k, bench.color((k, bench.threads[-1])), None) for k in bench.kernels] +
                   [("limit: reading memory, or int8 multiply-adds", PALE, "5 4")])
    kinds = (("decode, one sequence", "batch", 1, bench.memory_limit),
             ("decode, 8 together", "batch", 8, lambda s: bench.batch_limit(s, 8)),
             ("prompt of %d tokens" % prompt, "prefill", prompt, lambda s: bench.value("int8_limit", "", s)))
    for i, (title, series, x, limit_of) in enumerate(kinds):
        curves, limits = [], []
        for k in bench.kernels:
            color = bench.color((k, bench.threads[-1]))
            setups = [(k, t) for t in bench.threads]
            points = [bench.rows(series, s)[x] for s in setups]
            curves.append(([(s[1], q["value"], q["q1"], q["q3"]) for s, q in zip(setups, points)], color))
            if limit_of(setups[0]):
                limits.append(([(s[1], limit_of(s)) for s in setups], color))
        panel = panel_of(p, (62 + 278 * i, top, 216, 200), title, "threads", curves, limits)
        for points, color in curves:
            for q in points if len(points) <= 4 else points[-1:]:
                others = [o[1] for c, _ in curves for o in c if o[0] == q[0] and o[1] > q[1]]
                panel.label(q[0], q[1], digits(q[1]), color, below=bool(others))
    return p.svg()


def setup_legend(bench):
    return [(bench.name(s), bench.color(s), None) for s in bench.wide]


def draw_batch(bench, note):
    p = Picture(412, "Speed over the number of sequences that are decoded together", bench.about(note, True))
    top = p.legend(setup_legend(bench) + [("limit: reading memory, then int8 multiply-adds", PALE, "5 4")])
    all_of = {s: bench.points("batch", s) for s in bench.wide}
    curves = [(points, bench.color(s)) for s, points in all_of.items()]
    limits = [([(q[0], bench.batch_limit(s, q[0])) for q in all_of[s]], bench.color(s))
              for s in bench.limited if bench.value("int8_limit", "", s)]
    each = [([(q[0], *(v / q[0] for v in q[1:])) for q in points], color) for points, color in curves]
    panel_of(p, (62, top, 480, 240), "all together", "sequences", curves, limits, True)
    panel_of(p, (612, top, 232, 240), "each of them", "sequences", each, [], True)
    return p.svg()


def draw_context(bench, note):
    p = Picture(372, "Speed over the length of the context", bench.about(note, True))
    top = p.legend(setup_legend(bench) + [("limit: reading memory, or int8 multiply-adds", PALE, "5 4"),
                                          ("as fast as 128 tokens", PALE, "2 3")])
    decode, decode_limits, prefill, prefill_limits, seconds, linear = [], [], [], [], [], []
    for s in bench.wide:
        color, limit = bench.color(s), bench.value("int8_limit", "", s)
        points = bench.points("position", s)
        decode.append((points, color))
        if s in bench.limited:
            decode_limits.append(([(q[0], bench.memory_limit(s, q[0])) for q in points], color))
        points = bench.points("prefill", s)
        prefill.append((points, color))
        if s in bench.limited and limit:
            prefill_limits.append(([(q[0], limit) for q in points], color))
        seconds.append(([(q[0], q[0] / q[1], q[0] / q[3], q[0] / q[2]) for q in points], color))
        base = bench.value("prefill", min(128, points[-1][0]), s)
        linear.append(([(0, 0), (points[-1][0], points[-1][0] / base)], color))
    panel_of(p, (62, top, 216, 200), "decode", "tokens before", decode, decode_limits)
    panel_of(p, (340, top, 216, 200), "prompt", "tokens of the prompt", prefill, prefill_limits, True)
    panel = Panel(p, 618, top, 216, 200, "whole prompt", "tokens of the prompt", "seconds",
                  [0] + [q[0] for q in seconds[0][0]], largest([c for c, _ in seconds + linear]))
    for points, color in linear:
        panel.curve(points, color, "2 3")
    for points, color in seconds:
        panel.curve(points, color)
    return p.svg()


def time_rows(bench):
    """(what, setup, {part: percent}, milliseconds a token)"""
    prompt = prompt_of(bench)
    kinds = (("decode, one sequence", "time_decode", "batch", 1),
             ("decode, 8 together", "time_decode_8", "batch", 8),
             ("prompt of %d tokens" % prompt, "time_prefill_%d" % prompt, "prefill", prompt),
             ("decode after 2048 tokens", "time_decode_at_2048", "position", 2048))
    for what, series, speeds, x in kinds:
        for s in bench.wide:
            shares = {part: row["value"] for part, row in bench.rows(series, s).items()}
            if shares:
                yield what, s, shares, 1000 / bench.value(speeds, x, s)


def draw_time(bench, note):
    rows = list(time_rows(bench))
    if not rows:
        return None                     # measured without --profile
    kinds = len({what for what, *_ in rows})
    p = Picture(116 + 24 * len(rows) + 14 * kinds, "Where the time of a token goes", bench.about(note))
    top = p.legend([(label, color, "box") for _, label, color in PARTS]) - 14
    left, width, y, last = 350, 410, top, None
    for what, s, shares, ms in rows:
        if what != last:
            y += 14 if last else 0
            p.text(16, y + 14, what, "start", weight="bold")
            last = what
        p.text(left - 10, y + 14, bench.name(s), "end")
        x, whole = left, sum(max(v, 0) for v in shares.values())
        for part, _, color in PARTS:
            share = max(shares.get(part, 0), 0) / whole
            p.box(x, y, width * share, 19, color)
            if share >= 0.06:
                p.text(x + width * share / 2, y + 14, "%.0f %%" % (100 * share),
                       color="white" if color in ("#1f4e8c", "#b4571e", "#3b7d3b") else INK, size=11)
            x += width * share
        p.text(left + width + 10, y + 14, ("%.1f ms" if ms >= 10 else "%.2f ms") % ms, "start")
        y += 24
    p.text(left + width + 10, top - 6, "a token", "start", PALE)
    for percent in range(0, 101, 20):
        x = left + width * percent / 100
        p.line(x, y + 2, x, y + 6, FRAME)
        p.text(x, y + 20, "%d %%" % percent, color=PALE)
    return p.svg()


def memory_rows(bench):
    """(label, bytes, once for whom)"""
    length = min(2048, int(bench.value("model", "context")))
    for part, label in MEMORY:
        if part == "embedding" and not bench.value("memory", "head"):
            label = "embedding, also the head"
        if bench.value("memory", part):
            yield label, bench.value("memory", part), "model"
    yield "an engine's working memory", bench.value("memory", "scratch"), "engine"
    yield ("KV cache of %d tokens" % length, length * bench.value("memory", "kv_token"), "sequence")


MEMORY_COLORS = {"model": "#1f4e8c", "engine": "#8aa3c7", "sequence": "#b4571e"}


def draw_memory(bench, _):
    p = Picture(400, "Memory", "%d layers of %d, %d tokens" % tuple(
        bench.value("model", x) for x in ("layers", "width", "vocabulary")))
    rows = list(memory_rows(bench))
    unit = max(size for _, size, _ in rows)
    y = p.legend([("once for the server", MEMORY_COLORS["model"], "box"),
                  ("once for a model in use", MEMORY_COLORS["engine"], "box"),
                  ("a sequence", MEMORY_COLORS["sequence"], "box")])
    draw_growth(bench, p, y)
    p.text(16, y - 10, "by part, MB", "start", size=13, weight="bold")
    for label, size, whose in rows:
        p.text(196, y + 19, label, "end")
        p.box(204, y + 6, max(160 * size / unit, 1), 18, MEMORY_COLORS[whose])
        p.text(210 + 160 * size / unit, y + 19, digits(size / 1e6), "start")
        y += 28
    return p.svg()


def sequence_memory(bench):
    """(tokens, [(sequences, bytes)]) of some lengths, and what is there without sequences."""
    context = int(bench.value("model", "context"))
    base = sum(bench.value("memory", part) for part, _ in MEMORY) + bench.value("memory", "scratch")
    counts = sorted(bench.rows("batch", bench.wide[0]))
    lengths = sorted({min(n, context) for n in (128, 512, 2048)})
    return base, [(n, [(k, base + k * n * bench.value("memory", "kv_token")) for k in counts]) for n in lengths]


def draw_growth(bench, p, top):
    base, lines = sequence_memory(bench)
    scale = 1e9 if base > 2e8 else 1e6
    curves = [[(0, base / scale)] + [(k, size / scale) for k, size in points] for _, points in lines]
    panel = Panel(p, 500, top, 250, 228, "in all", "sequences at the same time",
                  "GB" if scale == 1e9 else "MB", [q[0] for q in curves[0]], largest(curves))
    panel.curve([(0, base / scale), (curves[0][-1][0], base / scale)], PALE, "5 4")
    for (n, _), points, color in zip(lines, curves, ("#e0a678", "#c97a40", "#b4571e")):
        panel.curve(points, color)
        p.text(panel.x(points[-1][0]) + 8, panel.y(points[-1][1]) + 4, "%d tokens each" % n, "start")
    p.text(panel.x(curves[0][-1][0]) + 8, panel.y(base / scale) + 18, "model, engine", "start", PALE)


# ---- tables ----

def table(head, rows):
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def series_table(bench, title, series):
    xs = sorted(bench.rows(series, bench.wide[0]))
    return table([title] + ["%d" % x for x in xs],
                 [[bench.name(s)] + ["%.1f" % bench.value(series, x, s) for x in xs] for s in bench.wide])


def threads_table(bench):
    prompt = prompt_of(bench)
    rows = []
    for s in bench.setups:
        decode, prefill = bench.value("batch", 1, s), bench.value("prefill", prompt, s)
        int8 = bench.value("int8_limit", "", s)
        rows.append([bench.name(s), "%.1f GB/s" % (bench.value("bandwidth", "", s) / 1e9),
                     "%.2f Top/s" % (bench.value("peak", "", s) * 2e-12) if int8 else "",
                     "%.1f" % decode, "%.0f %%" % (100 * decode / bench.memory_limit(s)),
                     "%.1f" % bench.value("batch", 8, s),
                     "%.1f" % prefill, "%.0f %%" % (100 * prefill / int8) if int8 else ""])
    return table(["tokens/s", "memory read", "int8", "decode", "of memory", "8 together",
                  "prompt of %d" % prompt, "of int8"], rows)


def time_table(bench):
    return table(["share of time, %"] + [label for _, label, _ in PARTS] + ["ms a token"],
                 [["%s, %s" % (what, bench.name(s))] +
                  ["%.1f" % shares.get(part, 0) for part, _, _ in PARTS] + ["%.2f" % ms]
                  for what, s, shares, ms in time_rows(bench)])


def memory_table(bench):
    rows = [[label, "%.1f" % (size / 1e6), {"model": "once for the server", "engine": "once for a model in use",
                                           "sequence": "each sequence"}[whose]]
            for label, size, whose in memory_rows(bench)]
    return table(["memory", "MB", ""], rows)


def growth_table(bench):
    _, lines = sequence_memory(bench)
    counts = [k for k, _ in lines[0][1]]
    return table(["MB in all, sequences"] + ["%d" % k for k in counts],
                 [["of %d tokens" % n] + ["%.0f" % (size / 1e6) for _, size in points] for n, points in lines])


def write_tables(bench, note):
    return "\n".join((
        "<!-- %s -->\n" % bench.about(note).replace("--", "-"),
        threads_table(bench),
        series_table(bench, "tokens/s, sequences together", "batch"),
        series_table(bench, "tokens/s of decoding, tokens before", "position"),
        series_table(bench, "tokens/s of a prompt, tokens", "prefill"),
        time_table(bench), memory_table(bench), growth_table(bench)))


FILES = {"threads.svg": draw_threads, "batch.svg": draw_batch, "context.svg": draw_context,
         "time.svg": draw_time, "memory.svg": draw_memory, "tables.md": write_tables}


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    bench = Bench(sys.argv[1])
    note = sys.argv[3] if len(sys.argv) == 4 else ""
    os.makedirs(sys.argv[2], exist_ok=True)
    for name, make in FILES.items():
        content = make(bench, note)
        if content:
            with open(os.path.join(sys.argv[2], name), "w", encoding="utf-8") as f:
                f.write(content)


if __name__ == "__main__":
    main()
