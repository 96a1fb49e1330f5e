"""Templates: [a|b|c] is a choice (nestable), {slot} a value of the record.

A list of wordings is split once and for all: of every five wordings the last
is held out.  Training texts are written with the others only, held-out texts
with the held-out ones only, so that no held-out sentence is an instance of a
template that training saw.  Wordings that come later are training's alone
(Later), so that what is held out, and with it the evaluation, stays the same.
"""
import random
import re

TRAIN = "train"
HELD = "held"


class Later(str):
    """A wording that came after the split; in a list, behind all others."""


def before_later(wordings):
    if not wordings or not isinstance(wordings[-1], Later):
        return wordings
    return [w for w in wordings if not isinstance(w, Later)]


def split_list(wordings, split):
    """The part of a list of wordings that belongs to a split."""
    early = before_later(wordings)
    later = wordings[len(early):] if split == TRAIN else []
    if len(early) < 4:
        return early + later
    if len(early) == 4:
        return (early[:3] if split == TRAIN else early[3:]) + later
    return [w for i, w in enumerate(early) if (i % 5 == 4) == (split == HELD)] + later


_parsed = {}


def _parse(text, i, closing):
    """Parses up to one of the closing characters; returns (node, position)."""
    parts = []
    literal = []
    while i < len(text):
        c = text[i]
        if c in closing:
            break
        if c == "[":
            if literal:
                parts.append("".join(literal))
                literal = []
            options = []
            i += 1
            while True:
                node, i = _parse(text, i, "|]")
                options.append(node)
                if i >= len(text):
                    raise ValueError("unbalanced [ in %r" % text)
                i += 1
                if text[i - 1] == "]":
                    break
            parts.append(options)
            continue
        if c == "{":
            if literal:
                parts.append("".join(literal))
                literal = []
            end = text.index("}", i)
            parts.append((text[i + 1:end],))
            i = end + 1
            continue
        literal.append(c)
        i += 1
    if literal:
        parts.append("".join(literal))
    return parts, i


def _expand(node, rng, slots, out):
    for part in node:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, tuple):
            out.append(slots[part[0]])
        else:
            _expand(part[int(rng.random() * len(part))], rng, slots, out)


def expand(template, rng, slots):
    """One text of the template."""
    node = _parsed.get(template)
    if node is None:
        node, end = _parse(template, 0, "")
        _parsed[template] = node
    out = []
    _expand(node, rng, slots, out)
    return "".join(out)


def pick(wordings, rng, split):
    part = split_list(wordings, split)
    return part[int(rng.random() * len(part))]


class Slots(dict):
    """Values of a record; remembers which of them a text used."""

    def __init__(self, *args):
        super().__init__(*args)
        self.used = set()

    def __getitem__(self, key):
        self.used.add(key)
        return super().__getitem__(key)


def sentence(text):
    """With a capital letter first and a full stop last."""
    text = text.strip()
    if not text:
        return text
    text = text[0].upper() + text[1:]
    if text[-1] not in ".!?:":
        text += "."
    return text


def seeded(*parts):
    """A generator of random numbers that depends on the parts alone."""
    return random.Random("/".join(str(p) for p in parts))


def words(text):
    return re.findall(r"[A-Za-z0-9][A-Za-z0-9'-]*", text)
