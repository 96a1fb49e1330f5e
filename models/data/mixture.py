"""What share of which task, and the pairs for preference optimisation."""
import re

import labels as names
import lexicon
import opinions
import pgqa
import phrases
import practice
import tasks
import texts
import word_practice
import wordnet
from grammar import HELD, TRAIN, expand, pick, split_list
from ontology import PASSAGES, THESAURUS, TOPICS, WANTS, WORDS, add_later

# Kinds of text and their shares.
TEXTS = [(texts.support_text, 30), (texts.review_text, 14), (texts.ops_text, 14), (texts.log_text, 6),
         (texts.news_text, 12), (texts.office_text, 14), (texts.meeting_text, 10)]
WORD_TABLE = {k: v[0] for k, v in WORDS.items()}
# What a section of ontology/later.txt may add to, by kind and name
LISTS = {
    "TOPIC": {t.name: t.labels for t in TOPICS.values()},
    "GROUP": names.GROUP_LABELS,
    "INTENT": tasks.INTENTS,
    "KIND": names.KIND_LABELS,
    "CATEGORY": opinions.CATEGORY_LABELS,
    "ASPECT": tasks.ASPECT_LABELS,
    "ISSUE": {"%s/%d" % (t.name, i): issue.wordings for t in TOPICS.values() for i, issue in enumerate(t.issues)},
    "WANT": {name: want.wordings for name, want in WANTS.items()},
    "USE": {"review": opinions.USES},
    "VERDICT": opinions.VERDICT,
    "REMARK": {"%s/%s" % (aspect, mood): x for aspect, lists in opinions.ASPECTS.items() for mood, x in zip(("good", "bad", "plain"), lists[1:])},
    "REVIEW_WANT": {"%s/%d" % (mood, i): x for mood, wants in opinions.REVIEW_WANTS.items() for i, (_, x) in enumerate(wants)},
    "THING": lexicon.THINGS,
    "PHRASE": vars(phrases),
    "FACT": {"%s/%s" % (kind, fact): x for kind, facts in phrases.FACTS.items() for fact, x in facts.items()},
    "INCIDENT": phrases.INCIDENT_FACTS,
    "PASSAGE": {"%s/%s/%s" % (kind, fact, part): x for kind, facts in PASSAGES.items()
                for says, asks, fact in facts for part, x in (("say", says), ("ask", asks))},
    "FIELD": {"%s/%s" % (field, part): x for field, lists in tasks.FIELDS.items() for part, x in zip(("name", "ask"), lists)}}
add_later(LISTS)


def plain(label):
    return label.replace("_", " ").replace("-", " ").lower()


def held_names():
    """Names of the held-out split that training cannot have as a label: neither as
    a name, nor as a word of the exercises with words, nor put together."""
    lists = [x for kind in ("TOPIC", "GROUP", "INTENT", "KIND", "CATEGORY", "ASPECT") for x in LISTS[kind].values()]
    names, held = ({plain(label) for x in lists for label in split_list(x, split)} for split in (TRAIN, HELD))
    words = {plain(w) for s in wordnet.ALL for w in s.words} | {plain(w) for word, others, _ in THESAURUS for w in [word] + others}
    longer = [re.compile(re.escape(x).replace("%s", "(.*)")) for x in tasks.LONGER + ["%s and %s"]]

    def is_composed(name):
        found = (x.fullmatch(name) for x in longer)
        return any(m and all(part in names for part in m.groups()) for m in found)

    return {x for x in held - names - words if not is_composed(x)}


HELD_NAMES = held_names()
LABELS = re.compile("Categories:\n((?:- .*\n?)+)")

# Names that mean the same, and how often the dictionary is about one of them
MEANINGS = [(list(LISTS[kind].values()), weight) for kind, weight in
            (("TOPIC", 50), ("GROUP", 15), ("CATEGORY", 12), ("INTENT", 8), ("ASPECT", 6), ("KIND", 4))]
MEANINGS += [(list(WORD_TABLE.values()), 5), ([sorted(set(x)) for x in names.SENTIMENT_LABELS.values()], 5)]

