"""Short exercises in choosing: many small decisions in few tokens.

A choice among labels needs three things: what a text is about, what a label
stands for, and looking up the one among the others.  Long texts with a single
answer teach that slowly; here many short ones share one set of labels, and
meanings of texts and of labels are asked for by themselves.
"""
import tasks
import texts
from grammar import pick, split_list
from ontology import THESAURUS, TOPICS, WANTS

NAME_TOPIC = ["What is the topic of the text?", "Name the topic of the text below.", "In a word or two: what is this about?", "Give the topic.", "Which subject does the text have?"]
STATE_MATTER = ["What is the matter? Answer in a few words.", "What happened, in short?", "Name the problem or the news in a few words.", "What does the text report?", "Say briefly what it is about."]
STATE_WISH = ["What does the writer want?", "What is asked for?", "Name the wish in a few words.", "What should be done?", "What is wanted here?"]
SAME_MEANING = ["What is another name for %s?", "Say it in other words: %s", "Which topic is meant by %s?", "%s is a name for what?"]


def distinct_topics(rng, n):
    """n topics of which none could be taken for another."""
    everyday = rng.random() < 0.3
    pool = [t for t in TOPICS.values() if (t.family == "everyday") == everyday]
    if rng.random() < 0.5:
        family = rng.choice(pool).family
        pool = [t for t in pool if t.family == family]
    rng.shuffle(pool)
    chosen = []
    for t in pool:
        if len(chosen) < n and not any(t.name in tasks.CLOSE.get(c.name, ()) for c in chosen):
            chosen.append(t)
    return chosen


def as_turns(labels, items, instruction=None):
    """(text, label) one after the other; the labels are given once."""
    first, *more = items
    return [(tasks.classify_prompt(labels, first[0], instruction), first[1])] + [(tasks.CLASSIFY_TEXT.lstrip("\n") + text, right) for text, right in more]


def sort_texts(rng, split):
    """Short texts sorted by topic."""
    chosen = distinct_topics(rng, rng.choice([2, 3, 3, 4, 4, 5, 6]))
    usual = rng.random() < 0.3
    names = tasks.style([t.labels[0] if usual else pick(t.labels, rng, split) for t in chosen], rng)
    if len({x.lower() for x in names}) < len(names):
        return None
    pairs = list(zip(chosen, names))
    items = []
    for _ in range(rng.choice([3, 4, 5, 6])):
        topic, name = rng.choice(pairs)
        items.append((texts.short_text(rng, split, topic).text, name))
    return as_turns(names, items)


def sort_words(rng, split):
    """Names of topics, or words, sorted under other names that mean the same."""
    if rng.random() < 0.5:
        chosen = distinct_topics(rng, rng.choice([2, 3, 4, 5]))
        pairs = [rng.sample(split_list(t.labels, split), 2) for t in chosen]
    else:
        chosen = rng.sample(THESAURUS, rng.choice([2, 3, 4, 5]))
        pairs = [(rng.choice([word] + [what] * 2), rng.choice(others)) for word, others, what in chosen]
    names = tasks.style([b for _, b in pairs], rng)
    if len({x.lower() for x in names}) < len(names):
        return None
    same = rng.random() < 0.25      # looking up what is there word for word
    items = [(name if same else a, name) for (a, _), name in zip(pairs, names)]
    rng.shuffle(items)
    rng.shuffle(names)
    return as_turns(names, items[:4])


def sort_moods(rng, split):
    """Short verdicts sorted by sentiment."""
    moods, names = tasks.mood_labels(rng, split, rng.random() < 0.5)
    items = []
    for _ in range(rng.choice([3, 4, 5, 6])):
        mood, name = rng.choice(list(zip(moods, names)))
        items.append((texts.short_review(rng, split, mood).text, name))
    rng.shuffle(names)
    return as_turns(names, items)


def sort_intents(rng, split):
    """What the writer of a short message is after, or the group of its topic."""
    topic = rng.choice([t for t in TOPICS.values() if t.family != "everyday"])
    rec = texts.short_text(rng, split, topic)
    rec.family = topic.family
    labels = tasks.intent_labels(rec, rng, split) if topic.family == "support" and rng.random() < 0.6 else tasks.group_labels(rec, rng, split)
    return as_turns(labels[0], [(rec.text, labels[1])]) if labels else None


def name_topics(rng, split):
    """The usual name of a topic, for short texts and for its other names."""
    turns = []
    ask = rng.choice(NAME_TOPIC)
    for k in range(rng.choice([4, 5, 6, 7])):
        topic = rng.choice(list(TOPICS.values()))
        if rng.random() < 0.6:
            turns.append((("" if k and rng.random() < 0.5 else ask + "\n\n") + "Text:\n" + texts.short_text(rng, split, topic).text, topic.labels[0]))
        else:
            turns.append((rng.choice(SAME_MEANING) % rng.choice(split_list(topic.labels, split)[1:]), topic.labels[0]))
    return turns


def state_parts(rng, split):
    """What happened or what is wanted, of one sentence each, in the words of a summary."""
    turns = []
    for _ in range(rng.choice([4, 5, 6, 7])):
        if rng.random() < 0.5:
            rec = texts.short_wish(rng, split)
            ask, answer = STATE_WISH, rec.want
        else:
            rec = texts.short_text(rng, split, rng.choice([t for t in TOPICS.values() if t.family != "everyday"]))
            ask, answer = STATE_MATTER, rec.what
        if answer:
            turns.append((rng.choice(ask) + "\n\nText:\n" + rec.text, answer))
    return turns or None


def summarize_short(rng, split):
    """Summaries of two sentences and a name."""
    turns = []
    for _ in range(rng.choice([2, 3, 3, 4])):
        topic = rng.choice([t for t in TOPICS.values() if t.family != "everyday"])
        rec = texts.short_text(rng, split, topic, want=WANTS[rng.choice(topic.wants)], signed=rng.random() < 0.7)
        if rec.what:
            turns.append((tasks.summarize_prompt(50, rec.text), tasks.summary_of(rec)))
    return turns or None


PRACTICE = [(sort_texts, 42), (sort_words, 10), (sort_moods, 20), (sort_intents, 10), (name_topics, 6), (state_parts, 16), (summarize_short, 10)]
