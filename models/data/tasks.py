"""Questions to the model about a text, with their answers.

The user messages of classify and summarize are word for word those that
src/pg/prompts.h makes; see prompts() for the check.
"""
import os
import re

from grammar import HELD, TRAIN, expand, pick, split_list
from labels import BUG_LABELS, GROUP_LABELS, IDEA_LABELS, INTENT_LABELS, KIND_LABELS, SENTIMENT_LABELS
from ontology import TOPICS, WANTS

# As in src/pg/prompts.h
SUMMARIZE_INSTRUCTION = "Summarize the text below in one paragraph."
SUMMARIZE_LIMIT = " Use at most %d words."
SUMMARIZE_TEXT = "\n\nText:\n"
CLASSIFY_INSTRUCTION = "Choose the category that fits the text below best."
CLASSIFY_LABELS = " Answer with the name of one category and nothing else.\n\nCategories:\n"
CLASSIFY_BULLET = "- "
CLASSIFY_TEXT = "\nText:\n"


def check_prompts(root):
    """The constants above against the extension's."""
    header = open(os.path.join(root, "src/pg/prompts.h"), encoding="utf-8").read()
    for name in ("SUMMARIZE_INSTRUCTION", "SUMMARIZE_LIMIT", "SUMMARIZE_TEXT", "CLASSIFY_INSTRUCTION",
                 "CLASSIFY_LABELS", "CLASSIFY_BULLET", "CLASSIFY_TEXT"):
        found = re.search(r'#define BITNET_%s "(.*)"' % name, header)
        if not found or found.group(1).encode().decode("unicode_escape") != globals()[name]:
            raise ValueError("src/pg/prompts.h and tasks.py differ in " + name)


def classify_prompt(labels, text, instruction=None):
    return ((instruction or CLASSIFY_INSTRUCTION) + CLASSIFY_LABELS
            + "".join(CLASSIFY_BULLET + x + "\n" for x in labels) + CLASSIFY_TEXT + text)


def summarize_prompt(words, text, instruction=None):
    return (instruction or SUMMARIZE_INSTRUCTION) + SUMMARIZE_LIMIT % words + SUMMARIZE_TEXT + text


# What a wish makes a text about, besides its topic.
WANT_TOPICS = {
    "refund": ["refund"], "exchange": ["exchange"], "return_label": ["exchange"], "repair": ["warranty"],
    "password": ["login"], "access": ["login", "two_factor"], "twofactor_off": ["two_factor"],
    "fix_invoice": ["invoice_copy", "double_charge"], "invoice": ["invoice_copy"], "delivery_date": ["late_delivery"],
    "missing_parts": ["missing_parts"], "cancel_order": ["cancel_order"], "cancel_subscription": ["cancel_subscription"],
    "change_address": ["change_address"], "add_feature": ["feature_request"], "export": ["data_export"],
    "delete_account": ["delete_account"], "stop_mail": ["spam_mail"], "instructions": ["installation"],
    "notify": ["stock"], "quote": ["price"], "apply_discount": ["coupon"], "pass_thanks": ["thanks"],
    "apology": ["staff_complaint"], "callback": ["staff_complaint"], "interview": ["job_at_shop"],
    "fix": ["crash"], "replacement": ["exchange", "warranty"],
}
CLOSE_TOPICS = [("crash", "slow"), ("login", "two_factor"), ("refund", "exchange"), ("delete_account", "spam_mail"),
                ("cancel_order", "refund"), ("price", "coupon"), ("stock", "price"), ("compatibility", "installation"),
                ("damaged", "warranty"), ("wrong_item", "exchange"), ("refund", "warranty"), ("double_charge", "invoice_copy"),
                ("cancel_subscription", "delete_account"), ("late_delivery", "missing_parts"),
                # of different families, but about the same thing
                ("hiring", "job_at_shop"), ("hiring", "onboarding"), ("vacation", "tourism"), ("travel", "tourism"), ("sick", "health"),
                ("attack", "phishing"), ("payment", "double_charge"), ("payment", "invoice_copy"), ("sale", "price"), ("energy", "power"),
                ("earnings", "budget"), ("facility", "warranty"), ("office_move", "change_address"), ("expenses", "refund"),
                ("contract", "cancel_subscription"), ("backup", "data_export"), ("crash", "api_errors"), ("slow", "latency"),
                ("login", "permission"), ("installation", "deployment"), ("hw_failure", "warranty"), ("weather", "power"), ("traffic", "tourism"),
                ("training", "education"), ("crash", "deployment"), ("roadmap", "feature_request"), ("roadmap", "deployment"),
                ("login", "attack"), ("budget", "expenses"), ("campaign", "spam_mail"), ("spam_mail", "phishing"), ("tech", "space"),
                ("config", "deployment"), ("api_errors", "deployment"), ("vacation", "sick"), ("crash", "config"), ("farming", "weather"),
                ("memory", "cpu"), ("roadmap", "deadline"), ("job_at_shop", "onboarding"), ("visit", "travel"), ("delete_account", "data_export"),
                ("housing", "office_move"), ("late_delivery", "deadline"), ("slow", "cpu"), ("facility", "hw_failure"), ("sports", "party")]
