"""What single words mean: as prose, and in exercises.

Definitions, examples, kinds and related words are sorted under words, so that
labels are met that no other list of this directory has; and words by mood.
"""
import practice
import tasks
from ontology import MOODS, RELATED, THESAURUS, TOPICS
from wordnet import ALL, NOUNS, USUAL

ENTRY = ["{word}: {what}.", "{word} ({part}): {what}.", "The {part} {word} means: {what}.", "{word} = {what}", "What does {word} mean? {what}."]
KIND = ["{word} is a kind of {kind}.", "{word}: a kind of {kind}.", "One kind of {kind} is {word}."]
SAME = ["{word} is another word for {other}.", "{word} and {other} mean much the same.", "{word}, also {other}."]
DEFINED = ["Choose the word that is defined below.", "Which word has this meaning?", "Which word fits the definition?", None]
GO_WITH = ["Choose the word that goes with those below.", "Which word is nearest in meaning?", "Sort the words by what they are about.", "What is it about?", None, None]
OF_KIND = ["Choose what the thing below is.", "Which kind of thing is it?", "Sort the word.", None]


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


def words_of_names():
    """Words of RELATED that topics and their names are made of."""
    found = set()
    for names in [t.labels for t in TOPICS.values()] + [[w] + others for w, others, _ in THESAURUS]:
        found.update(w for name in names for w in name.split())
    return [w for w in RELATED if w in found]


HERE = words_of_names()
BY_WORD = {}
for _s in ALL:
    for _w in _s.words:
        BY_WORD.setdefault(_w, []).append(_s)
# Synsets with a word that has hardly another meaning
CLEAR = [(s, w) for s in ALL for w in s.words if w in RELATED and len(BY_WORD[w]) < 3]


def are_related(a, b):
    return a == b or a in RELATED[b] or b in RELATED[a] or len(set(RELATED[a]) & set(RELATED[b])) > 1


def unrelated(rng, n, first=None):
    """n words of which none is related to another."""
    chosen = [first] if first else []
    while len(chosen) < n:
        word = rng.choice(HERE if rng.random() < 0.5 else practice.ANY_WORD)
        if not any(are_related(word, c) for c in chosen):
            chosen.append(word)
    return chosen


def sort_related(rng, split):
    """Words sorted under one that is used like them, or under two such."""
    words = unrelated(rng, rng.choice([2, 3, 3, 4, 4, 5, 6, 8]))
    pairs, others = [], {}
    for word in words:
        near = [word] + RELATED[word]
        label = " ".join(rng.sample(near[:4], 2)) if rng.random() < 0.2 else near.pop(0) if rng.random() < 0.7 else near.pop(rng.randrange(min(3, len(near))))
        pairs.append((word, label))
        others[label] = [w for w in near if w not in label.split()]
    items = []
    for _ in range(rng.choice([3, 4, 5, 6])):
        _, label = rng.choice(pairs)
        some = rng.sample(others[label], min(len(others[label]), rng.choice([1, 1, 2, 3, 4])))
        items.append((rng.choice([", ", " ", " and "] if len(some) < 3 else [", ", " "]).join(some), label))
    return sorted_under(rng, split, pairs, items, GO_WITH)


def sort_described(rng, split):
    """Definitions and examples sorted under words that are used like the one that they are about."""
    pairs, items = [], []
    for _ in range(rng.choice([2, 3, 3, 4, 5])):
        s, word = rng.choice(CLEAR)
        if not any(are_related(word, w) for w, _ in pairs):
            label = rng.choice(RELATED[word][:3])
            pairs.append((word, label))
            items.append((rng.choice([s.what] + s.examples), label))
    if len(pairs) < 2 or len({label for _, label in pairs}) < len(pairs):
        return None
    more = [w for w in unrelated(rng, 2, pairs[0][0])[1:] if not any(are_related(w, p) for p, _ in pairs)]
    return sorted_under(rng, split, pairs + [(w, w) for w in more], items, GO_WITH + DEFINED[:1])


def sort_moods(rng, split):
    """Good and bad words, and what they mean, by mood; others are neutral."""
    three = rng.random() < 0.4
    moods, names = tasks.mood_labels(rng, split, three)
    items = []
    for _ in range(rng.choice([4, 5, 6, 7])):
        mood, name = rng.choice(list(zip(moods, names)))
        if mood == "neutral":
            words = [w for w in rng.sample(practice.ANY_WORD, 3) if w not in MOODS["positive"] and w not in MOODS["negative"]]
        else:
            words = rng.sample(MOODS[mood], 3)
        text = ", ".join(words[:rng.choice([1, 1, 2, 3])])
        synsets = BY_WORD.get(text, ())
        if mood != "neutral" and len(synsets) == 1 and rng.random() < 0.5:
            text = rng.choice([synsets[0].what] + synsets[0].examples)
        if text:
            items.append((text, name))
    rng.shuffle(names)
    return practice.as_turns(names, items) if items else None


def sorted_under(rng, split, pairs, items, instructions):
    """Items (text, label) under the labels of pairs (of anything and a label)."""
    names = tasks.style([label for _, label in pairs], rng, split)
    styled = dict(zip([label for _, label in pairs], names))
    rng.shuffle(items)
    rng.shuffle(names)
    return practice.as_turns(names, [(text, styled[label]) for text, label in items[:4]], rng.choice(instructions))


EXERCISES = [(sort_definitions, 30), (sort_kinds, 10), (sort_related, 30), (sort_described, 14), (sort_moods, 10)]
