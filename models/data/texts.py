"""Texts of many kinds, each with a record of what it says."""
import re

import lexicon
from grammar import TRAIN, Slots, expand, pick, sentence, split_list
from ontology import TOPICS, WANTS, WORDS

# Values of slots stand between these marks until the text is finished, so that
# casing and typing errors leave them alone.
OPEN, CLOSE = "\x01", "\x02"


class Record:
    """What a text says.  slots: the values that occur in it, by name."""

    def __init__(self):
        self.text = self.family = self.kind = self.topic = self.group = ""
        self.intent = self.sentiment = None
        self.who = self.what = self.want = None
        self.slots = {}
        self.qa = []            # further (question, answer) pairs


FACTS = {
    "support": {
        "order": ["[my|the] order number is {order}", "order [number|no.] {order}", "it is about order {order}",
                  "[order:|order no:|ref] {order}", "the order in question is {order}", "see order {order}",
                  "I ordered it under number {order}", "this concerns my order {order}", "order #{order}",
                  "the number of my order: {order}"],
        "date": ["I bought it on {date}", "ordered on {date}", "the order was placed on {date}", "date of purchase: {date}",
                 "my order is from {date}", "I placed the order on {date}", "the purchase was on {date}",
                 "[order date:|ordered:] {date}", "it was bought on {date}", "the date of my order is {date}"],
        "product": ["it is about the {product}", "product: {product}", "I am writing about the {product}",
                    "the item is a {product}", "this is about my {product}", "the product is the {product}",
                    "I bought a {product} from you", "item: {product}", "the article I mean is the {product}", "I mean the {product}"],
        "amount": ["I paid {amount}", "the price was {amount}", "it cost me {amount}", "total: {amount}", "the total was {amount}",
                   "{amount} was what I paid", "I spent {amount} on it", "the amount was {amount}", "paid {amount} [by card|in advance]", "the whole thing cost {amount}"],
        "city": ["I live in {city}", "I am writing from {city}", "my home is in {city}", "greetings from {city}",
                 "I am a customer from {city}", "we live in {city}", "I am based in {city}", "city: {city}", "I'm at home in {city}"],
        "phone": ["my phone number is {phone}", "you can reach me at {phone}", "call {phone}", "phone: {phone}", "my number is {phone}"],
        "mail": ["my mail address is {mail}", "write to {mail}", "my account is {mail}", "e-mail: {mail}", "I am registered as {mail}"],
    },
}
FACTS["review"] = {
    "date": FACTS["support"]["date"],
    "amount": FACTS["support"]["amount"],
    "city": FACTS["support"]["city"],
}
NAME = ["my name is {who}", "I am {who}", "this is {who} [speaking|writing|]", "{who} here", "name: {who}",
        "customer: {who}", "{who} is my name", "I'm {who}", "written by {who}", "you are reading the words of {who}"]
SIGN = ["{who}", "[Best|Kind] regards, {who}", "[Regards|Greetings|Cheers], {who}", "Thanks, {who}", "Yours, {who}",
        "Sincerely, {who}", "- {who}", "[Best|Many thanks], {who}", "Bye, {who}", "With kind regards {who}"]
GREET = ["Hello,", "Hi,", "Hi there,", "Dear team,", "Good morning,", "Dear sir or madam,", "Hey,", "To whom it may concern,",
         "Hello support,", "Good evening,", "Good day,", "Hello everybody,"]
OPENING = ["I hope you can help me", "I have a [problem|question|request]", "sorry to bother you", "I am writing to you because I am at a loss",
           "this is the [second|third] time I write", "I [tried|looked at] your help pages first", "maybe you can help",
           "I am a customer of yours [since {year2}|for years]", "let me tell you what happened", "here is my story"]
DISTRACT = ["I am on [holiday|a business trip] [next week|from {day}]", "my [wife|husband|brother|neighbour] [says|thinks] the same",
            "the weather is [awful|lovely] today by the way", "I have been a loyal customer for {n} years", "my [sister|friend|colleague] recommended you",
            "I looked in the help section but [found nothing|did not understand it]", "sorry for my [bad English|long message]",
            "I am usually at home after {time}", "my neighbour has a key", "I already called on {day}", "we have {n} children and little time",
            "I am writing from my phone", "it is not the first time", "a friend told me to write to you", "this is rather urgent for me",
            "I hope this reaches the right person", "I took {n} photos", "you can see it in the attached picture", "I work in a small office with {n} people",
            "last year everything was fine", "I read about it in a forum", "I have tried it {n} times", "it rained all {day} here",
            "your last reply was on {day}", "my old one lasted {n} years"]