CLOSE = {}
for _a, _b in CLOSE_TOPICS:
    CLOSE.setdefault(_a, set()).add(_b)
    CLOSE.setdefault(_b, set()).add(_a)


def style(labels, rng):
    r = rng.random()
    if r < 0.62:
        return labels
    if r < 0.82:
        return [x[0].upper() + x[1:] for x in labels]
    if r < 0.9:
        return [x.title() for x in labels]
    if r < 0.97:
        return [x.replace(" ", "_").replace("-", "_") for x in labels]
    return [x.upper() for x in labels]


# Ways to say the same with a word more, so that no label is only one string.
LONGER = ["%s issue", "%s matter", "%s case", "case of %s", "about %s", "%s topic", "%s (general)", "matter of %s", "%s note", "the %s", "all about %s", "%s message"]


def label_of(names, rng, split, length):
    """One of the names; in the held-out split mostly a held-out one.  length:
    "word" prefers single words."""
    if split == TRAIN and length != "word" and rng.random() < 0.22:
        a, b = rng.sample(split_list(names, split), 2)
        return rng.choice([a + " / " + b, a + " or " + b, a + ", " + b, b + " and " + a]) if rng.random() < 0.3 else rng.choice(LONGER) % a
    part = split_list(names, split)
    if split == HELD and rng.random() < 0.3:
        part = names
    if length == "word":
        single = [x for x in part if " " not in x]
        part = single or part
    return rng.choice(part)


def make_set(rng, split, answer, others, names, n):
    """A styled and shuffled set of n labels and which of them is right."""
    length = "word" if rng.random() < 0.3 else "any"
    rng.shuffle(others)
    labels = [label_of(names(answer), rng, split, length)]
    for o in others:
        if len(labels) == n:
            break
        x = label_of(names(o), rng, split, length)
        if all(x.lower() != y.lower() and not set(x.lower().split()) == set(y.lower().split()) for y in labels):
            labels.append(x)
    labels = style(labels, rng)
    right = labels[0]
    rng.shuffle(labels)
    return labels, right


def topic_labels(rec, rng, split, n=None):
    """A question for the topic: labels of other topics, near ones or any."""
    n = n or rng.choice([3, 3, 4, 4, 5, 5, 6, 7, 8])
    near = rng.random() < 0.65
    closed = set(CLOSE.get(rec.topic, ()))
    if rec.want:
        for name, want in WANTS.items():
            if want.canon == rec.want:
                closed.update(WANT_TOPICS.get(name, ()))
    everyday = rec.family == "everyday"
    others = [t for t in TOPICS.values() if t.name != rec.topic and t.name not in closed
              and (t.family == "everyday") == everyday and (not near or t.family == rec.family)]
    return make_set(rng, split, rec.topic, [t.name for t in others], lambda t: TOPICS[t].labels, n)


