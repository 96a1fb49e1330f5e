"""Short exercises in choosing: many small decisions in few tokens.

A choice among labels needs three things: what a text is about, what a label
stands for, and looking up the one among the others.  Long texts with a single
answer teach that slowly; here many short ones share one set of labels, and
meanings of texts and of labels are asked for by themselves.
"""
import lexicon
import phrases
import tasks
import texts
from grammar import expand, pick, split_list
from ontology import RELATED, THESAURUS, TOPICS, WANTS
from opinions import ASPECTS, CATEGORY_LABELS

NAME_TOPIC = ["What is the topic of the text?", "Name the topic of the text below.", "In a word or two: what is this about?", "Give the topic.", "Which subject does the text have?"]
STATE_MATTER = ["What is the matter? Answer in a few words.", "What happened, in short?", "Name the problem or the news in a few words.", "What does the text report?", "Say briefly what it is about."]
STATE_WISH = ["What does the writer want?", "What is asked for?", "Name the wish in a few words.", "What should be done?", "What is wanted here?"]
SAME_MEANING = ["What is another name for %s?", "Say it in other words: %s", "Which topic is meant by %s?", "%s is a name for what?"]


def apart(rng, pool, n, close):
    """n of the pool, or fewer, of which none could be taken for another."""
    chosen = []
    for x in rng.sample(pool, len(pool)):
        if len(chosen) < n and not any(close(x, c) or close(c, x) for c in chosen):
            chosen.append(x)
    return chosen


# Kinds of classes that texts can be sorted into.  Each gives a list of about n (names for a class, what writes a text of it).

def topics(rng, n):
    everyday = rng.random() < 0.3
    pool = [t for t in TOPICS.values() if (t.family == "everyday") == everyday]
    if rng.random() < 0.5:
        family = rng.choice(pool).family
        pool = [t for t in pool if t.family == family]
    return [(t.labels, lambda rng, split, t=t: texts.short_text(rng, split, t))
            for t in apart(rng, pool, n, lambda a, b: b.name in tasks.CLOSE.get(a.name, ()))]


def groups(rng, n):
    family = rng.choice(["support", "support", "ops", "news", "office"])
    members = {}
    for t in texts.topics_of(family):
        members.setdefault(t.group, []).append(t)
    return [(tasks.GROUP_LABELS[g], lambda rng, split, g=g: texts.short_text(rng, split, rng.choice(members[g])))
            for g in apart(rng, list(members), n, lambda a, b: b in tasks.CLOSE_GROUPS.get(a, ()))]


def intents(rng, n):
    members = {}
    for t in texts.topics_of("support"):
        members.setdefault(tasks.intent_of(t.name, t.intent), []).append(t)
    del members[None]
    chosen = apart(rng, list(members), n, lambda a, b: b not in tasks.OTHER_INTENTS[a])

    def write(rng, split, intent):
        while True:
            rec = texts.short_text(rng, split, rng.choice(members[intent]))
            if "?" not in rec.text or intent == "question" or "question" not in chosen:
                return rec

    return [(tasks.INTENTS[i], lambda rng, split, i=i: write(rng, split, i)) for i in chosen]


def categories(rng, n):
    return [(CATEGORY_LABELS[c], lambda rng, split, c=c: texts.short_mention(rng, split, c))
            for c in apart(rng, list(CATEGORY_LABELS), n, lambda a, b: b in tasks.CLOSE_OPINIONS.get(a, ()))]


def aspects(rng, n):
    return [(ASPECTS[a][0], lambda rng, split, a=a: texts.short_remark(rng, split, a))
            for a in apart(rng, list(ASPECTS), n, lambda a, b: b in tasks.CLOSE_OPINIONS.get(a, ()))]


CLASSES = [(topics, 50), (groups, 14), (intents, 14), (categories, 14), (aspects, 8)]


def some_classes(rng, n):
    return rng.choices([c for c, _ in CLASSES], [w for _, w in CLASSES])[0](rng, n)


def styled(names, rng, split):
    """The names as a set of labels in one style, or None where two are the same."""
    names = tasks.style(names, rng, split)
    return names if len({x.lower() for x in names}) == len(names) else None