CLOSE_LINE = ["thank you", "thanks in advance", "I look forward to your answer", "waiting for your reply", "have a nice day",
              "thanks for your help", "I hope to hear from you soon", "many thanks", "please answer soon", "all the best"]


# The lines of a form.
LABELLED = {"who": ["Name", "Customer", "From", "Client"], "order": ["Order", "Order number", "Order no"],
            "date": ["Date", "Order date", "Ordered on"], "product": ["Product", "Item", "Article"],
            "amount": ["Amount", "Price", "Paid"], "city": ["City", "Town"], "phone": ["Phone", "Tel"],
            "mail": ["E-mail", "Mail"]}


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


def done(rec, w, text, e, slots):
    rec.text = w.finish(text)
    take_slots(rec, e, slots)
    return rec


def start(rng, split, family, kind, topic, kind_label, unnamed, full, category=None):
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


INCIDENT_FACTS = {
    "ticket": ["ticket {ticket}", "tracked as ticket {ticket}", "[the|] ticket [number|] is {ticket}", "see ticket {ticket}", "ticket no. {ticket} was opened"],
    "date": ["it happened on {date}", "date: {date}", "noticed on {date}", "on {date}", "the day was {date}"],
    "time": ["[it|the trouble] started at {time}", "first alert at {time}", "seen since {time}", "time: {time}", "the alarm came at {time}"],
    "host": ["affected host: {host}", "the machine is {host}", "host {host}", "it concerns {host}", "seen on {host}"],
    "version": ["running version {version}", "version: {version}", "we run {version} there", "the version is {version}", "software version {version}"],
}
INCIDENT_NAME = ["reported by {who}", "{who} is on call", "on-call: {who}", "{who} reports", "author: {who}", "written by {who}", "noted by {who}",
                 "{who} from the {team} noticed it", "{who} took the call", "on duty: {who}"]
INCIDENT_NOISE = ["customers have [not noticed|noticed] it", "the {team} has been informed", "no data was lost", "the dashboard is red", "monitoring sent {n2} alerts",
                  "we had the same in {month}", "a second look is planned for {day}", "first checks found nothing", "the phone does not stop ringing",
                  "{n} customers called", "the runbook did not help", "it comes and goes", "coffee is low as well", "everything else is normal",
                  "the cause is not known yet", "status page updated", "impact is small so far", "{person2} is looking at the graphs"]


def ops_text(rng, split, topic=None, full=None):
    """A note that an operator wrote about an incident."""
    topic = topic or rng.choice(topics_of("ops"))
    w, e, slots, rec = start(rng, split, "ops", "incident", topic, "incident", "The operator", full)
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    first = w.say(issue.wordings, slots)
    for f in ("host", "service", "version"):
        if "{%s}" % f in issue.canon and f not in slots.used:
            first += ", " + slots[f]
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


LOG_NOISE = ["connection received from 10.0.{n}.{n2}", "checkpoint complete: wrote {big} buffers", "user session started", "GET /health 200 in {n} ms",
             "reloading configuration", "worker {n} ready", "cache refreshed in {n2} ms", "heartbeat ok", "session {ticket} closed", "listening on port 80{n2}",
             "request {ticket} done in {n2} ms", "started thread pool with {n} workers"]


def log_text(rng, split, topic=None, full=None):
    topic = topic or rng.choice(topics_of("ops"))
    w, e, slots, rec = start(rng, split, "ops", "log", topic, "log", "The server", full)
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


NEWS_LEAD = ["{city2}, {date} - ", "{city2} ({date}): ", "{city2} - ", "", "", "", "NEWS: ", "{date}. ", "{company2} News - ", "{day}: "]
NEWS_WHO = ["{who} spoke for the [city|organisers|experts]", "{who}, who has watched it for years, gave an interview", "the [city|union|office] is led by {who}",
            "{who} answered the questions of reporters", "questions were answered by {who}", "{who} has worked on this for {n} years",
            "the words come from {who}, a local expert", "expert {who} commented on it", "{who} told reporters about it", "so far the account of {who}"]
