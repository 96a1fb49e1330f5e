"""Texts of many kinds, each with a record of what it says."""
import re

import lexicon
import opinions
from grammar import TRAIN, Slots, expand, pick, sentence, split_list
from ontology import PASSAGES, TOPICS, WANTS, WORDS
from phrases import (ACTIONS, ACTION_ASK, ACTION_LINE, CLOSE_LINE, DISTRACT, DUE, FACTS, GREET,
                     INCIDENT_FACTS, INCIDENT_NAME, INCIDENT_NOISE, LABELLED, LOG_NOISE, MAIL_NOISE,
                     MAIL_OPEN, MENTION, NAME, NEWS_LEAD, NEWS_NOISE, NEWS_WHO, OPENING, REVIEWED,
                     SIGN)

# Values of slots stand between these marks until the text is finished, so that
# casing and typing errors leave them alone.
OPEN, CLOSE = "\x01", "\x02"


class Record:
    """What a text says.  slots: the values that occur in it, by name."""

    def __init__(self):
        self.text = self.family = self.kind = self.topic = self.group = ""
        self.intent = self.sentiment = self.category = self.aspect = None
        self.kind_label = self.unnamed = None
        self.who = self.what = self.want = None
        self.slots = {}
        self.qa = []            # further (question, answer) pairs