def group_labels(rec, rng, split):
    groups = sorted({t.group for t in TOPICS.values() if t.family == rec.family or (t.family != "everyday" and rng.random() < 0.1)})
    others = [g for g in groups if g != rec.group]
    closed = {"account": ["account_data", "technical", "order"], "account_data": ["account", "feedback"], "technical": ["account", "product_idea", "product_info", "product"],
              "product": ["technical", "delivery", "order", "product_info"], "order": ["billing", "account_data", "delivery", "product", "account"], "billing": ["order"],
              "delivery": ["product", "order"], "product_info": ["product", "technical"], "product_idea": ["technical"], "feedback": ["product"],
              "application": ["database", "release", "network", "capacity", "maintenance"], "database": ["application", "capacity", "maintenance"],
              "capacity": ["database", "hardware", "application"], "hardware": ["capacity"], "release": ["application"], "maintenance": ["database", "application"]}
    others = [g for g in others if g not in closed.get(rec.group, ())]
    if len(others) < 2:
        return None
    return make_set(rng, split, rec.group, others, lambda g: GROUP_LABELS[g], rng.choice([3, 4, 5, 6]))


def intent_labels(rec, rng, split):
    """What the writer is after, with the sets that people use: bug, question, praise..."""
    if rec.topic in ("installation", "stock", "data_export"):
        return None             # could be called a question, a problem or a request
    names = dict(INTENT_LABELS)
    names["bug"] = BUG_LABELS
    names["idea"] = IDEA_LABELS
    if rec.topic in ("crash", "slow"):
        answer, others = "bug", ["question", "praise", "request", "idea"]
    elif rec.topic == "feature_request":
        answer, others = "idea", ["bug", "praise", "complaint"]
    else:
        answer = rec.intent
        others = {"complaint": ["praise", "idea", "question"], "request": ["praise", "bug", "idea"],
                  "question": ["praise", "bug", "complaint", "idea"],
                  "praise": ["bug", "complaint", "question", "request", "idea"]}[answer]
    return make_set(rng, split, answer, list(others), lambda x: names[x], rng.choice([3, 3, 4, 5]))


def kind_labels(rec, rng, split):
    return make_set(rng, split, rec.kind_label, [k for k in KIND_LABELS if k != rec.kind_label],
                    lambda k: KIND_LABELS[k], rng.choice([3, 4, 5]))


def table_labels(answer, table, rng, split):
    """Labels out of a table of its own: product categories, aspects, words."""
    return make_set(rng, split, answer, [k for k in table if k != answer], lambda k: table[k], rng.choice([3, 4, 5, 6]))


def sentiment_labels(rec, rng, split, three=None):
    if three is None:
        three = rec.sentiment == "neutral" or rng.random() < 0.5
    names = SENTIMENT_LABELS
    i = rng.choice([j for j in range(len(names["positive"])) if (j % 5 == 4) == (split == HELD)])
    if rng.random() < 0.5:
        i = 0
    keys = ["positive", "negative"] + (["neutral"] if three else [])
    labels = style([names[k][i] for k in keys], rng)
    right = labels[keys.index(rec.sentiment)]
    rng.shuffle(labels)
    return labels, right


# Instructions that callers give in place of the published one.
CLASSIFY_OTHER = ["Which topic does the text have?", "What is the text about?", "Classify the text.", "Sort the message into a category.",
                  "Find the right category for the text."]
SENTIMENT_OTHER = ["What is the sentiment of the text?", "Is the writer happy?", "Judge the mood of the text.", "Which sentiment does the text show?",
                   "What does the writer feel?"]
SUMMARIZE_OTHER = ["Summarize the text in one sentence.", "Summarize the text below.", "Say in one sentence what the text is about.",
                   "Give a short summary of the text.", "Sum up the text."]


def classify_task(rec, rng, split, labels, sentiment=False):
    if labels is None:
        return None
    instruction = None
    if rng.random() < 0.12:
        instruction = pick(SENTIMENT_OTHER if sentiment else CLASSIFY_OTHER, rng, TRAIN)
    return classify_prompt(labels[0], rec.text, instruction), labels[1]