NEWS_NOISE = ["it was the [first|second] time in {n2} years", "the news came on {day}", "about {big} people were [present|affected]", "reactions on the street were mixed",
              "details were not given", "more is expected [next week|in {month}]", "nobody was surprised", "local radio reported it first", "photos were shared on the web",
              "in {city2} people talk of little else", "a report of {n2} pages was published", "last year it was different", "it began in {month}",
              "many had waited for this", "{person2} had no comment", "the story made headlines abroad", "a press conference is planned for {day}"]


def news_text(rng, split, topic=None, full=None):
    topic = topic or rng.choice(topics_of("news"))
    w, e, slots, rec = start(rng, split, "news", "news", topic, "news", "The report", full)
    w.typos, w.stop = 0, "."
    if rng.random() < 0.9:
        w.case = "normal"
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    for f in ("company", "city", "date", "person2"):
        if "{%s}" % f in issue.canon and f not in slots.used:
            first += " (" + slots[f] + ")"
    has_want = full or rng.random() < 0.6
    others = w.several(NEWS_NOISE, slots, rng.choice([0, 1, 2, 2, 3, 5, 7])) + w.filler(slots)
    want_text = w.say(want.wordings, slots) if has_want else None
    if "who" not in slots.used and (has_want or rng.random() < 0.4):
        others.append(w.say(NEWS_WHO, slots))
    text = w.join(paragraph(w, slots, first, others, want_text))
    text = expand(rng.choice(NEWS_LEAD), rng, slots) + text
    rec.want = want.canon if has_want else None
    return done(rec, w, text, e, slots)


MAIL_OPEN = ["I hope you are well", "a short note [from me|]", "just a quick word", "thanks for your last mail", "as discussed on {day}", "I want to let you know the following",
             "it was good to see you on {day}", "one thing before the weekend"]
MAIL_NOISE = ["the coffee machine works again", "lunch on {day} was nice", "I am in the office until {time}", "my phone is {phone}", "the minutes are attached", "{person2} knows about it",
              "I also told the {team}", "let us talk on {day}", "the train was late again", "I copied {person3}", "see the attached file", "the numbers of {month} look fine",
              "we talked about it in {month}", "it is quiet here today", "my desk is now on floor {n}", "say hello to {first3}", "the plants need water", "next week is busy"]


def office_text(rng, split, topic=None, full=None):
    """An e-mail within a company."""
    topic = topic or rng.choice(topics_of("office"))
    w, e, slots, rec = start(rng, split, "office", "mail", topic, "office", "The sender", full)
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    for f in ("company", "city", "date", "person2", "team", "amount", "invoice", "day", "product", "n", "version", "role"):
        if "{%s}" % f in issue.canon and f not in slots.used:
            first += " (" + slots[f] + ")"
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


ACTIONS = ["write the report", "call the supplier", "book the room", "check the numbers", "update the page", "order new chairs", "test the release", "prepare the slides",
           "talk to the client", "clean up the list", "find a date", "review the text", "fix the link", "collect the receipts", "invite the guests", "train the new colleague",
           "draw the plan", "read the contract", "count the stock", "answer the letter", "paint the wall", "measure the speed", "translate the manual", "send the invitation", "close the old account"]
ACTION_LINE = ["{p} [will|is going to] {a}", "{p}: {a}", "{p} has to {a}", "action for {p}: {a}", "{p} promised to {a}", "{p} agreed to {a}", "task of {p}: {a}", "to {a} is the task of {p}",
               "{p} takes it on to {a}", "{p} should {a}"]
ACTION_ASK = ["Who will {a}?", "Who has to {a}?", "Who should {a}?", "Who is going to {a}?", "Whose task is it to {a}?"]
DUE = [" by {d}", " until {d}", " before {d}", " ({d})"]