class Writer:
    """One person's way of writing."""

    def __init__(self, rng, split):
        self.rng, self.split = rng, split
        r = rng.random()
        self.case = "lower" if r < 0.12 else "upper" if r < 0.14 else "normal"
        self.typos = rng.choice([0, 0, 0, 0, 0.01, 0.02, 0.04])
        self.stop = rng.choice([".", ".", ".", ".", ".", "!", "...", "", "!!"]) if rng.random() < 0.3 else "."
        self.lines = rng.random() < 0.12
        self.terse = rng.random() < 0.2

    def typo(self, word):
        rng = self.rng
        if len(word) < 4:
            return word
        i = rng.randrange(1, len(word) - 1)
        r = rng.random()
        if r < 0.4:
            return word[:i] + word[i + 1] + word[i] + word[i + 2:]
        if r < 0.7:
            return word[:i] + word[i + 1:]
        if r < 0.9:
            return word[:i] + word[i] + word[i:]
        return word[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[i + 1:]

    def plain(self, text):
        """Casing and typing errors for a part without values."""
        if self.typos:
            text = re.sub(r"[A-Za-z]{4,}",
                          lambda m: self.typo(m.group()) if self.rng.random() < self.typos else m.group(), text)
        if self.case == "lower":
            text = text.lower()
        elif self.case == "upper":
            text = text.upper()
        return text

    def finish(self, text):
        parts = re.split(OPEN + "(.*?)" + CLOSE, text)
        for i in range(0, len(parts), 2):
            parts[i] = self.plain(parts[i])
        text = "".join(parts)
        text = re.sub(r" +([,.!?;:])", r"\1", re.sub(r"  +", " ", text))
        return text.strip()

    def say(self, wordings, slots):
        return expand(pick(wordings, self.rng, self.split), self.rng, slots)

    def several(self, wordings, slots, n):
        """n different ones, or as many as there are."""
        part = list(split_list(wordings, self.split))
        self.rng.shuffle(part)
        return [expand(x, self.rng, slots) for x in part[:n]]

    def filler(self, slots):
        """Sentences beside the point; now and then a lot of them."""
        if self.rng.random() > 0.07:
            return []
        pool = [x for part in (DISTRACT, INCIDENT_NOISE, NEWS_NOISE, MAIL_NOISE, CLOSE_LINE)
                for x in split_list(part, self.split)]
        self.rng.shuffle(pool)
        return [expand(x, self.rng, slots) for x in pool[:self.rng.randrange(6, 17)]]

    def sentence(self, text):
        text = text.strip()
        if not text:
            return text
        if text[0] != OPEN and not self.terse:
            text = text[0].upper() + text[1:]
        if text[-1] not in ".!?:,":
            text += self.stop
        return text

    def join(self, sentences):
        sentences = [self.sentence(s) for s in sentences if s.strip()]
        if self.lines:
            return "\n".join(sentences)
        out = sentences[0]
        for s in sentences[1:]:
            out += ("\n\n" if self.rng.random() < 0.05 else " ") + s
        return out


def marked(entities):
    return Slots({k: OPEN + v + CLOSE for k, v in entities.items()})


def unmark(text):
    return text.replace(OPEN, "").replace(CLOSE, "")


def new_entities(rng, split, category=None):
    e = lexicon.entities(rng, split, category)
    e["year2"] = str(rng.randrange(2005, 2024))
    return e


def take_slots(rec, e, slots):
    """The values that the finished text has: a sentence may have been dropped."""
    rec.slots = {k: e[k] for k in sorted(slots.used) if e[k] in rec.text}
    rec.who = rec.slots.get("who")


def order_parts(rng, first, parts):
    """first somewhere in front (mostly), the others in any order, none twice."""
    parts = list(dict.fromkeys(parts))
    rng.shuffle(parts)
    at = 0 if rng.random() < 0.5 else rng.randrange(len(parts) + 1)
    return parts[:at] + [first] + parts[at:]


def support_text(rng, split, topic=None, full=None):
    """A message of a customer.  full: who and want must be there."""
    topic = topic or rng.choice([t for t in TOPICS.values() if t.family == "support"])
    w = Writer(rng, split)
    e = new_entities(rng, split)
    slots = marked(e)
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    rec = Record()
    rec.family, rec.topic, rec.group, rec.intent = "support", topic.name, topic.group, topic.intent
    rec.kind_label, rec.unnamed = "support", "The customer"
    rec.kind = rng.choice(["ticket", "ticket", "email", "form", "chat"])
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    issue_text = w.say(issue.wordings, slots)
    has_want = full or rng.random() < 0.75
    has_who = full or rng.random() < 0.6
    n_facts = rng.choice([0, 0, 1, 1, 2, 2, 3, 4])
    n_noise = 0 if rec.kind == "chat" else rng.choice([0, 0, 1, 1, 2, 3, 5])
    facts = ["order", "order", "date", "date", "product", "amount", "city", "phone", "mail"]
    rng.shuffle(facts)
    chosen = []
    for f in facts:
        if len(chosen) < n_facts and f not in chosen and f not in slots.used:
            chosen.append(f)
    if "{product}" in issue.canon and "product" not in slots.used and "product" not in chosen:
        chosen.append("product")
    issue_sentence = [issue_text]
    if rec.kind == "form":
        head = []
        keys = (["who"] if has_who else []) + chosen
        rng.shuffle(keys)
        for k in keys:
            head.append(rng.choice(LABELLED[k]) + ": " + slots[k])
        body = issue_sentence
        if has_want:
            body = body + [w.say(want.wordings, slots)]
        body += w.several(DISTRACT, slots, n_noise)
        body = w.join(body)
        if rng.random() < 0.3:
            body = rng.choice(["Message: ", "Description: ", "Problem: ", "Text: "]) + body
        text = "\n".join(head + [body]) if rng.random() < 0.8 else "\n".join([body] + head)
    else:
        others = [w.say(FACTS["support"][f], slots) for f in chosen]
        others += w.several(DISTRACT, slots, n_noise) + (w.filler(slots) if rec.kind != "chat" else [])
        sign = has_who and rng.random() < 0.6
        if has_who and not sign:
            others.append(w.say(NAME, slots))
        if has_want and rng.random() < 0.25:
            others.append(w.say(want.wordings, slots))
            has_want_later = False
        else:
            has_want_later = has_want
        body = order_parts(rng, issue_text, others)
        if has_want_later:
            at = body.index(issue_text) + 1
            body.insert(rng.randrange(at, len(body) + 1), w.say(want.wordings, slots))
        if rng.random() < 0.25 and rec.kind != "chat":
            body.insert(0, w.say(OPENING, slots))
        if rng.random() < 0.3 and rec.kind != "chat":
            body.append(w.say(CLOSE_LINE, slots))
        text = w.join(body)
        if rng.random() < 0.45:
            text = w.say(GREET, slots) + rng.choice([" ", "\n", "\n\n"]) + text
        if sign:
            text += rng.choice(["\n", "\n\n", " "]) + w.say(SIGN, slots)
        if rec.kind == "email" and rng.random() < 0.5:
            subject = rng.choice(["Order {order}", "Question", "Hello", "Request",
                                  "Please help", "Problem", "Your {product}", "Urgent", "Message for you"])
            text = "Subject: " + expand(subject, rng, slots) + "\n\n" + text
    rec.text = w.finish(text)
    take_slots(rec, e, slots)
    rec.want = want.canon if has_want else None
    rec.sentiment = "positive" if topic.intent == "praise" else None
    return rec


def paragraph(w, slots, first, others, want=None):
    """Sentences in some order, the wish after what it is about."""
    body = order_parts(w.rng, first, others)
    if want:
        at = body.index(first) + 1
        body.insert(w.rng.randrange(at, len(body) + 1), want)
    return body


OFFICE_VALUES = ("company", "city", "date", "person2", "team", "amount", "invoice", "day", "product", "n", "version", "role")


def with_values(first, issue, slots, names, form):
    """The sentence with the values that the issue's canonical form has, behind it where it lacks them."""
    for f in names:
        if "{%s}" % f in issue.canon and f not in slots.used:
            first += form % slots[f]
    return first


def done(rec, w, text, e, slots):
    rec.text = w.finish(text)
    take_slots(rec, e, slots)
    return rec


def start(rng, split, family, kind, topic, kind_label, unnamed, category=None):
    w = Writer(rng, split)
    e = new_entities(rng, split, category)
    e["said"] = rng.choice(["said", "says", "stated"]) + " " + OPEN + e["who"] + CLOSE
    slots = SaidSlots({k: (v if k == "said" else OPEN + v + CLOSE) for k, v in e.items()})
    rec = Record()
    rec.family, rec.kind, rec.kind_label, rec.unnamed = family, kind, kind_label, unnamed
    if topic:
        rec.topic, rec.group, rec.intent = topic.name, topic.group, topic.intent
    return w, e, slots, rec


class SaidSlots(Slots):
    def __getitem__(self, key):
        if key == "said":
            self.used.add("who")
            return dict.__getitem__(self, key)
        return super().__getitem__(key)


def topics_of(family):
    return [t for t in TOPICS.values() if t.family == family]


def ops_text(rng, split, topic=None, full=None):
    """A note that an operator wrote about an incident."""
    topic = topic or rng.choice(topics_of("ops"))
    w, e, slots, rec = start(rng, split, "ops", "incident", topic, "incident", "The operator")
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    first = w.say(issue.wordings, slots)
    first = with_values(first, issue, slots, ("host", "service", "version"), ", %s")
    others = []
    names = [f for f in INCIDENT_FACTS if f not in slots.used]
    rng.shuffle(names)
    for f in names[:rng.choice([0, 1, 1, 2, 3])]:
        others.append(w.say(INCIDENT_FACTS[f], slots))
    others += w.several(INCIDENT_NOISE, slots, rng.choice([0, 1, 1, 2, 3, 5])) + w.filler(slots)
    if full or rng.random() < 0.6:
        others.append(w.say(INCIDENT_NAME, slots))
    has_want = full or rng.random() < 0.7
    body = paragraph(w, slots, first, others, w.say(want.wordings, slots) if has_want else None)
    if rng.random() < 0.3:
        text = "\n".join(rng.choice(["- ", "* ", ""]) + w.sentence(s) for s in body)
    else:
        text = w.join(body)
    if rng.random() < 0.25:
        text = rng.choice(["Incident", "INCIDENT", "Incident note", "On-call log", "Status", "Alert"]) + rng.choice([": ", "\n", " - "]) + text
    rec.want = want.canon if has_want else None
    return done(rec, w, text, e, slots)


def log_text(rng, split, topic=None, full=None):
    topic = topic or rng.choice(topics_of("ops"))
    w, e, slots, rec = start(rng, split, "ops", "log", topic, "log", "The server")
    issue = rng.choice(topic.issues)
    day = "%d-%02d-%02d" % (rng.randrange(2020, 2028), rng.randrange(1, 13), rng.randrange(1, 29))
    h, m, s = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    shape = rng.randrange(4)
    host = e["host"]
    lines = []
    n_noise = rng.choice([0, 0, 1, 2, 3])
    order = ["noise"] * n_noise + ["issue"] * rng.choice([1, 1, 1, 2])
    rng.shuffle(order)
    for kind in order:
        noise = kind == "noise"
        msg = unmark(w.say(LOG_NOISE if noise else issue.logs, slots))
        level = rng.choice(["INFO", "INFO", "DEBUG", "LOG"]) if noise else rng.choice(["ERROR", "ERROR", "FATAL", "WARN", "CRITICAL"])
        s += rng.randrange(1, 9)
        stamp = "%02d:%02d:%02d" % ((h + (m + s // 60) // 60) % 24, (m + s // 60) % 60, s % 60)
        if shape == 0:
            lines.append("%s %s %s %s: %s" % (day, stamp, level, host, msg))
        elif shape == 1:
            lines.append("[%s %s] %s [%s] %s" % (day, stamp, level.lower(), host, msg))
        elif shape == 2:
            lines.append("%s %s %s: %s" % (stamp, host, level, msg))
        else:
            lines.append("level=%s host=%s time=%sT%s msg=\"%s\"" % (level.lower(), host, day, stamp, msg))
    rec.text = "\n".join(lines)
    rec.slots = {"host": host}
    if shape != 2:
        rec.slots["logdate"] = day
    return rec


def news_text(rng, split, topic=None, full=None):
    topic = topic or rng.choice(topics_of("news"))
    w, e, slots, rec = start(rng, split, "news", "news", topic, "news", "The report")
    w.typos, w.stop = 0, "."
    if rng.random() < 0.9:
        w.case = "normal"
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    first = with_values(first, issue, slots, ("company", "city", "date", "person2"), " (%s)")
    has_want = full or rng.random() < 0.6
    others = w.several(NEWS_NOISE, slots, rng.choice([0, 1, 2, 2, 3, 5, 7])) + w.filler(slots)
    want_text = w.say(want.wordings, slots) if has_want else None
    if "who" not in slots.used and (has_want or rng.random() < 0.4):
        others.append(w.say(NEWS_WHO, slots))
    text = w.join(paragraph(w, slots, first, others, want_text))
    text = expand(rng.choice(NEWS_LEAD), rng, slots) + text
    rec.want = want.canon if has_want else None
    return done(rec, w, text, e, slots)


def office_text(rng, split, topic=None, full=None):
    """An e-mail within a company."""
    topic = topic or rng.choice(topics_of("office"))
    w, e, slots, rec = start(rng, split, "office", "mail", topic, "office", "The sender")
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    first = with_values(first, issue, slots, OFFICE_VALUES, " (%s)")
    has_want = full or rng.random() < 0.7
    others = w.several(MAIL_NOISE, slots, rng.choice([0, 1, 1, 2, 3, 4])) + w.filler(slots)
    body = paragraph(w, slots, first, others, w.say(want.wordings, slots) if has_want else None)
    if rng.random() < 0.3:
        body.insert(0, w.say(MAIL_OPEN, slots))
    text = w.join(body)
    if rng.random() < 0.7:
        text = rng.choice(["Hi", "Hello", "Dear", "Hey", "Good morning", "Dear"]) + " " + rng.choice(["all", "team", "everyone", "{first2}", "colleagues", "{first2}"]).replace("{first2}", slots["first2"]) + "," \
            + rng.choice(["\n", "\n\n", " "]) + text
    name = full or rng.random() < 0.7
    top = ""
    if name and rng.random() < 0.35:
        top = "From: " + slots["who"] + "\n"
    elif name:
        text += rng.choice(["\n", "\n\n", " "]) + w.say(SIGN, slots)
    if rng.random() < 0.3:
        top += rng.choice(["To: all\n", "To: " + slots["person2"] + "\n", ""]) + "Subject: " + rng.choice(["Short note", "Question", "FYI", "Please read", "News", "This week", "Update"]) + "\n"
    rec.want = want.canon if has_want else None
    return done(rec, w, (top + "\n" if top else "") + text, e, slots)


def meeting_text(rng, split, topic=None, full=None):
    """Notes of a meeting: who was there, what was said, who does what."""
    topic = topic or rng.choice(topics_of("office"))
    w, e, slots, rec = start(rng, split, "office", "meeting", topic, "meeting", "The team")
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    first = with_values(first, issue, slots, OFFICE_VALUES, " (%s)")
    has_want = full or rng.random() < 0.6
    lines = [rng.choice(["Meeting notes", "Minutes", "Notes", "Weekly meeting", "Team meeting", "Jour fixe"]) + rng.choice(["", " of the " + e["team"], " " + slots["date2"]])]
    if "date" not in slots.used and rng.random() < 0.3:
        lines.append("Date: " + slots["date"])
    speaker = (full or rng.random() < 0.7)
    if speaker:
        first = rng.choice(["{who}: ", "{who} reported: ", "{who} said that ", "report by {who}: ", "{who} told us that "]).replace("{who}", slots["who"]) + first
    notes = [first]
    if has_want:
        notes.append(w.say(want.wordings, slots))
    extra, dues = [], {}
    if rng.random() < 0.6:
        acts = rng.sample(ACTIONS[:20] + ACTIONS[25:45] if split == TRAIN else ACTIONS[20:25] + ACTIONS[45:], rng.choice([1, 2, 2, 3]))
        people = []
        for a in acts:
            p = lexicon.first_name(rng, split) + ("" if rng.random() < 0.5 else " " + lexicon.last_name(rng, split))
            if p in people or p.split()[0] in (e["first"], e["first2"], e["first3"]):
                continue
            people.append(p)
            due = rng.choice(lexicon.DAYS + [lexicon.date(rng)])
            dues["due_day" if due in lexicon.DAYS else "due_date"] = due
            line = pick(ACTION_LINE, rng, split).replace("{a}", a).replace("{p}", OPEN + p + CLOSE)
            line = expand(line, rng, slots)
            if rng.random() < 0.5 and ":" not in line:
                line += rng.choice(DUE).replace("{d}", OPEN + due + CLOSE)
                rec.qa.append((rng.choice(["By when will %s %s?", "Until when has %s to %s?"]) % (p, a), due))
            extra.append(line)
            rec.qa.append((pick(ACTION_ASK, rng, split).replace("{a}", a), p))
    extra += w.several(MAIL_NOISE, slots, rng.choice([0, 0, 1, 2])) + w.filler(slots)
    rng.shuffle(extra)
    cut = rng.randrange(len(extra) + 1)
    notes = extra[:cut] + notes + extra[cut:]
    bullet = rng.choice(["- ", "- ", "* ", "", "prose"])
    if bullet == "prose":
        text = lines[0] + "\n" + w.join(lines[1:] + notes)
    else:
        text = "\n".join(lines + [bullet + w.sentence(s) for s in notes])
    rec.want = want.canon if has_want else None
    rec = done(rec, w, text, e, slots)
    rec.slots.update(dues)
    if rec.qa:
        rec.slots["person2"] = ""       # several people: a question for "the name" would be open
    return rec


def everyday_text(rng, split, topic=None, full=None):
    """A few sentences on a subject of daily life."""
    topic = topic or rng.choice(topics_of("everyday"))
    w, e, slots, rec = start(rng, split, "everyday", "everyday", topic, None, None)
    rec.intent = None
    first, *more = w.several(topic.issues[0].wordings, slots, rng.choice([1, 1, 2, 2, 3]))
    others = more + w.several(DISTRACT, slots, rng.choice([0, 0, 0, 1, 2]))
    if rng.random() < 0.2:
        others.append(w.say(NAME, slots))
    return done(rec, w, w.join(order_parts(rng, first, others)), e, slots)


UNNAMED = {"support": "The customer", "ops": "The operator", "news": "The report", "office": "The sender", "everyday": None}


def short_text(rng, split, topic, want=None, signed=False, facts=()):
    """One sentence on a topic, now and then with one beside the point; with a wish, a name and facts if asked for."""
    w, e, slots, rec = start(rng, split, topic.family, "short", topic, None, UNNAMED[topic.family])
    issue = rng.choice(topic.issues)
    parts = [w.say(issue.wordings, slots)]
    if issue.canon and all(f in slots.used for f in re.findall(r"{(\w+)}", issue.canon)):
        rec.what = unmark(expand(issue.canon, rng, marked(e)))
    if rng.random() < 0.25:
        parts.insert(rng.randrange(2), w.say(DISTRACT, slots))
    if want:
        parts.insert(len(parts) if rng.random() < 0.7 else 0, w.say(want.wordings, slots))
        rec.want = want.canon
    for f in facts:
        if f not in slots.used:
            parts.insert(rng.randrange(len(parts) + 1), w.say(FACTS["support"][f], slots))
    text = w.join(parts)
    if signed and topic.family != "news":
        text += rng.choice(["\n", " "]) + w.say(SIGN, slots)
    return done(rec, w, text, e, slots)


def short_wish(rng, split):
    """One sentence that says what its writer wants."""
    w, e, slots, rec = start(rng, split, "wish", "short", None, None, None)
    if rng.random() < 0.15:
        rec.want, wordings = rng.choice([x for wants in opinions.REVIEW_WANTS.values() for x in wants])
    else:
        want = rng.choice(list(WANTS.values()))
        rec.want, wordings = want.canon, want.wordings
    parts = [w.say(wordings, slots)]
    if rng.random() < 0.25:
        parts.insert(rng.randrange(2), w.say(DISTRACT, slots))
    return done(rec, w, w.join(parts), e, slots)


def name_thing(e, slots, thing):
    """Sets what a review calls its product."""
    e["thing"] = thing
    dict.__setitem__(slots, "thing", OPEN + thing + CLOSE)


def thing_of(product, category):
    """The kind of thing that a product is, or None for a made-up one."""
    return max((t for t in lexicon.THINGS[category] if product.endswith(t)), key=len, default=None)


# Where the remarks of a mood are in an aspect.
COLUMN = {"positive": 1, "negative": 2, "neutral": 3}


def short_review(rng, split, sentiment):
    """A verdict, or a remark on one aspect."""
    category = rng.choice(list(lexicon.THINGS))
    w, e, slots, rec = start(rng, split, "review", "short", None, "review", None, category)
    name_thing(e, slots, pick(lexicon.THINGS[category], rng, split))
    parts = [w.say(opinions.VERDICT[sentiment] if rng.random() < 0.6 else rng.choice(list(opinions.ASPECTS.values()))[COLUMN[sentiment]], slots)]
    if rng.random() < 0.25:
        parts.insert(rng.randrange(2), w.say(opinions.USES, slots))
    rec.sentiment = sentiment
    return done(rec, w, w.join(parts), e, slots)


def short_remark(rng, split, aspect):
    """What a review says of one aspect, in any mood."""
    w, e, slots, rec = start(rng, split, "review", "short", None, "review", None, rng.choice(list(lexicon.THINGS)))
    name_thing(e, slots, e["product"])
    return done(rec, w, w.join([w.say(opinions.ASPECTS[aspect][rng.choice([1, 2, 3])], slots)]), e, slots)


def short_mention(rng, split, category):
    """A product of a known kind, alone or in a sentence of a review."""
    while True:
        w, e, slots, rec = start(rng, split, "review", "short", None, "review", None, category)
        if thing_of(e["product"], category):
            break
    if rng.random() < 0.4:
        return done(rec, w, slots["product"], e, slots)
    parts = [w.say(REVIEWED, slots)]
    if rng.random() < 0.5:
        name_thing(e, slots, e["product"])
        parts.insert(rng.randrange(2), w.say(opinions.VERDICT[rng.choice(list(COLUMN))], slots))
    return done(rec, w, w.join(parts), e, slots)


def review_text(rng, split, sentiment=None, full=None):
    sentiment = sentiment or rng.choice(["positive", "positive", "negative", "negative", "neutral"])
    category = rng.choice(list(lexicon.THINGS))
    w, e, slots, rec = start(rng, split, "review", "review", None, "review", "The customer", category)
    thing = thing_of(e["product"], category)
    rec.sentiment, rec.category = sentiment, category if thing else None
    name_thing(e, slots, thing or e["product"])
    if e["product2"] == e["product"]:
        return review_text(rng, split, sentiment, full)
    aspects = rng.sample(list(opinions.ASPECTS), rng.choice([0, 1, 1, 1, 2, 2, 3]))
    rec.aspect = aspects[0] if len(aspects) == 1 else None
    said = []
    contrast = None
    if len(aspects) >= 2 and sentiment != "neutral" and rng.random() < 0.4:
        contrast = aspects.pop()
    for a in aspects:
        said.append(w.say(opinions.ASPECTS[a][COLUMN[sentiment]], slots))
    if sentiment == "neutral" and len(aspects) >= 2 and rng.random() < 0.4:
        said[-2:] = [w.say(opinions.ASPECTS[aspects[-2]][1], slots) + ", but " + w.say(opinions.ASPECTS[aspects[-1]][2], slots)]
    verdict = w.say(opinions.VERDICT[sentiment], slots)
    n_verdicts = rng.choice([1, 1, 1, 2, 2, 3])
    for _ in range(n_verdicts - 1):
        said.append(w.say(opinions.VERDICT[sentiment], slots))
    if contrast:
        other = w.say(opinions.ASPECTS[contrast][3 - COLUMN[sentiment]], slots)
        verdict = rng.choice(["%s, but all in all: %s", "although %s: %s", "%s, still %s", "%s. Nevertheless %s", "yes, %s, yet %s", "%s. Anyway, %s"]) % (other, verdict)
        rec.aspect = None
    elif aspects and n_verdicts == 1 and sentiment != "neutral" and rng.random() < 0.25:
        verdict = said.pop()
    uses = w.several(opinions.USES, slots, rng.choice([0, 0, 1, 1, 2, 3, 4])) + w.filler(slots)
    if "date" not in slots.used and rng.random() < 0.2:
        uses.append(w.say(FACTS["review"]["date"], slots))
    has_want = full or rng.random() < 0.2
    want_canon, want_wordings = rng.choice(opinions.REVIEW_WANTS[sentiment])
    want = w.say(want_wordings, slots) if has_want else None
    if "product" not in slots.used and (full or rng.random() < 0.8):
        uses.append(w.say(REVIEWED, slots))
    sign = None
    if full or rng.random() < 0.25:
        if rng.random() < 0.5:
            uses.append(w.say(NAME, slots))
        else:
            sign = w.say(SIGN, slots)
    text = w.join(paragraph(w, slots, verdict, said + uses, want))
    if sign:
        text += rng.choice(["\n", " "]) + sign
    done(rec, w, text, e, slots)
    if "product" in rec.slots:
        rec.what = "the %s is %s" % (e["product"], {"positive": "good", "negative": "bad", "neutral": "average"}[sentiment])
    rec.want = want_canon if has_want else None
    return rec


def word_text(rng, split):
    """A sentence or two that mention a thing, by which they can be sorted."""
    rec = Record()
    rec.family = rec.kind = "words"
    e = new_entities(rng, split)
    rec.category = rng.choice(list(WORDS))
    word = rng.choice(WORDS[rec.category][1])
    e["w"] = word
    rec.text = " ".join(sentence(expand(pick(MENTION, rng, split), rng, e)) for _ in range(rng.choice([1, 1, 2])))
    return rec


# Short passages about a thing, with several facts each: for questions.
PLACES = [("bridge", "built"), ("tower", "built"), ("library", "opened"), ("museum", "founded"), ("theatre", "opened"), ("school", "founded"),
          ("station", "opened"), ("castle", "built"), ("park", "opened"), ("factory", "founded"), ("hotel", "opened"), ("harbour", "built")]


def fact_text(rng, split):
    """An encyclopedic passage with questions about it."""
    rec = Record()
    rec.family = rec.kind = "fact"
    n = rng.choice([1, 1, 2, 2, 3])
    passages = []
    names = set()
    for _ in range(n):
        kind = ("place", "person", "product", "host")[rng.randrange(4)]
        f = new_entities(rng, split)
        choose = lambda options: pick(options, rng, split).format(**f)
        if kind == "place":
            noun, f["verb"] = rng.choice(PLACES[:10] if split == TRAIN else PLACES[10:])
            f["x"] = "the %s %s" % (lexicon.brand(rng, split), noun)
        else:
            f["x"] = {"person": f["person3"], "product": "the " + f["product"], "host": f["host"]}[kind]
        facts = list(PASSAGES[kind])
        if f["x"] in names:
            continue
        names.add(f["x"])
        rng.shuffle(facts)
        facts = facts[:rng.choice([2, 3, 3, 4])]
        lines = []
        for k, (say, ask, key) in enumerate(facts):
            text = choose(say)
            text = re.sub(r"\[([^|\]]*)\|[^\]]*\]", r"\1", text)
            if k == 0 or n > 1:
                text = re.sub(r"^it\b", f["x"], text)
                text = re.sub(r"^its number", "the number of " + f["x"], text)
                for a, b in (("its place is", "the place of %s is"), ("its architect", "the architect of %s"), ("you find it", "you find %s"), ("plans for it", "plans for %s"),
                             ("paid for it", "paid for %s"), ("building it", "building %s"), ("the price was", "the price of %s was"), ("the cost was", "the cost of %s was"),
                             ("the architect was", "the architect of %s was"), ("the plans came", "the plans of %s came")):
                    text = text.replace(a, b % f["x"] if "%s" in b else b)
            if not re.search(r"\b(it|its|they)\b", text) and f["x"] not in text and n > 1:
                text += ", says the page on " + f["x"]
            lines.append(sentence(text) if not re.match(r"[a-z]+[-\d]", text) else text + ".")
            rec.qa.append((pick(ask, rng, split).format(**f), f[key]))
        passages.append(lines)
    if n > 1 and rng.random() < 0.4:
        flat = [x for p in passages for x in p]
        rng.shuffle(flat)
        rec.text = " ".join(flat)
    else:
        rec.text = rng.choice([" ", " ", "\n"]).join(" ".join(p) for p in passages)
    return rec