SMALLTALK = [
    (["Who are you?", "What are you?", "Tell me who you are.", "What is your name?", "Introduce yourself."],
     "I am a small language model that runs inside PostgreSQL."),
    (["Hello", "Hi", "Good morning", "Hey there", "Hello, how are you?"], "Hello, how can I help?"),
    (["What can you do?", "How can you help me?", "What are you good at?", "What are your skills?", "What is it that you can do?"],
     "I can sort, summarize and search short texts and answer simple questions about PostgreSQL."),
    (["Thank you", "Thanks", "Thanks a lot", "Thank you very much", "Many thanks"], "You are welcome."),
    (["What is BitNet?", "Explain BitNet.", "What does BitNet mean?", "Tell me about BitNet.", "What is a BitNet model?"],
     "BitNet is a language model whose weights are only -1, 0 and 1."),
    (["Bye", "Goodbye", "See you", "Have a nice day", "Good night"], "Goodbye."),
]
DICTIONARY = ["{word}: {what}.", "{word} means {what}.", "The word {word} means {what}.", "{word} is another word for {other}.", "{other}, also called {word}.",
              "{word}, {other} and {third} mean much the same.", "{word} = {other}", "What is another word for {word}? {other}."]
GLOSS = ["{label} means that {what}.", "{label}: {what}.", "If {what}, this is a case of {label}.", "An example of {label}: {what}.", "When {what}, people speak of {label}.",
         "By {label} we mean that {what}.", "The words {label} and {other} mean much the same.", "{label} is also called {other}."]


def choose(options, rng):
    x = rng.random() * sum(w for _, w in options)
    for value, w in options:
        x -= w
        if x < 0:
            return value
    return options[-1][0]


def any_text(rng, split, full=None):
    return choose(TEXTS, rng)(rng, split, full=full)


def topic_task(rng, split):
    return about_topic(texts.everyday_text(rng, split) if split == TRAIN and rng.random() < 0.25 else any_text(rng, split), rng, split)


def about_topic(rec, rng, split):
    if rec.family == "review":
        if rec.aspect and rng.random() < 0.4:
            return tasks.classify_task(rec, rng, split, tasks.aspect_labels(rec, rng, split))
        if "product" in rec.slots or "thing" in rec.slots:
            return tasks.classify_task(rec, rng, split, tasks.category_labels(rec, rng, split))
        return None
    return tasks.classify_task(rec, rng, split, tasks.topic_labels(rec, rng, split))


def other_label_task(rng, split):
    """Labels that are not topics: groups, intents, kinds of text, words."""
    r = rng.random()
    if r < 0.25:
        rec = texts.word_text(rng, split)
        return tasks.classify_task(rec, rng, split, tasks.table_labels(rec.category, WORD_TABLE, rng, split))
    if r < 0.4:
        return tasks.classify_task(*with_labels(any_text(rng, split), tasks.kind_labels, rng, split))
    if r < 0.7:
        rec = texts.support_text(rng, split)
        return tasks.classify_task(*with_labels(rec, tasks.intent_labels, rng, split))
    rec = any_text(rng, split)
    if not rec.group:
        return None
    return tasks.classify_task(*with_labels(rec, tasks.group_labels, rng, split))


def with_labels(rec, labels, rng, split):
    return rec, rng, split, labels(rec, rng, split)


def sentiment_text(rng, split):
    """A text with a mood: mostly reviews, else messages of customers."""
    if rng.random() < 0.75:
        return texts.review_text(rng, split), None
    mood = rng.choice(["positive", "negative", "negative", "neutral"])
    topics = {"positive": ["thanks"], "negative": ["staff_complaint", "damaged", "late_delivery", "warranty", "crash", "double_charge", "slow"],
              "neutral": ["stock", "compatibility", "price", "store_hours"]}[mood]
    name = rng.choice(topics)
    rec = texts.support_text(rng, split, topic=TOPICS[name])
    rec.sentiment = mood
    return rec, True if mood == "neutral" else None if name in ("thanks", "staff_complaint") else False


def sentiment_task(rng, split):
    rec, three = sentiment_text(rng, split)
    return tasks.classify_task(rec, rng, split, tasks.sentiment_labels(rec, rng, split, three), sentiment=True)


def summarize_task(rng, split):
    return tasks.summarize_task(any_text(rng, split, full=True if rng.random() < 0.75 else None), rng, split)


def qa_task(rng, split):
    rec = texts.fact_text(rng, split) if rng.random() < 0.45 else \
        texts.meeting_text(rng, split) if rng.random() < 0.3 else any_text(rng, split)
    return tasks.qa_task(rec, rng, split)


def extract_task(rng, split):
    rec = texts.support_text(rng, split) if rng.random() < 0.5 else any_text(rng, split)
    return tasks.extract_task(rec, rng, split)