def meeting_text(rng, split, topic=None, full=None):
    """Notes of a meeting: who was there, what was said, who does what."""
    topic = topic or rng.choice(topics_of("office"))
    w, e, slots, rec = start(rng, split, "office", "meeting", topic, "meeting", "The team", full)
    issue = rng.choice(topic.issues)
    want = WANTS[rng.choice(topic.wants)]
    first = w.say(issue.wordings, slots)
    rec.what = unmark(expand(issue.canon, rng, marked(e)))
    for f in ("company", "city", "date", "person2", "team", "amount", "invoice", "day", "product", "n", "version", "role"):
        if "{%s}" % f in issue.canon and f not in slots.used:
            first += " (" + slots[f] + ")"
    has_want = full or rng.random() < 0.6
    lines = [rng.choice(["Meeting notes", "Minutes", "Notes", "Weekly meeting", "Team meeting", "Jour fixe"]) + rng.choice(["", " of the " + e["team"], " " + e["date2"]])]
    if "date" not in slots.used and rng.random() < 0.3:
        lines.append("Date: " + slots["date"])
    speaker = (full or rng.random() < 0.7)
    if speaker:
        first = rng.choice(["{who}: ", "{who} reported: ", "{who} said that ", "report by {who}: ", "{who} told us that "]).replace("{who}", slots["who"]) + first
    notes = [first]
    if has_want:
        notes.append(w.say(want.wordings, slots))
    extra = []
    if rng.random() < 0.6:
        acts = rng.sample(ACTIONS[:20] if split == TRAIN else ACTIONS[20:] + ACTIONS[:4], rng.choice([1, 2, 2, 3]))
        people = []
        for a in acts:
            p = lexicon.first_name(rng, split) + ("" if rng.random() < 0.5 else " " + lexicon.last_name(rng, split))
            if p in people or p.split()[0] in (e["first"], e["first2"], e["first3"]):
                continue
            people.append(p)
            due = rng.choice(lexicon.DAYS + [lexicon.date(rng)])
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
    if rec.qa:
        rec.slots["person2"] = ""       # several people: a question for "the name" would be open
    return rec


def everyday_text(rng, split, topic=None, full=None):
    """A few sentences on a subject of daily life."""
    topic = topic or rng.choice(topics_of("everyday"))
    w, e, slots, rec = start(rng, split, "everyday", "everyday", topic, None, None, full)
    rec.intent = None
    first, *more = w.several(topic.issues[0].wordings, slots, rng.choice([1, 1, 2, 2, 3]))
    others = more + w.several(DISTRACT, slots, rng.choice([0, 0, 0, 1, 2]))
    if rng.random() < 0.2:
        others.append(w.say(NAME, slots))
    return done(rec, w, w.join(order_parts(rng, first, others)), e, slots)


def review_text(rng, split, sentiment=None, full=None):
    import opinions
    sentiment = sentiment or rng.choice(["positive", "positive", "negative", "negative", "neutral"])
    category = rng.choice(list(lexicon.THINGS))
    w, e, slots, rec = start(rng, split, "review", "review", None, "review", "The customer", full, category)
    rec.sentiment, rec.category = sentiment, category
    thing = e["product"]
    for t in lexicon.THINGS[category]:
        if e["product"].endswith(t):
            thing = t
    e["thing"] = thing
    dict.__setitem__(slots, "thing", OPEN + thing + CLOSE)
    if e["product2"] == e["product"]:
        return review_text(rng, split, sentiment, full)
    column = {"positive": 1, "negative": 2, "neutral": 3}
    aspects = rng.sample(list(opinions.ASPECTS), rng.choice([0, 1, 1, 1, 2, 2, 3]))
    rec.aspect = aspects[0] if len(aspects) == 1 else None
    said = []
    contrast = None
    if len(aspects) >= 2 and sentiment != "neutral" and rng.random() < 0.4:
        contrast = aspects.pop()
    for a in aspects:
        said.append(w.say(opinions.ASPECTS[a][column[sentiment]], slots))
    if sentiment == "neutral" and len(aspects) >= 2 and rng.random() < 0.4:
        said[-2:] = [w.say(opinions.ASPECTS[aspects[-2]][1], slots) + ", but " + w.say(opinions.ASPECTS[aspects[-1]][2], slots)]
    verdict = w.say(opinions.VERDICT[sentiment], slots)
    n_verdicts = rng.choice([1, 1, 1, 2, 2, 3])
    for _ in range(n_verdicts - 1):
        said.append(w.say(opinions.VERDICT[sentiment], slots))
    if contrast:
        other = w.say(opinions.ASPECTS[contrast][3 - column[sentiment]], slots)
        verdict = rng.choice(["%s, but all in all: %s", "although %s: %s", "%s, still %s", "%s. Nevertheless %s", "yes, %s, yet %s", "%s. Anyway, %s"]) % (other, verdict)
        rec.aspect = None
    elif aspects and n_verdicts == 1 and sentiment != "neutral" and rng.random() < 0.25:
        verdict = said.pop()
        rec.only_aspect = True
    uses = w.several(opinions.USES, slots, rng.choice([0, 0, 1, 1, 2, 3, 4])) + w.filler(slots)
    if "date" not in slots.used and rng.random() < 0.2:
        uses.append(w.say(FACTS["review"]["date"], slots))
    has_want = full or rng.random() < 0.2
    want_canon, want_wordings = rng.choice(opinions.REVIEW_WANTS[sentiment])
    want = w.say(want_wordings, slots) if has_want else None
    if "product" not in slots.used and (full or rng.random() < 0.8):
        uses.append(w.say(["I bought the {product}", "this is about the {product}", "review of the {product}", "my new {product}", "the {product} arrived [on {day}|]"], slots))
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