def as_turns(labels, items, instruction=None):
    """(text, label) one after the other; the labels are given once."""
    first, *more = items
    return [(tasks.classify_prompt(labels, first[0], instruction), first[1])] + [(tasks.CLASSIFY_TEXT.lstrip("\n") + text, right) for text, right in more]


def sort_texts(rng, split):
    """Short texts sorted into classes of one kind."""
    classes = some_classes(rng, rng.choice([2, 3, 3, 4, 4, 5, 6]))
    length = "word" if rng.random() < 0.15 else "any"
    names = styled([tasks.label_of(labels, rng, split, length) for labels, _ in classes], rng, split)
    if not names:
        return None
    pairs = list(zip(classes, names))
    items = []
    for _ in range(rng.choice([4, 5, 6, 7])):
        (_, write), name = rng.choice(pairs)
        items.append((write(rng, split).text, name))
    rng.shuffle(names)
    return as_turns(names, items)


def sort_words(rng, split):
    """Names of classes, or words, sorted under other names that mean the same."""
    if rng.random() < 0.7:
        pairs = [rng.sample(split_list(labels, split), 2) for labels, _ in some_classes(rng, rng.choice([3, 4, 5, 6]))]
    else:
        chosen = rng.sample(THESAURUS, rng.choice([2, 3, 4, 5]))
        pairs = [(rng.choice([word] + [what] * 2), rng.choice(others)) for word, others, what in chosen]
    begins = rng.random() < 0.15
    if begins:      # with a name that begins like another
        (_, b), (_, other) = rng.sample(pairs, 2)
        pairs.append(2 * [b + " " + other.split()[-1]])
    names = styled([b for _, b in pairs], rng, split)
    if not names:
        return None
    # The same words, written alike or not: looking up, and what capitals stand for
    same = begins or rng.random() < (0.05 if names == [b for _, b in pairs] else 0.45)
    items = [(b if same else a, name) for (a, b), name in zip(pairs, names)]
    rng.shuffle(items)
    rng.shuffle(names)
    return as_turns(names, items)


def sort_moods(rng, split):
    """Short verdicts sorted by sentiment."""
    moods, names = tasks.mood_labels(rng, split, rng.random() < 0.5)
    items = []
    for _ in range(rng.choice([3, 4, 5, 6])):
        mood, name = rng.choice(list(zip(moods, names)))
        items.append((texts.short_review(rng, split, mood).text, name))
    rng.shuffle(names)
    return as_turns(names, items)


def sort_again(rng, split):
    """One text under several sets of labels: topics, groups, intents."""
    family = rng.choice(["support", "support", "ops", "news", "office", "everyday"])
    rec = texts.short_text(rng, split, rng.choice(texts.topics_of(family)))
    makers = 4 * [tasks.topic_labels]
    if family != "everyday":
        makers += [tasks.group_labels]
    if family == "support":
        makers += [tasks.intent_labels]
    rng.shuffle(makers)
    turns = []
    for make in makers:
        labels = make(rec, rng, split)
        if labels:
            again = tasks.CLASSIFY_LABELS.split("\n\n")[1] + tasks.bullets(labels[0])
            turns.append((again if turns else tasks.classify_prompt(labels[0], rec.text), labels[1]))
    return turns


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


def find_values(rng, split):
    """One field of several messages; the values of other fields are beside it."""
    turns = []
    field = rng.choice(["product", "product", "product", "order", "order", "date", "date", "who", "who", "amount", "city", "phone", "mail"])
    ask = tasks.fill(rng.choice(tasks.EXTRACT[:2]), field=tasks.field_name(field, rng, split), text="")
    for _ in range(rng.choice([3, 4, 5])):
        others = rng.sample(["order", "date", "amount", "city", "phone", "mail"], rng.choice([0, 1, 1, 2]))
        topic = rng.choice(texts.topics_of("support"))
        rec = texts.short_text(rng, split, topic, want=WANTS[rng.choice(topic.wants)] if rng.random() < 0.3 else None,
                               signed=field == "who" or rng.random() < 0.3, facts=others if field == "who" else [field] + others)
        if field in tasks.askable(rec):
            turns.append((("Text:\n" if turns else ask) + rec.text, tasks.value(rec, field)))
    return turns or None


