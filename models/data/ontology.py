"""Reads the topics and wants under ontology/."""
import os

from grammar import Later

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ontology")


class Issue:
    def __init__(self, canon):
        self.canon = canon
        self.wordings = []
        self.logs = []


class Topic:
    def __init__(self, name, family, group, intent):
        self.name, self.family, self.group, self.intent = name, family, group, intent
        self.labels = []
        self.issues = []
        self.wants = []


def load_topics():
    """File format: @ name family group intent; L labels; I canonical form of an
    issue; - a wording of it; % a log line of it; W names of wants.  The topics
    of everyday.txt have sentences but no issues in a canonical form."""
    topics = {}
    for file in ("support.txt", "ops.txt", "news.txt", "office.txt", "everyday.txt"):
        for number, line in enumerate(open(os.path.join(HERE, file), encoding="utf-8"), 1):
            line = line.strip()
            if not line or line[0] == "#":
                continue
            mark, rest = line[0], line[1:].strip()
            if mark == "@":
                topic = Topic(*rest.split())
                if topic.name in topics:
                    raise ValueError("%s:%d: topic twice" % (file, number))
                topics[topic.name] = topic
            elif mark == "L":
                topic.labels = [x.strip() for x in rest.split("|")]
            elif mark == "I":
                topic.issues.append(Issue(rest))
            elif mark == "-":
                if not topic.issues:
                    topic.issues.append(Issue(None))
                topic.issues[-1].wordings.append(rest)
            elif mark == "%":
                topic.issues[-1].logs.append(rest)
            elif mark == "W":
                topic.wants = rest.split()
            else:
                raise ValueError("%s:%d: %s" % (file, number, line))
    return topics


class Want:
    def __init__(self, canon):
        self.canon = canon
        self.wordings = []


def load_wants():
    wants = {}
    for line in open(os.path.join(HERE, "wants.txt"), encoding="utf-8"):
        line = line.strip()
        if line.startswith("="):
            name, canon = [x.strip() for x in line[1:].split("|")]
            want = wants[name] = Want(canon)
        elif line.startswith("-"):
            want.wordings.append(line[1:].strip())
    return wants


def load_words():
    """File format: label | label ... = word | word ..."""
    words = {}
    for line in open(os.path.join(HERE, "words.txt"), encoding="utf-8"):
        line = line.strip()
        if line and line[0] != "#":
            labels, members = [[x.strip() for x in part.split("|")] for part in line.split("=")]
            words[labels[0]] = (labels, members)
    return words


def load_opinions():
    """File format: V mood, then - verdict; A name = label | ..., then + good,
    - bad and ~ plain remarks; W mood | what is wanted, then - wording."""
    verdicts, aspects, wants = {}, {}, {}
    for line in open(os.path.join(HERE, "opinions.txt"), encoding="utf-8"):
        mark, rest = line[0], line[1:].strip()
        if mark == "V":
            part = {"-": verdicts.setdefault(rest, [])}
        elif mark == "A":
            name, labels = [x.strip() for x in rest.split("=")]
            aspects[name] = ([x.strip() for x in labels.split("|")], [], [], [])
            part = dict(zip("+-~", aspects[name][1:]))
        elif mark == "W":
            mood, canon = [x.strip() for x in rest.split("|")]
            wants.setdefault(mood, []).append((canon, []))
            part = {"-": wants[mood][-1][1]}
        elif mark != "#":
            part[mark].append(rest)
    return verdicts, aspects, wants


def load_thesaurus():
    """File format: word = synonym | ... | definition."""
    entries = []
    for line in open(os.path.join(HERE, "thesaurus.txt"), encoding="utf-8"):
        word, rest = line.strip().split(" = ", 1)
        parts = [x.strip() for x in rest.split("|")]
        entries.append((word, parts[:-1], parts[-1]))
    return entries


def load_related():
    """File format: word: words that are used like it, nearest first."""
    related = {}
    for line in open(os.path.join(HERE, "related.txt"), encoding="utf-8"):
        if line[0] != "#":
            word, others = line.split(": ")
            related[word] = others.split()
    return related


def load_moods():
    """File format: @ mood, then lines of words."""
    moods = {}
    for line in open(os.path.join(HERE, "moods.txt"), encoding="utf-8"):
        if line[0] == "@":
            words = moods[line[1:].strip()] = []
        elif line[0] != "#":
            words += line.split()
    return moods


def load_passages():
    """File format: @ kind fact, then - sentence and ? question; kind: its facts."""
    passages = {}
    for line in open(os.path.join(HERE, "passages.txt"), encoding="utf-8"):
        mark, rest = line[0], line[1:].strip()
        if mark == "@":
            kind, fact = rest.split()
            says, asks = [], []
            passages.setdefault(kind, []).append((says, asks, fact))
        else:
            {"-": says, "?": asks}[mark].append(rest)
    return passages


def add_later(lists):
    """Adds the wordings of later.txt, which training alone has: ## kind/name of the list, then a wording each."""
    wordings = None
    for number, line in enumerate(open(os.path.join(HERE, "later.txt"), encoding="utf-8"), 1):
        line = line.strip()
        if line.startswith("## "):
            kind, name = line[3:].split("/", 1)
            if name not in lists.get(kind, ()):
                raise ValueError("later.txt:%d: there is no %s/%s" % (number, kind, name))
            wordings = lists[kind][name]
        elif line:
            wordings.append(Later(line))


THESAURUS = load_thesaurus()
RELATED = load_related()
MOODS = load_moods()
WORDS = load_words()
TOPICS = load_topics()
WANTS = load_wants()
PASSAGES = load_passages()
for _t in TOPICS.values():
    for _w in _t.wants:
        if _w not in WANTS:
            raise ValueError("topic %s: no want %s" % (_t.name, _w))