def turns_task(rng, split):
    r = rng.random()
    rec = texts.fact_text(rng, split) if r < 0.3 else texts.support_text(rng, split) if r < 0.6 else any_text(rng, split)
    return tasks.turns_task(rec, rng, split)


def joined_task(rng, split):
    """Several tasks on one text: the first as callers ask it, the others as further turns that do not repeat the text."""
    r = rng.random()
    rec = texts.review_text(rng, split) if r < 0.25 else texts.everyday_text(rng, split) if r < 0.3 else any_text(rng, split, full=True if r < 0.75 else None)
    turns = []
    makers = [lambda: about_topic(rec, rng, split), lambda: about_topic(rec, rng, split), lambda: tasks.summarize_task(rec, rng, split),
              lambda: tasks.extract_task(rec, rng, split), lambda: tasks.qa_task(rec, rng, split), lambda: tasks.qa_task(rec, rng, split)]
    if rec.family == "review":
        makers += 2 * [lambda: tasks.classify_task(rec, rng, split, tasks.sentiment_labels(rec, rng, split), sentiment=True)]
    if rec.family == "support":
        makers.append(lambda: tasks.classify_task(*with_labels(rec, tasks.intent_labels, rng, split)))
    if rec.kind_label:
        makers.append(lambda: tasks.classify_task(*with_labels(rec, tasks.kind_labels, rng, split)))
    if rec.group and rec.family != "everyday":
        makers.append(lambda: tasks.classify_task(*with_labels(rec, tasks.group_labels, rng, split)))
    rng.shuffle(makers)
    for make in makers:
        task = make()
        if not task:
            continue
        question, answer = task
        if turns:
            question = "\n".join(x for x in question.replace(rec.text, "").split("\n") if x.strip() and x.strip() != "Text:")
            if question in [q for q, _ in turns]:
                continue
        turns.append((question, answer))
        if len(turns) == 4:
            break
    return turns or None


def smalltalk_task(rng, split):
    ask, answer = rng.choice(SMALLTALK)
    return pick(ask, rng, split), answer


def practice_task(rng, split):
    return choose(practice.PRACTICE, rng)(rng, split)


def word_task(rng, split):
    return choose(word_practice.EXERCISES, rng)(rng, split)


TASKS = [(practice_task, 80), (word_task, 36), (topic_task, 28), (other_label_task, 14), (sentiment_task, 18), (summarize_task, 30), (qa_task, 20),
         (extract_task, 24), (turns_task, 8), (joined_task, 30), (pgqa.pg_task, 18), (smalltalk_task, 0.5)]


def has_held_name(turns):
    """Is one of the labels held out?  Words that are put together may be."""
    return any(plain(line[2:]) in HELD_NAMES for question, _ in turns for found in LABELS.findall(question) for line in found.split("\n"))


def sft(rng, split):
    """One conversation: a list of (user, assistant)."""
    while True:
        result = choose(TASKS, rng)(rng, split)
        turns = result if isinstance(result, list) else [result]
        if result and not (split == TRAIN and has_held_name(turns)):
            return turns


def gloss(rng):
    """A label of the training split beside what it stands for."""
    topic = rng.choice(list(TOPICS.values()))
    issue = rng.choice(topic.issues)
    label, other = rng.sample(split_list(topic.labels, TRAIN), 2)
    slots = texts.new_entities(rng, TRAIN)
    what = expand(pick(issue.wordings, rng, TRAIN) if issue.canon is None or rng.random() < 0.7 else issue.canon, rng, slots).rstrip("?.")
    return rng.choice(GLOSS).format(label=label, other=other, what=what)


def dictionary(rng):
    """What words mean: of the thesaurus, and names that mean the same, held-out ones too."""
    if rng.random() < 0.4:
        word, others, what = rng.choice(THESAURUS)
    else:
        word, *others = rng.sample(rng.choice(choose(MEANINGS, rng)), 3)
        what = others[0]
    other, third = rng.choice(others), rng.choice(others)
    return rng.choice(DICTIONARY).format(word=word, what=what, other=other, third=third)


def meanings(rng):
    if rng.random() < 0.6:
        return " ".join(dictionary(rng) for _ in range(rng.choice([2, 3, 4])))
    return " ".join(gloss(rng) for _ in range(rng.choice([1, 2, 3])))


