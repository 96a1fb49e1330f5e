"""What English words mean: WordNet, as Debian's package wordnet-base installs it
(Princeton University, "for any purpose and without fee").

A synset has words, a definition and examples of use.
"""
import os
import re

DIR = "/usr/share/wordnet"
FILES = {"noun": "data.noun", "verb": "data.verb", "adjective": "data.adj", "adverb": "data.adv"}
NAME = re.compile(r"[a-z][a-z'-]+( [a-z][a-z'-]+)?$")


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
