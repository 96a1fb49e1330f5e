"""Byte-level BPE with the llama3 splitter.

The merges are learnt in three parts, and their order is the point.  First the
pairs of digits, so that a number is few tokens and each of them is common.
Then merges within words, learnt on words without the space before them and
without their capital; those that begin a word are there a second time, with the
capital.  Last the merges of a space with what follows.  So " refund", "refund"
and "Refund" are cut at the same places and differ in the first token only: a
small model that copies a word from the middle of a text to the start of an
answer, or knows it from the middle of sentences and meets it as a label, has
one fixed mapping to learn instead of a second spelling of every word.
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
VOCAB_SIZE = 4480
N_CAPITAL, N_SPACE = 680, 1307     # merges that begin with a capital, and with a space
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


def small(word):
    """A word with its one capital, at its start, taken away; others as they are."""
    return word.lower() if word[1:].islower() else word


def capital(token):
    return token[0].upper() + token[1:]


def words_of(counts):
    """Counts of pieces without the space before them."""
    words = Counter()
    for piece, n in counts.items():
        coded = to_alphabet(piece)
        words[coded[1:] if coded[0] == SPACE and len(coded) > 1 else coded] += n
    return words


def beginning_merges(ranks, word):
    """The merges at the start of a word, in order."""
    parts, used = list(word), []
    while True:
        rank, i = min(((ranks[p], i) for i, p in enumerate(zip(parts, parts[1:])) if p in ranks), default=(0, None))
        if i is None:
            return used
        if i == 0:
            used.append((parts[0], parts[1]))
        parts[i:i + 2] = [parts[i] + parts[i + 1]]


def with_capitals(merges, words, n):
    """The merges, and n of them with a capital too, each right before the one it is made of.  Words that are often written
    with one come first, all merges of a word together; how often a word is written without counts a twentieth."""
    ranks = {pair: i for i, pair in enumerate(merges)}
    weight = Counter()
    for word, count in words.items():
        if word.isascii() and word.isalpha() and len(word) > 1 and small(word).islower():
            weight[small(word)] += count if word[0].isupper() else 0.05 * count
    chosen = set()
    for word, _ in sorted(weight.items(), key=lambda x: (-x[1], x[0])):
        new = set(beginning_merges(ranks, word)) - chosen
        if len(chosen) + len(new) <= n:
            chosen |= new
    out = []
    tokens = {a + b for a, b in merges}
    for pair in merges:
        if pair in chosen and capital(pair[0] + pair[1]) not in tokens:
            out.append((capital(pair[0]), pair[1]))
        out.append(pair)
    return out


def with_spaces(merges, counts):
    """The merges, then those of a space with the first token of the pieces that begin with one, the most frequent first."""
    half = Vocab(merges, [])
    first = Counter()
    for piece, n in counts.items():
        if piece[0] == " " and len(piece) > 1:
            first[half.symbols(to_alphabet(piece[1:]))[0]] += n
    spaced = [t for t, n in sorted(first.items(), key=lambda x: (-x[1], x[0]))]
    return merges + [(SPACE, t) for t in spaced[:VOCAB_SIZE - 256 - len(SPECIALS) - len(merges)]]


def learn(counts):
    """Merges from a Counter of pieces."""
    merges = [(a, b) for a in "0123456789" for b in "0123456789"]
    words = words_of(counts)
    inner = Counter()
    for word, n in words.items():
        if not word.isdigit():
            inner[small(word)] += n
    learner = Learner(inner)
    n_merges = VOCAB_SIZE - 256 - len(SPECIALS) - N_SPACE - N_CAPITAL
    seen = {a + b for a, b in merges}
    while len(merges) < n_merges:
        pair = learner.best()
        if pair is None:
            break
        learner.merge(pair)
        if SPACE in pair[0] + pair[1] or pair[0] + pair[1] in seen:
            continue
        merges.append(pair)
        seen.add(pair[0] + pair[1])
    return with_spaces(with_capitals(merges, words, N_CAPITAL), counts)


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