MENTION = ["{first} told me about the {w}", "[yesterday|today] it was all about the {w}", "we talked about the {w} [for {n} hours|on {day}]", "a picture of a {w} hangs on the wall",
           "{first} likes the {w} [best|a lot]", "have you ever seen a {w} [in {city}|like this]?", "on page {n2} there is a {w}", "the word of the day is {w}", "in {city} I saw a {w}",
           "{first} has [drawn|bought|found] a {w}", "[please|] write something about the {w}", "the {w} is what {first} wanted to see", "my first thought was: {w}", "a {w} again [and again|]",
           "{who} asked for a {w}", "what do you know about the {w}?", "the title of the story is the {w}", "there was a {w} in the dream of {first}", "next to it stood the word {w}", "for {first} it must be a {w}"]


# Short passages about a thing, with several facts each: for questions.
PLACES = [("bridge", "built"), ("tower", "built"), ("library", "opened"), ("museum", "founded"), ("theatre", "opened"), ("school", "founded"),
          ("station", "opened"), ("castle", "built"), ("park", "opened"), ("factory", "founded"), ("hotel", "opened"), ("harbour", "built")]


def fact_text(rng, split):
    """An encyclopedic passage with questions about it."""
    rec = Record()
    rec.family, rec.kind, rec.kind_label = "fact", "fact", None
    e = new_entities(rng, split)
    n = rng.choice([1, 1, 2, 2, 3])
    passages = []
    names = set()
    for _ in range(n):
        form = rng.randrange(4)
        f = {k: v for k, v in new_entities(rng, split).items()}
        choose = lambda options: pick(options, rng, split).format(**f)
        facts = []
        if form == 0:
            noun, verb = rng.choice(PLACES[:10] if split == TRAIN else PLACES[10:] + PLACES[:4])
            f["x"] = "the %s %s" % (f["brand"] if "brand" in f else lexicon.brand(rng, split), noun)
            f["verb"] = verb
            facts = [(["{x} was {verb} in {year}", "{x} dates from {year}", "in {year} {x} was {verb}", "since {year} there is {x}", "{x} has existed since {year}"],
                      ["When was {x} {verb}?", "In which year was {x} {verb}?", "What year is {x} from?", "From which year is {x}?", "How old is {x}, which year is it from?"], "year"),
                     (["it [stands|is] in {city}", "{x} is in {city}", "you find it in {city}", "its place is {city}", "it can be seen in {city}"],
                      ["Where is {x}?", "In which city is {x}?", "In what city is {x}?", "Which city has {x}?", "What is the city of {x}?"], "city"),
                     (["it was designed by {person2}", "the architect was {person2}", "{person2} drew the plans for it", "the plans came from {person2}", "its architect is {person2}"],
                      ["Who designed {x}?", "Who is the architect of {x}?", "Who drew the plans for {x}?", "Who planned {x}?", "Who was the architect of {x}?"], "person2"),
                     (["it cost {amount}", "{amount} were paid for it", "the price was {amount}", "building it took {amount}", "the cost was {amount}"],
                      ["What did {x} cost?", "How much did {x} cost?", "What was paid for {x}?", "What was the price of {x}?", "What was the cost of {x}?"], "amount")]
        elif form == 1:
            f["x"] = f["person3"]
            facts = [(["{x} was born in {year}", "{x}, born in {year}", "in {year} {x} was born", "the year of birth of {x} is {year}", "{x} came into the world in {year}"],
                      ["When was {x} born?", "In which year was {x} born?", "What is the year of birth of {x}?", "What year was {x} born in?", "In what year was {x} born?"], "year"),
                     (["{x} lives in {city}", "{x} moved to {city}", "the home of {x} is {city}", "{x} has a house in {city}", "{x} has a home in {city}"],
                      ["Where does {x} live?", "In which city does {x} live?", "What city is {x}'s home?", "Which city is the home of {x}?", "In what city does {x} live?"], "city"),
                     (["{x} works for {company}", "{x} has a job at {company}", "{company} employs {x}", "{x} is with {company}", "{x} is employed by {company}"],
                      ["Where does {x} work?", "For which company does {x} work?", "Who employs {x}?", "What company is {x} with?", "Which company employs {x}?"], "company"),
                     (["{x} is {role}", "{x} works as {role}", "the job of {x} is {role}", "as {role} {x} earns a living", "{x} has the job of {role}"],
                      ["What is the job of {x}?", "What does {x} work as?", "Which job has {x}?", "What job does {x} do?", "What job does {x} have?"], "role"),
                     (["the phone of {x} is {phone}", "{x} can be called at {phone}", "{x} has the number {phone}", "call {x} at {phone}", "the number of {x} is {phone}"],
                      ["What is the phone number of {x}?", "How can {x} be called?", "Which number has {x}?", "At which number is {x}?", "What number has {x}?"], "phone")]
        elif form == 2:
            f["x"] = "the " + f["product"]
            facts = [(["{x} costs {amount}", "the price of {x} is {amount}", "you pay {amount} for {x}", "{x} is sold for {amount}", "{amount} is the price of {x}"],
                      ["How much is {x}?", "What does {x} cost?", "What is the price of {x}?", "For how much is {x} sold?", "How much does {x} cost?"], "amount"),
                     (["{x} is made by {company}", "{company} makes {x}", "the maker of {x} is {company}", "{x} comes from {company}", "{x} is produced by {company}"],
                      ["Who makes {x}?", "Which company makes {x}?", "Who is the maker of {x}?", "What company is {x} from?", "Which company produces {x}?"], "company"),
                     (["{x} was sold on {date}", "on {date} {x} was sold", "the sale of {x} was on {date}", "{x} found a buyer on {date}", "a buyer took {x} on {date}"],
                      ["When was {x} sold?", "On which date was {x} sold?", "What is the date of the sale of {x}?", "On what date was {x} sold?", "What day was {x} sold?"], "date"),
                     (["{x} stands in {city}", "{x} is stored in {city}", "the place of {x} is {city}", "find {x} in {city}", "{x} is kept in {city}"],
                      ["Where is {x}?", "In which city is {x}?", "What is the place of {x}?", "Where is {x} stored?", "In what city is {x}?"], "city"),
                     (["its number is {order}", "{x} has number {order}", "the number of {x} is {order}", "{x} carries the number {order}", "{x} has the number {order}"],
                      ["What is the number of {x}?", "Which number has {x}?", "What number does {x} have?", "Which number does {x} carry?", "What number has {x}?"], "order")]
        else:
            f["x"] = f["host"]
            facts = [(["{x} runs version {version}", "version {version} is on {x}", "{x} has version {version}", "the version of {x} is {version}", "{x} is at version {version}"],
                      ["Which version does {x} run?", "What version is on {x}?", "Which version has {x}?", "What is the version of {x}?", "What version does {x} have?"], "version"),
                     (["{x} belongs to the {team}", "the {team} owns {x}", "the owner of {x} is the {team}", "{x} is run by the {team}", "{x} is in the hands of the {team}"],
                      ["Which team owns {x}?", "Who owns {x}?", "To which team does {x} belong?", "Who runs {x}?", "What team does {x} belong to?"], "team"),
                     (["{x} is in {city}", "{x} stands in {city}", "the site of {x} is {city}", "{x} is hosted in {city}", "{x} is located in {city}"],
                      ["Where is {x}?", "In which city is {x}?", "What is the site of {x}?", "Where is {x} hosted?", "In what city is {x}?"], "city"),
                     (["{x} was installed on {date}", "on {date} {x} was set up", "{x} is in use since {date}", "the setup of {x} was on {date}", "{x} was put in place on {date}"],
                      ["When was {x} installed?", "On which date was {x} set up?", "Since when is {x} in use?", "On what date was {x} installed?", "What date was {x} set up on?"], "date")]
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
