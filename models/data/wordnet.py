"""What English words mean: WordNet, as Debian's package wordnet-base installs it
(Princeton University, "for any purpose and without fee").

A synset has words, a definition and examples of use.  The definitions are prose
for pre-training; in exercises a definition, an example or a kind is sorted under
words, so that labels are met that no list of this directory has.
"""
import os
import re

import practice
import tasks

DIR = "/usr/share/wordnet"
FILES = {"noun": "data.noun", "verb": "data.verb", "adjective": "data.adj", "adverb": "data.adv"}
NAME = re.compile(r"[a-z][a-z'-]+( [a-z][a-z'-]+)?$")
ENTRY = ["{word}: {what}.", "{word} ({part}): {what}.", "The {part} {word} means: {what}.", "{word} = {what}", "What does {word} mean? {what}."]
KIND = ["{word} is a kind of {kind}.", "{word}: a kind of {kind}.", "One kind of {kind} is {word}."]
SAME = ["{word} is another word for {other}.", "{word} and {other} mean much the same.", "{word}, also {other}."]
DEFINED = ["Choose the word that is defined below.", "Which word has this meaning?", "Which word fits the definition?", None]
OF_KIND = ["Choose what the thing below is.", "Which kind of thing is it?", "Sort the word.", None]


class Synset:
    def __init__(self, part, words, what, examples):
        self.part, self.words, self.what, self.examples = part, words, what, examples
        self.kinds = []         # synsets above it


def plain(name):
    return re.sub(r"\(.*\)", "", name).replace("_", " ")


def load():
    """Synsets with a word of one or two parts in small letters, in a fixed order."""
    if not os.path.isdir(DIR):
        raise SystemExit("WordNet is missing: apt-get install wordnet-base")
    found, above = {}, {}
    for part, file in FILES.items():
        for line in open(os.path.join(DIR, file), encoding="ascii", errors="replace"):
            if line.startswith(" "):    # the licence
                continue
            fields, gloss = line.strip().split(" | ", 1)
            fields = fields.split()
            n = int(fields[3], 16)
            words = [w for w in map(plain, fields[4:4 + 2 * n:2]) if NAME.match(w)]
            at = 4 + 2 * n
            pointers = fields[at + 1:at + 1 + 4 * int(fields[at])]
            above[part, fields[0]] = [(part, pointers[i + 1]) for i in range(0, len(pointers), 4) if pointers[i] == "@"]
            examples = re.findall(r'"([^"]{12,120})"', gloss)
            what = re.sub(r'[;:]?\s*"[^"]*".*', "", gloss).strip(" ;:")
            if words and 8 <= len(what) <= 160:
                found[part, fields[0]] = Synset(part, words, what, examples)
    for key, synset in found.items():
        synset.kinds = [found[k] for k in above[key] if k in found]
    return list(found.values())


ALL = load()
# What people speak of has examples more often than what only books have.
USUAL = [s for s in ALL if s.examples]
NOUNS = [s for s in ALL if s.part == "noun" and s.kinds]


def entry(rng):
    """What one word means, in prose."""
    s = rng.choice(USUAL if rng.random() < 0.5 else ALL)
    word = rng.choice(s.words)
    lines = [rng.choice(ENTRY).format(word=word, part=s.part, what=s.what)]
    if len(s.words) > 1 and rng.random() < 0.5:
        lines.append(rng.choice(SAME).format(word=word, other=rng.choice([w for w in s.words if w != word])))
    if s.kinds and rng.random() < 0.4:
        lines.append(rng.choice(KIND).format(word=word, kind=s.kinds[0].words[0]))
    if s.examples and rng.random() < 0.7:
        lines.append(rng.choice(s.examples).capitalize() + ".")
    return " ".join(lines)


def entries(rng):
    return " ".join(entry(rng) for _ in range(rng.choice([1, 2, 3])))


def distinct(rng, pool, n, name):
    """n of the pool with different names."""
    chosen = {}
    while len(chosen) < n:
        s = rng.choice(pool)
        chosen.setdefault(name(s), s)
    return [(s, label) for label, s in chosen.items()]


def sort_definitions(rng, split):
    """Definitions, examples and other words sorted under words."""
    part = rng.choice(["noun", "noun", "verb", "adjective", None])
    pool = [s for s in rng.sample(USUAL, 400) if part is None or s.part == part]
    pairs = distinct(rng, pool, rng.choice([2, 3, 3, 4, 4, 5, 6]), lambda s: rng.choice(s.words))
    items = []
    for s, label in pairs:
        others = [w for w in s.words if w != label]
        text = s.what if not others or rng.random() < 0.6 else rng.choice(others)
        if rng.random() < 0.2:
            text = rng.choice(s.examples)
        items.append((text, label))
    return sorted_under(rng, split, pairs, items, DEFINED)


def sort_kinds(rng, split):
    """Words sorted under what they are kinds of."""
    pairs = distinct(rng, rng.sample(NOUNS, 40), rng.choice([2, 3, 4, 5]), lambda s: s.kinds[0].words[0])
    items = [(rng.choice(s.words) if rng.random() < 0.5 else s.what, label) for s, label in pairs]
    return sorted_under(rng, split, pairs, items, OF_KIND)


def sorted_under(rng, split, pairs, items, instructions):
    names = tasks.style([label for _, label in pairs], rng, split)
    styled = dict(zip([label for _, label in pairs], names))
    rng.shuffle(items)
    rng.shuffle(names)
    return practice.as_turns(names, [(text, styled[label]) for text, label in items[:4]], rng.choice(instructions))


EXERCISES = [(sort_definitions, 3), (sort_kinds, 1)]