def summary_of(rec):
    who = rec.who or rec.unnamed
    if rec.want is None:
        return "%s says %s." % (who, rec.what)
    return "%s says %s and wants %s." % (who, rec.what, rec.want)


def summarize_task(rec, rng, split):
    if not rec.what:
        return None
    words = rng.choice([50, 50, 50, 50, 30, 25, 40, 60, 20, 100])
    instruction = pick(SUMMARIZE_OTHER, rng, TRAIN) if rng.random() < 0.12 else None
    return summarize_prompt(words, rec.text, instruction), summary_of(rec)


# Field of a record: how it is called, questions for it.
FIELDS = {
    "order": (["order number", "order number", "order no.", "number of the order", "order ID"],
              ["What is the order number?", "Which order is it about?", "What number does the order have?", "Which order number is given?", "Under which number was the order placed?"]),
    "date": (["date", "order date", "date of the order", "date of purchase", "date of the order"],
             ["When was the order placed?", "On which date was it bought?", "What is the order date?", "What is the date of the order?", "On what date was the order made?"]),
    "product": (["product", "product name", "item", "name of the product", "product mentioned"],
                ["Which product is it about?", "Which product is meant?", "What is the product?", "Which item is meant?", "What item is the message about?"]),
    "who": (["customer name", "name", "name of the customer", "full name", "name of the writer"],
            ["Who wrote this?", "What is the name of the customer?", "Who is the customer?", "Who sent the message?", "What is the writer called?"]),
    "amount": (["amount", "amount of money", "sum", "amount paid", "amount mentioned"],
               ["How much money is it about?", "What amount is mentioned?", "Which amount is given?", "How much was it?", "What sum of money is mentioned?"]),
    "city": (["city", "place", "town", "city of the customer", "name of the city"],
             ["Where does the customer live?", "Which city is mentioned?", "In which city is the customer?", "What city does the customer live in?", "What is the city of the customer?"]),
    "phone": (["phone number", "telephone number", "phone", "number to call", "number of the phone"],
              ["What is the phone number?", "Which phone number is given?", "Which number can be called?", "What number should be called?", "At which phone number can the writer be reached?"]),
    "mail": (["e-mail address", "email", "mail address", "email address", "address of the e-mail"],
             ["What is the e-mail address?", "Which e-mail address is given?", "What is the mail address of the customer?", "To which address can one write?", "Which mail address does the writer have?"]),
    "version": (["version", "version number", "software version", "version of the software", "number of the version"],
                ["Which version is it?", "What version is mentioned?", "Which version is affected?", "Which version number is given?", "What is the number of the version?"]),
    "host": (["host", "host name", "server", "machine", "name of the server"],
             ["Which host is affected?", "What is the name of the server?", "On which machine did it happen?", "Which server is it about?", "What machine is affected?"]),
    "service": (["service", "service name", "affected service", "name of the service", "service affected"],
                ["Which service is affected?", "What service has the problem?", "Which service is it about?", "What is the name of the service?", "What service is mentioned?"]),
    "time": (["time", "time of day", "start time", "clock time", "time given"],
             ["At what time did it happen?", "When did it start?", "What time is given?", "At which time was it?", "What is the time?"]),
    "code": (["error code", "error number", "code", "number of the error", "code of the error"],
             ["Which error code is shown?", "What is the error code?", "Which error appears?", "What is the number of the error?", "What error number is given?"]),
    "company": (["company", "company name", "firm", "name of the company", "company mentioned"],
                ["Which company is it about?", "What company is mentioned?", "What is the name of the company?", "Which firm is meant?", "What firm is named?"]),
    "ticket": (["ticket number", "ticket", "ticket ID", "number of the ticket", "ticket no."],
               ["What is the ticket number?", "Which ticket is it?", "Under which ticket is it filed?", "What number does the ticket have?", "Which ticket number is given?"]),
    "invoice": (["invoice number", "invoice", "invoice no.", "number of the invoice", "invoice ID"],
                ["What is the invoice number?", "Which invoice is it about?", "What number does the invoice have?", "Which invoice number is given?", "What invoice is meant?"]),
    "anydate": (["date", "date mentioned", "date in the text", "date given", "the date given"],
                ["Which date is mentioned?", "What is the date?", "What date is given?", "Which date does the text name?", "What date is mentioned in the text?"]),
    "author": (["name", "name of the person", "person", "full name", "name given"],
               ["Who is named?", "Which person is named?", "What is the name of the person?", "Who is the person in the text?", "Which person does the text name?"]),
    "logdate": (["date", "date of the log", "day of the log", "log date", "date in the log"],
                ["What is the date of the log?", "On which date was it logged?", "Which date do the lines have?", "When was it logged?", "What date was it logged?"]),
    "month": (["month", "month mentioned", "name of the month"], ["Which month is mentioned?", "What month is it?", "In which month?"]),
    "day": (["weekday", "day of the week", "day"], ["Which day of the week is mentioned?", "On which day?", "What weekday is mentioned?"]),
}
# A field is asked for only where nothing else in the text could be meant.
RIVALS = {"date": ["date2"], "product": ["product2"], "amount": ["amount2"], "who": ["person2", "person3"], "city": ["city2"],
          "host": ["host2"], "time": ["time2"], "version": ["version2"], "company": ["company2"]}