ANY_WORD = list(RELATED)
VERBS = """check repair print paint move count sort clean order buy sell sign scan copy file send collect deliver return rent book cancel
plan draw design test review approve translate publish announce measure weigh replace remove install update upgrade close open lock label pack
unpack store feed water plant photograph record film describe explain compare choose find borrow lend hide show present cut fold wash iron
polish mend tune calibrate load unload archive delete restore rename encrypt import export wrap hang lift carry invite call thank meet""".split()
DO_WHAT = ["What will %s do?", "What does %s have to do?", "What is the task of %s?", "Which task was given to %s?", "What did %s promise to do?"]


def who_does_what(rng, split):
    """Lines of who does what, and several questions about them."""
    people, acts, lines, asked = [], [], [], []
    for _ in range(rng.choice([2, 3, 3, 4, 5])):
        person = lexicon.first_name(rng, split) + ("" if rng.random() < 0.5 else " " + lexicon.last_name(rng, split))
        act = rng.choice(VERBS) + rng.choice([" the ", " the ", " a new ", " our ", " the old "]) + rng.choice(ANY_WORD)
        if person.split()[0] in [p.split()[0] for p in people] or act in acts:
            continue
        people.append(person)
        acts.append(act)
        line = expand(pick(phrases.ACTION_LINE, rng, split), rng, {"p": person, "a": act})
        if rng.random() < 0.4 and ":" not in line:
            due = rng.choice([rng.choice(lexicon.DAYS), lexicon.date(rng)])
            line += rng.choice(phrases.DUE).replace("{d}", due)
            asked.append((rng.choice(["By when will %s %s?", "Until when has %s to %s?"]) % (person, act), due))
        lines.append(line[0].upper() + line[1:])
        asked += 2 * [(expand(pick(phrases.ACTION_ASK, rng, split), rng, {"a": act}), person)] + [(rng.choice(DO_WHAT) % person, act)]
    rng.shuffle(lines)
    text = rng.choice(["\n".join(rng.choice(["- ", "* ", ""]) + x for x in lines), ". ".join(lines) + "."])
    questions = dict(rng.sample(asked, min(len(asked), rng.choice([3, 4, 5]))))
    turns = [(tasks.fill(rng.choice(tasks.QUESTION[:4]), q=q, text=text) if i == 0 else rng.choice(["Question: ", ""]) + q, a)
             for i, (q, a) in enumerate(questions.items())]
    return turns


LIST_NAMES = ["List the names in the text.", "Which names are in the text?", "Name all people in the text, in their order.", "Who is in the text?", "Copy the names."]
BESIDE = ["%s met %s", "%s and %s", "%s, %s", "%s wrote to %s", "%s of %s", "call %s or %s", "%s; %s", "%s, who knows %s", "from %s to %s"]


def list_names(rng, split):
    """All names of a text, in their order: names of any tokens have to be copied."""
    turns = []
    for _ in range(rng.choice([1, 2, 3])):
        names = [lexicon.invented(rng) + (" " + lexicon.invented(rng) if rng.random() < 0.6 else "") for _ in range(2 * rng.choice([1, 1, 2, 3]))]
        text = rng.choice(["\n", ". ", "; "]).join(rng.choice(BESIDE) % pair for pair in zip(names[::2], names[1::2]))
        if rng.random() < 0.2:
            names, text = [x.lower() for x in names], text.lower()
        turns.append((("Text:\n" if turns else rng.choice(LIST_NAMES) + "\n\nText:\n") + text, ", ".join(names)))
    return turns


PRACTICE = [(sort_texts, 50), (sort_words, 36), (sort_moods, 20), (sort_again, 30), (name_topics, 6), (state_parts, 18), (summarize_short, 12),
            (find_values, 30), (who_does_what, 20), (list_names, 8)]
