"""Byte-level BPE with the llama3 splitter.

The merges are learnt in three parts, and their order is the point.  First the
pairs of digits, so that a number is few tokens and each of them is common.
Then merges within words, learnt on words without the space before them.  Last
the merges of a space with what follows.  So " refund" and "refund" are cut at
the same places and differ in the first token only: a small model that copies a
word from the middle of a text to the start of an answer has one fixed mapping
to learn instead of a second spelling of every word.
"""
import heapq
import json
import re
from collections import Counter, defaultdict

# \p{L} and \p{N} through what re has; the corpus holds no character for which
# the two differ (prose.py leaves out such paragraphs, and what is written here is ASCII).
LETTER = r"[^\W\d_]"
SPLIT = re.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|(?:[^\r\n\w]|_)?" + LETTER + r"+"
    r"|\d{1,3}"
    r"| ?(?:[^\s\w]|_)+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+")

SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>",
            "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
            "<|reserved_special_token_2|>", "<|reserved_special_token_3|>",
            "<|start_header_id|>", "<|end_header_id|>",
            "<|reserved_special_token_4|>", "<|eot_id|>"]
VOCAB_SIZE = 4096
NORMAL, CONTROL = 1, 3


def byte_alphabet():
    """GPT-2's map of bytes to printable characters."""
    keep = (list(range(ord("!"), ord("~") + 1)) + list(range(0xA1, 0xAD))
            + list(range(0xAE, 0x100)))
    chars = {b: chr(b) for b in keep}
    extra = 0
    for b in range(256):
        if b not in chars:
            chars[b] = chr(256 + extra)
            extra += 1
    return chars


ALPHABET = byte_alphabet()
SPACE = ALPHABET[32]


def to_alphabet(piece):
    return "".join(ALPHABET[b] for b in piece.encode("utf-8"))


class Learner:
    """Merges of the most frequent pair, with counts kept up to date."""

    def __init__(self, counts):
        self.words = [list(w) for w in counts]
        self.freq = list(counts.values())
        self.pairs = Counter()
        self.where = defaultdict(set)
        for i, w in enumerate(self.words):
            for pair in zip(w, w[1:]):
                self.pairs[pair] += self.freq[i]
                self.where[pair].add(i)
        self.heap = [(-n, p) for p, n in self.pairs.items()]
        heapq.heapify(self.heap)

    def best(self):
        while self.heap:
            n, pair = heapq.heappop(self.heap)
            if self.pairs[pair] == -n and n:
                return pair
        return None

    def merge(self, pair):
        changed = set()
        for i in list(self.where[pair]):
            word = self.words[i]
            n = self.freq[i]
            for p in zip(word, word[1:]):
                self.pairs[p] -= n
                self.where[p].discard(i)
                changed.add(p)
            joined = []
            j = 0
            while j < len(word):
                if j + 1 < len(word) and (word[j], word[j + 1]) == pair:
                    joined.append(word[j] + word[j + 1])
                    j += 2
                else:
                    joined.append(word[j])
                    j += 1
            self.words[i] = joined
            for p in zip(joined, joined[1:]):
                self.pairs[p] += n
                self.where[p].add(i)
                changed.add(p)
        for p in changed:
            if self.pairs[p] > 0:
                heapq.heappush(self.heap, (-self.pairs[p], p))


def learn(counts, n_space=1350):
    """A vocabulary from a Counter of pieces; n_space merges begin with a space."""
    merges = [(a, b) for a in "0123456789" for b in "0123456789"]
    inner = Counter()
    for piece, n in counts.items():
        coded = to_alphabet(piece)
        if coded[0] == SPACE and len(coded) > 1:
            coded = coded[1:]
        if not coded.isdigit():
            inner[coded] += n
    learner = Learner(inner)
    n_inner = VOCAB_SIZE - 256 - len(SPECIALS) - len(merges) - n_space
    seen = {a + b for a, b in merges}
    while n_inner > 0:
        pair = learner.best()
        if pair is None:
            break
        learner.merge(pair)
        if SPACE in pair[0] + pair[1] or pair[0] + pair[1] in seen:
            continue
        merges.append(pair)
        seen.add(pair[0] + pair[1])
        n_inner -= 1
    # What stands after a space most often, as first token of its piece.
    half = Vocab(merges, [])
    first = Counter()
    for piece, n in counts.items():
        if piece[0] == " " and len(piece) > 1:
            first[half.symbols(to_alphabet(piece[1:]))[0]] += n
    spaced = [t for t, n in sorted(first.items(), key=lambda x: (-x[1], x[0]))]
    need = VOCAB_SIZE - 256 - len(SPECIALS) - len(merges)
    merges += [(SPACE, t) for t in spaced[:need]]
    return merges


class Vocab:
    def __init__(self, merges, specials=SPECIALS):
        self.merges = merges
        self.rank = {pair: i for i, pair in enumerate(merges)}
        self.tokens = [ALPHABET[b] for b in range(256)]
        self.tokens += [a + b for a, b in merges]
        self.types = [NORMAL] * len(self.tokens) + [CONTROL] * len(specials)
        self.tokens += specials
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            raise ValueError("a token occurs twice in the vocabulary")
        self.cache = {}
        if specials:
            self.bos = self.ids["<|begin_of_text|>"]
            self.eos = self.ids["<|end_of_text|>"]
            self.eot = self.ids["<|eot_id|>"]

    def symbols(self, coded):
        parts = list(coded)
        while len(parts) > 1:
            best = None
            for i in range(len(parts) - 1):
                r = self.rank.get((parts[i], parts[i + 1]))
                if r is not None and (best is None or r < best[0]):
                    best = (r, i)
            if best is None:
                break
            i = best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        return parts

    def encode(self, text):
        out = []
        cache = self.cache
        for piece in SPLIT.findall(text):
            ids = cache.get(piece)
            if ids is None:
                ids = [self.ids[s] for s in self.symbols(to_alphabet(piece))]
                if len(cache) < 1000000:
                    cache[piece] = ids
            out += ids
        return out

    def decode(self, ids):
        back = {c: b for b, c in ALPHABET.items()}
        data = b""
        for i in ids:
            t = self.tokens[i]
            data += (t.encode() if self.types[i] == CONTROL
                     else bytes(back[c] for c in t))
        return data.decode("utf-8", "replace")

    def save(self, path):
        with open(path, "w") as f:
            json.dump({"tokens": self.tokens, "types": self.types,
                       "merges": [a + " " + b for a, b in self.merges],
                       "bos": self.bos, "eos": self.eos, "eot": self.eot}, f)

    @staticmethod
    def load(path):
        with open(path) as f:
            j = json.load(f)
        return Vocab([tuple(m.split(" ")) for m in j["merges"]])