EXTRACT = ["Extract the {field} from the text.\n\nText:\n{text}", "What is the {field}?\n\nText:\n{text}",
           "Text:\n{text}\n\nWhat is the {field}?", "Find the {field} in the text. Answer with the {field} only.\n\nText:\n{text}",
           "Text:\n{text}\n\nExtract the {field}.", "Give me the {field}:\n{text}", "{text}\n\n{field}?", "{text}\n\nWhat is the {field}?"]
QUESTION = ["Text:\n{text}\n\nQuestion: {q}", "Text:\n{text}\n\nQuestion: {q}", "Answer the question from the text.\n\nText:\n{text}\n\nQuestion: {q}", "{text}\n\n{q}",
            "Question: {q}\n\nText:\n{text}", "{q}\n\n{text}"]


def askable(rec):
    out = []
    for f in FIELDS:
        if f in rec.slots and not any(r in rec.slots for r in RIVALS.get(f, ())):
            if f == "who" and rec.text.count(rec.slots[f]) == 0:
                continue
            if rec.family not in ("support", "review"):
                f = {"date": "anydate", "who": "author"}.get(f, f)
            out.append(f)
    return out


def value(rec, field):
    return rec.slots[{"anydate": "date", "author": "who"}.get(field, field)]


def fill(layout, **values):
    for k, v in values.items():
        layout = layout.replace("{" + k + "}", v)
    return layout


def field_name(field, rng, split):
    return pick(FIELDS[field][0], rng, split)


def extract_task(rec, rng, split, field=None):
    fields = askable(rec)
    if field is None:
        if not fields:
            return None
        field = rng.choice(fields)
    layout = rng.choice(EXTRACT)
    return fill(layout, field=field_name(field, rng, split), text=rec.text), value(rec, field)


def questions(rec, rng, split):
    """Pairs of a question and its answer, as it stands in the text."""
    out = [(pick(FIELDS[f][1], rng, split), value(rec, f)) for f in askable(rec)]
    return out + list(rec.qa)


def qa_task(rec, rng, split):
    pairs = questions(rec, rng, split)
    if not pairs:
        return None
    q, a = rng.choice(pairs)
    return fill(rng.choice(QUESTION), q=q, text=rec.text), a


def turns_task(rec, rng, split):
    """A text and several questions, one after the other."""
    pairs = questions(rec, rng, split)
    for f in askable(rec):
        name = field_name(f, rng, split)
        pairs.append((rng.choice(["What is the %s?", "Extract the %s.", "And the %s?", "%s?"]) % name, value(rec, f)))
    if len(pairs) < 2:
        return None
    rng.shuffle(pairs)
    pairs = pairs[:rng.choice([2, 3, 4, 5])]
    q, a = pairs[0]
    out = [(fill(rng.choice(QUESTION[:4]), q=q, text=rec.text), a)]
    for q, a in pairs[1:]:
        out.append((rng.choice(["Question: ", ""]) + q, a))
    return out