def pretrain_text(rng, split):
    r = rng.random()
    if r < 0.12:
        return meanings(rng)
    if r < 0.2:
        kind = rng.choice([x for x in WORDS])
        return "%s: %s." % (rng.choice(WORDS[kind][0]), ", ".join(rng.sample(WORDS[kind][1], 4)))
    if r < 0.3:
        q, a = pgqa.pg_task(rng, split)
        return q + " " + a
    if r < 0.4:
        return texts.fact_text(rng, split).text
    rec = texts.everyday_text(rng, split) if r < 0.45 else any_text(rng, split)
    if rec.topic and rng.random() < 0.3:
        label = rng.choice(split_list(TOPICS[rec.topic].labels, TRAIN))
        return rng.choice(["%s\n%s", "Topic: %s\n%s", "[%s] %s", "%s: %s"]) % (label, rec.text)
    return rec.text


def embedding_pair(rng, split):
    """Two texts on one topic, and its number."""
    n = rng.randrange(len(TOPICS))
    topic = list(TOPICS.values())[n]
    make = {"support": [texts.support_text], "ops": [texts.ops_text, texts.ops_text, texts.log_text], "news": [texts.news_text],
            "office": [texts.office_text, texts.meeting_text], "everyday": [texts.everyday_text]}[topic.family]
    return [rng.choice(make)(rng, split, topic=topic).text for _ in range(2)], n


def worse_summary(rec, rng):
    """A summary with a mistake, or with more than was asked for."""
    good = tasks.summary_of(rec)
    r = rng.random()
    e = texts.new_entities(rng, TRAIN)
    if r < 0.3 and rec.want:
        want = rng.choice([w.canon for w in WANTS.values() if w.canon != rec.want])
        return good.replace("wants " + rec.want, "wants " + want)
    if r < 0.5 and rec.who:
        return good.replace(rec.who, e["who"], 1)
    if r < 0.75 and rec.topic:
        topic = rng.choice([t for t in TOPICS.values() if t.family != "everyday"])
        what = expand(rng.choice(topic.issues).canon, rng, e)
        return good.replace(rec.what, what) if what != rec.what else None
    if r < 0.9:
        return good + " " + rng.choice(["It is about order %s." % e["order"], "This happened on %s." % e["date"], "The amount is %s." % e["amount"], good])
    return rng.choice(["Summary: ", "The text says that ", "In short: "]) + good


def preference(rng, split):
    """A question with a good and a worse answer, or None."""
    kind = rng.choice(["label", "label", "mood", "summary", "summary", "field", "field", "field", "postgres"])
    if kind in ("label", "mood"):
        task = topic_task(rng, split) if kind == "label" else sentiment_task(rng, split)
        if task is None:
            return None
        labels = task[0].split(tasks.CLASSIFY_LABELS)[1].split("\n" + tasks.CLASSIFY_TEXT.lstrip("\n"))[0]
        labels = [x[len(tasks.CLASSIFY_BULLET):] for x in labels.split("\n") if x.startswith(tasks.CLASSIFY_BULLET)]
        wrong = [x for x in labels if x != task[1]]
        rejected = rng.choice(wrong) if rng.random() < 0.85 else rng.choice(["The category is %s.", "%s, because the text says so.", "- %s"]) % task[1]
        return task[0], task[1], rejected
    if kind == "summary":
        rec = any_text(rng, split, full=True)
        task = tasks.summarize_task(rec, rng, split)
        if task is None:
            return None
        rejected = worse_summary(rec, rng)
        return None if not rejected or rejected == task[1] else (task[0], task[1], rejected)
    if kind == "field":
        rec = texts.fact_text(rng, split) if rng.random() < 0.3 else any_text(rng, split)
        task = tasks.extract_task(rec, rng, split) if rng.random() < 0.6 else tasks.qa_task(rec, rng, split)
        if task is None:
            return None
        q, a = task
        others = sorted({v for v in list(rec.slots.values()) + [x[1] for x in rec.qa] if v and v != a})
        r = rng.random()
        if others and r < 0.55:
            return q, a, rng.choice(others)
        if r < 0.8:
            return q, a, rng.choice(["The answer is %s.", "It is %s.", "%s is the answer.", "%s, as the text says."]) % a
        words = a.split()
        if len(words) > 1:
            return q, a, " ".join(words[:-1])
        return q, a, a + " " + rng.choice(["and more", a, texts.new_entities(rng, split)["n"]])
    fact = rng.choice(pgqa.FACTS)
    other = rng.choice(pgqa.FACTS)
    if other.answer == fact.answer:
        return None
    return pgqa.question(fact, rng, split), fact.answer, other.answer
