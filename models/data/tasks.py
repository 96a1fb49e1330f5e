"""Questions to the model about a text, with their answers.

The user messages of classify and summarize are word for word those that
src/pg/prompts.h makes; see check_prompts().
"""
import os
import re

from grammar import HELD, TRAIN, before_later, pick, split_list
from labels import BUG_LABELS, GROUP_LABELS, IDEA_LABELS, INTENT_LABELS, KIND_LABELS, SENTIMENT_LABELS
from ontology import TOPICS, WANTS
from opinions import ASPECTS, CATEGORY_LABELS, CLOSE_ASPECTS, CLOSE_CATEGORIES

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


def bullets(labels):
    return "".join(CLASSIFY_BULLET + x + "\n" for x in labels)


def classify_prompt(labels, text, instruction=None):
    return (instruction or CLASSIFY_INSTRUCTION) + CLASSIFY_LABELS + bullets(labels) + CLASSIFY_TEXT + text


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
                ("invoice_copy", "expenses"), ("late_delivery", "latency"), ("latency", "deadline"), ("price", "budget"), ("coupon", "campaign"),
                ("crime", "phishing"), ("housing", "travel"), ("damaged", "facility"), ("queue", "spam_mail"), ("expenses", "travel"),
                ("housing", "office_move"), ("late_delivery", "deadline"), ("slow", "cpu"), ("facility", "hw_failure"), ("sports", "party")]


def both_ways(pairs):
    """For each name those that are in a pair with it."""
    close = {}
    for a, b in pairs:
        close.setdefault(a, set()).add(b)
        close.setdefault(b, set()).add(a)
    return close


CLOSE = both_ways(CLOSE_TOPICS)
CLOSE_OPINIONS = both_ways(CLOSE_CATEGORIES + CLOSE_ASPECTS)
ASPECT_LABELS = {k: v[0] for k, v in ASPECTS.items()}


# How a set of labels is written, and how often.  A vocabulary of few tokens cuts
# capitals into other pieces, so that training needs more of them than people write.
STYLES = {TRAIN: {"plain": 38, "first": 24, "title": 16, "_": 9, "upper": 13},
          HELD: {"plain": 62, "first": 20, "title": 8, "_": 7, "upper": 3}}


def style(labels, rng, split):
    r = 100 * rng.random()
    for name, share in STYLES[split].items():
        r -= share
        if r < 0:
            break
    if name == "first":
        return [x[0].upper() + x[1:] for x in labels]
    if name == "title":
        return [x.title() for x in labels]
    if name == "_":
        return [x.replace(" ", "_").replace("-", "_") for x in labels]
    if name == "upper":
        return [x.upper() for x in labels]
    return labels


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
        part = before_later(names)
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
    labels = style(labels, rng, split)
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


# Groups of topics of which one could be taken for the other.
CLOSE_GROUPS = both_ways([
    ("account", "account_data"), ("account", "technical"), ("account", "order"), ("account", "security"), ("account_data", "feedback"),
    ("account_data", "order"), ("account_data", "security"), ("technical", "product_idea"), ("technical", "product_info"), ("technical", "product"),
    ("technical", "application"), ("technical", "release"), ("technical", "database"), ("product", "delivery"), ("product", "order"),
    ("product", "product_info"), ("product", "feedback"), ("product", "hardware"), ("order", "billing"), ("order", "delivery"), ("billing", "money"),
    ("careers", "people"), ("product_info", "customers"), ("application", "database"), ("application", "release"), ("application", "network"),
    ("application", "capacity"), ("application", "maintenance"), ("database", "capacity"), ("database", "maintenance"), ("capacity", "hardware"),
    ("economy", "money"), ("economy", "customers"), ("knowledge", "people")])


def group_labels(rec, rng, split):
    groups = sorted({t.group for t in TOPICS.values() if t.family == rec.family or (t.family != "everyday" and rng.random() < 0.1)})
    others = [g for g in groups if g != rec.group and g not in CLOSE_GROUPS.get(rec.group, ())]
    if len(others) < 2:
        return None
    return make_set(rng, split, rec.group, others, lambda g: GROUP_LABELS[g], rng.choice([3, 4, 5, 6]))


# What the writer is after, with the sets that people use (bug, question, praise...), and what could not be taken for it
INTENTS = {**INTENT_LABELS, "bug": BUG_LABELS, "idea": IDEA_LABELS}
OTHER_INTENTS = both_ways([("bug", "question"), ("bug", "praise"), ("bug", "request"), ("bug", "idea"), ("idea", "praise"), ("idea", "complaint"),
                           ("complaint", "praise"), ("complaint", "question"), ("request", "praise"), ("question", "praise")])


def intent_of(topic, intent):
    """The finest name for the intent of messages on a topic, or None."""
    if topic in ("installation", "stock", "data_export"):
        return None             # could be called a question, a problem or a request
    return "bug" if topic in ("crash", "slow") else "idea" if topic == "feature_request" else intent


def intent_labels(rec, rng, split):
    answer = intent_of(rec.topic, rec.intent)
    if answer is None:
        return None
    others = sorted(OTHER_INTENTS[answer])
    if "?" in rec.text and "question" in others:
        others.remove("question")
    return make_set(rng, split, answer, others, lambda x: INTENTS[x], rng.choice([3, 3, 4, 5]))


def kind_labels(rec, rng, split):
    return make_set(rng, split, rec.kind_label, [k for k in KIND_LABELS if k != rec.kind_label],
                    lambda k: KIND_LABELS[k], rng.choice([3, 4, 5]))


def table_labels(answer, table, rng, split, close={}):
    """Labels out of a table of its own: product categories, aspects, words."""
    return make_set(rng, split, answer, [k for k in table if k != answer and k not in close.get(answer, ())], lambda k: table[k], rng.choice([3, 4, 5, 6]))


def category_labels(rec, rng, split):
    return table_labels(rec.category, CATEGORY_LABELS, rng, split, CLOSE_OPINIONS) if rec.category else None


def aspect_labels(rec, rng, split):
    return table_labels(rec.aspect, ASPECT_LABELS, rng, split, CLOSE_OPINIONS)


def mood_labels(rng, split, three):
    """Moods and what they are called, which lie at one place of the lists."""
    names = SENTIMENT_LABELS
    i = rng.choice([j for j in range(len(names["positive"])) if (j % 5 == 4) == (split == HELD)])
    if rng.random() < 0.5:
        i = 0
    keys = ["positive", "negative"] + (["neutral"] if three else [])
    return keys, style([names[k][i] for k in keys], rng, split)


def sentiment_labels(rec, rng, split, three=None):
    if three is None:
        three = rec.sentiment == "neutral" or rng.random() < 0.5
    keys, labels = mood_labels(rng, split, three)
    right = labels[keys.index(rec.sentiment)]
    rng.shuffle(labels)
    return labels, right


# Instructions that callers give in place of the published one.
CLASSIFY_OTHER = ["Which topic does the text have?", "What is the text about?", "Classify the text.", "Sort the message into a category.",
                  "Find the right category for the text.",
                  "Pick the label that matches the message.", "To which of these categories does the text belong?", "Read the message and decide on a category.", "Assign the text to one of the groups below.",
                  "Which of the labels below describes the text?", "Say what kind of text this is.", "Label the following message.", "Where would you file this text?",
                  "Decide which subject the message deals with.", "You sort incoming mail. Select the best fitting category."]
SENTIMENT_OTHER = ["What is the sentiment of the text?", "Is the writer happy?", "Judge the mood of the text.", "Which sentiment does the text show?",
                   "What does the writer feel?", "Is the tone good or bad?", "Rate the opinion in the text.", "Does the author sound pleased or not?", "Determine the attitude of the writer.",
                   "How does the customer feel about it?", "Decide whether the text is favorable.", "Tell me the mood of this message.", "What opinion does the review express?",
                   "Classify the feeling in the text.", "Read the text and say how content its author is."]
SUMMARIZE_OTHER = ["Summarize the text in one sentence.", "Summarize the text below.", "Say in one sentence what the text is about.",
                   "Give a short summary of the text.", "Sum up the text.", "Write a brief summary.", "What does the text say, in short?", "Condense the message below into one sentence.",
                   "Tell me the main point of the text.", "Who says what in this text? Be brief.", "Put the text in a few words.", "Make a summary of the following message.",
                   "I have no time to read this. What is the gist?", "Shorten the text to what matters.", "State briefly what the writer says and wants."]


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
    "order": (["order number", "order number", "order no.", "number of the order", "order ID",
               "order reference", "order code", "purchase number", "reference of the order", "order identifier", "ID of the order",
               "number of the purchase", "order reference number", "identifier of the order"],
              ["What is the order number?", "Which order is it about?", "What number does the order have?", "Which order number is given?", "Under which number was the order placed?",
               "Can you tell me the order number?", "What is the reference of the order?", "Give me the number of the order, please.",
               "Under what reference did the customer order?", "Which number belongs to the order?", "Name the order that the customer mentions.",
               "How is the order numbered?", "Do you see an order number, and what is it?", "What is the ID of the order in question?",
               "Which purchase does the writer refer to?", "I need to look up the order: what is its number?",
               "By which number can the order be found?", "Which order does the customer write about?", "What order number does the writer quote?"]),
    "date": (["date", "order date", "date of buying", "date of purchase", "date of the order",
              "purchase date", "day of the order", "day of purchase", "date of ordering", "date the order was placed", "ordering date",
              "day the order was made", "placement date", "day it was ordered"],
             ["When was the order placed?", "On which date was it bought?", "What is the order date?", "What is the date of the order?", "On what date was the order made?",
              "On what day did the customer order?", "When did the customer buy it?", "What day was the order made?",
              "Tell me when the purchase took place.", "What is the date of purchase?", "When was it ordered?",
              "On which day was the purchase made?", "Since which date has the order been in place?", "Could you give me the day of the order?",
              "What date does the order have?", "From which date is the order?", "When did the buyer place the order?",
              "Which day did the purchase happen?", "The order was placed on which date?"]),
    "product": (["product", "product name", "item", "name of the product", "product mentioned",
                 "article", "product in question", "name of the item", "item name", "product bought", "goods", "purchased item", "article name",
                 "product concerned"],
                ["Which product is it about?", "Which product is meant?", "What is the product?", "Which item is meant?", "What item is the message about?",
                 "What did the customer buy?", "Which article is the text about?", "Name the product, please.", "What is the name of the item?",
                 "What thing is the writer talking about?", "Tell me which product this concerns.", "Which of the goods is mentioned?",
                 "What article does the message mention?", "What was bought?", "Which product does the writer have?", "What is the item called?",
                 "About what product did the customer write?", "Which purchase item is in question?", "Can you name the article that is discussed?"]),
    "who": (["customer name", "name", "name of the customer", "full name", "name of the writer",
             "sender", "writer", "customer", "author of the message", "person who wrote", "client name", "sender's name", "name of the sender",
             "name of the client"],
            ["Who wrote this?", "What is the name of the customer?", "Who is the customer?", "Who sent the message?", "What is the writer called?",
             "Which customer wrote the message?", "What is the name of the sender?", "Who is writing?", "Who is the author of the message?",
             "Tell me the customer's name.", "From whom is this message?", "By whom was this written?", "What is the client called?",
             "Whose message is it?", "Which person contacted us?", "Who got in touch with us?", "Under what name does the customer write?",
             "Who signed the message?", "Can you name the person who wrote to us?"]),
    "amount": (["amount", "amount of money", "sum", "amount paid", "amount mentioned",
                "sum mentioned", "total", "money", "sum of money", "sum named", "amount in question", "figure", "money amount", "money involved"],
               ["How much money is it about?", "What amount is mentioned?", "Which amount is given?", "How much was it?", "What sum of money is mentioned?",
                "What sum is named?", "How much money is mentioned?", "State the amount, please.", "What does the text say about the amount?",
                "Which sum of money is in the text?", "How high is the amount?", "What figure is given in money?", "Can you tell me the sum?",
                "What is the amount?", "About what amount does the text speak?", "How much was paid or charged?", "How large is the sum of money?",
                "What price or sum appears in the text?", "Give the amount of money that is named."]),
    "city": (["city", "place", "town", "city of the customer", "name of the city",
              "location", "home town", "city name", "town name", "name of the town", "name of the place", "place of residence", "city mentioned",
              "town mentioned"],
             ["Where does the customer live?", "Which city is mentioned?", "In which city is the customer?", "What city does the customer live in?", "What is the city of the customer?",
              "Which town is mentioned?", "What is the name of the city?", "Tell me the city, please.", "Which place does the text name?",
              "What town is it?", "Which city comes up in the text?", "Name the town that appears in the text.", "Which city does the text speak of?",
              "What place is mentioned?", "What is the town called?", "In what place is this?", "Which location is given?", "In which town is this?",
              "Can you say which city it is?"]),
    "phone": (["phone number", "telephone number", "phone", "number to call", "number of the phone",
               "phone no.", "telephone", "contact number", "callback number", "phone contact", "number of the telephone", "number for calls",
               "telephone no.", "number for a call back"],
              ["What is the phone number?", "Which phone number is given?", "Which number can be called?", "What number should be called?", "At which phone number can the writer be reached?",
               "What number can I dial?", "Tell me the telephone number.", "How can the person be reached by phone?", "What is the contact number?",
               "Which number shall we ring?", "Which telephone number does the writer leave?", "Give me the number for calling back.",
               "On what number is the writer available?", "Under which number do I get hold of the person?", "Where can I phone?",
               "If I want to ring back, what do I dial?", "What phone number is in the text?", "Which number is there for a call?",
               "What is the telephone number of the writer?"]),
    "mail": (["e-mail address", "email", "mail address", "email address", "address of the e-mail",
              "e-mail", "mail", "contact e-mail", "contact email", "email contact", "address for e-mail", "e-mail contact", "email of the writer",
              "address for mails"],
             ["What is the e-mail address?", "Which e-mail address is given?", "What is the mail address of the customer?", "To which address can one write?", "Which mail address does the writer have?",
              "What email address does the text contain?", "Where can I send an email?", "Tell me the e-mail address.",
              "Which email should we write to?", "To what email address should the answer go?", "How can the person be reached by e-mail?",
              "What is the writer's email?", "Which address is there for mails?", "Give me the contact email, please.",
              "At which e-mail address is the person?", "I want to reply by email: what is the address?", "What mail address is mentioned?",
              "Under what e-mail address is the customer registered?", "What is the email contact?"]),
    "version": (["version", "version number", "software version", "version of the software", "number of the version",
                 "release", "release number", "build version", "version used", "program version", "version in use", "version mentioned",
                 "release version", "version concerned"],
                ["Which version is it?", "What version is mentioned?", "Which version is affected?", "Which version number is given?", "What is the number of the version?",
                 "Tell me the version.", "What release is mentioned?", "Which release is it about?", "Version of the software, please?",
                 "In which version does it occur?", "What version number does the text give?", "What is the version number?",
                 "Which software version is named?", "On what version does this happen?", "What version is in use?",
                 "Which release number is in the text?", "Name the version that the text mentions.", "What software version are we talking about?",
                 "Can you say which version this concerns?"]),
    "host": (["host", "host name", "server", "machine", "name of the server",
              "hostname", "server name", "name of the host", "name of the machine", "affected host", "affected server", "machine name",
              "affected machine", "host concerned"],
             ["Which host is affected?", "What is the name of the server?", "On which machine did it happen?", "Which server is it about?", "What machine is affected?",
              "Which machine is it?", "What host is mentioned?", "Name the server, please.", "On what server did this occur?",
              "What is the hostname?", "Tell me the machine that is concerned.", "Where did it happen, on which host?",
              "Which computer is affected?", "Which of the servers is named?", "What is the machine called?", "From which host does this come?",
              "On which server is the trouble?", "What server does the text mention?", "Can you tell me the name of the host?"]),
    "service": (["service", "service name", "affected service", "name of the service", "service affected",
                 "service in question", "service mentioned", "name of the affected service", "service concerned", "faulty service",
                 "software service", "service with the problem", "service at fault", "service involved"],
                ["Which service is affected?", "What service has the problem?", "Which service is it about?", "What is the name of the service?", "What service is mentioned?",
                 "Name the service, please.", "Which service has trouble?", "What service is involved?", "About which service is this?",
                 "What is the affected service?", "Tell me which service is concerned.", "What service does the text talk about?",
                 "In which service did it happen?", "Which of the services is named?", "What is the service called?",
                 "Which service does the text mention?", "What service should I look at?", "The text is about which service?",
                 "Can you tell me the name of the service?"]),
    "time": (["time", "time of day", "start time", "clock time", "time given",
              "time in hours and minutes", "hour", "exact time", "time mentioned", "time stated", "hour and minute", "time on the clock", "hour of the day",
              "moment in the day"],
             ["At what time did it happen?", "When did it start?", "What time is given?", "At which time was it?", "What is the time?",
              "What time was it?", "Tell me the time, please.", "Which time is mentioned?", "At what hour?", "What clock time does the text give?",
              "What hour is named?", "At which hour did it take place?", "Do you know the exact time?", "When exactly on that day?",
              "What time of day is in the text?", "How late was it?", "What did the clock say?", "Which time of day is given?",
              "Can you say at what time it was?"]),
    "code": (["error code", "error number", "code", "number of the error", "code of the error",
              "error", "error ID", "code shown", "fault code", "failure code", "error code shown", "code of the failure", "error code given",
              "status code"],
             ["Which error code is shown?", "What is the error code?", "Which error appears?", "What is the number of the error?", "What error number is given?",
              "Tell me the error code.", "What code is displayed?", "Which code does the text mention?", "What error is reported?",
              "With which code does it fail?", "What number does the error have?", "Which error number appears?", "What code came up?",
              "What does the error message show as code?", "Name the code of the error.", "What is the fault code?", "Which code was returned?",
              "What is the code for this failure?", "Can you give me the number of the error?"]),
    "company": (["company", "company name", "firm", "name of the company", "company mentioned",
                 "business", "corporation", "enterprise", "business name", "firm name", "name of the firm", "name of the business", "organization",
                 "company named"],
                ["Which company is it about?", "What company is mentioned?", "What is the name of the company?", "Which firm is meant?", "What firm is named?",
                 "Tell me the company, please.", "Which business is mentioned?", "Name the firm.", "What is the company called?",
                 "What enterprise is the text about?", "About which firm is this?", "Which corporation is named?", "What is the name of the firm?",
                 "What business does the text talk about?", "Which company does the text name?", "What is the company in question?",
                 "What company is meant here?", "Which enterprise is mentioned in the text?", "Can you tell me the name of the business?"]),
    "ticket": (["ticket number", "ticket", "ticket ID", "number of the ticket", "ticket no.",
                "ticket reference", "case number", "support ticket", "ticket code", "ticket identifier", "ID of the ticket",
                "reference of the ticket", "ticket ref", "number of the support ticket"],
               ["What is the ticket number?", "Which ticket is it?", "Under which ticket is it filed?", "What number does the ticket have?", "Which ticket number is given?",
                "Tell me the ticket number.", "What ticket is mentioned?", "What is the ID of the ticket?", "Which ticket does the text refer to?",
                "What is the ticket reference?", "By which number can I find the ticket?", "Name the ticket, please.",
                "What number was the ticket given?", "To which ticket does this belong?", "How is the ticket numbered?",
                "Under what number is the case kept?", "In which ticket can I read about it?", "What is the number of the ticket?",
                "Can you tell me which ticket this is?"]),
    "invoice": (["invoice number", "invoice", "invoice no.", "number of the invoice", "invoice ID",
                 "invoice reference", "bill number", "invoice code", "invoice identifier", "number of the bill", "ID of the invoice",
                 "reference of the invoice", "number on the invoice", "identifier of the bill"],
                ["What is the invoice number?", "Which invoice is it about?", "What number does the invoice have?", "Which invoice number is given?", "What invoice is meant?",
                 "Tell me the invoice number.", "What is the number of the bill?", "Which bill is it?", "What is the reference of the invoice?",
                 "Name the invoice, please.", "Which invoice does the text mention?", "Under which number was it invoiced?",
                 "What number is on the bill?", "How is the invoice numbered?", "By which number can I find the invoice?",
                 "To which invoice does this refer?", "What is the ID of the invoice?", "Which number is printed on the invoice?",
                 "Can you tell me which bill is meant?"]),
    "anydate": (["date", "date mentioned", "date in the text", "date given", "the date given",
                 "date in question", "calendar date", "date named", "date stated", "calendar day", "exact date", "date found in the text", "date that is mentioned",
                 "date noted"],
                ["Which date is mentioned?", "What is the date?", "What date is given?", "Which date does the text name?", "What date is mentioned in the text?",
                 "Tell me the date.", "On what date is this?", "What date comes up in the text?", "Which exact date is it?", "What calendar date is named?",
                 "Name the date, please.", "Which date is in the text?", "What is the calendar date?", "What is the exact date?",
                 "For which date is this?", "Which calendar day does the text give?", "On which date does it take place?",
                 "What date do you find in the text?", "Can you say which date it is?"]),
    "author": (["name", "name of the person", "person", "full name", "name given",
                "person named", "person mentioned", "first and last name", "named person", "person's name", "someone's name", "individual",
                "individual named", "name of the person mentioned"],
               ["Who is named?", "Which person is named?", "What is the name of the person?", "Who is the person in the text?", "Which person does the text name?",
                "Tell me the name of the person.", "Who is mentioned?", "Which name appears in the text?", "What person is the text about?",
                "Who is it?", "Name the person, please.", "What is the full name of the person?", "Whose name is given?",
                "What name does the text give?", "Who appears in the text?", "Which individual is mentioned?", "What is this person called?",
                "What is the name that is mentioned?", "Can you say who is named?"]),
    "logdate": (["date", "date of the log", "day of the log", "log date", "date in the log",
                 "day of logging", "date of the lines", "date of the entries", "day in the log", "log day", "date of the log lines",
                 "date of the records", "date logged", "day of the entries"],
                ["What is the date of the log?", "On which date was it logged?", "Which date do the lines have?", "When was it logged?", "What date was it logged?",
                 "Tell me the date in the log.", "From which day is the log?", "On what day were the lines written?",
                 "What is the date of the entries?", "Which day does the log cover?", "When were these lines logged?",
                 "What date stands in the log?", "From what date are the entries?", "On which day did the events take place?",
                 "What day is the log from?", "Which date does the log show?", "On what day did the log get written?",
                 "Which date is at the start of the lines?", "Can you say on which date this was recorded?"]),
    "month": (["month", "month mentioned", "name of the month",
               "month named", "calendar month", "month given", "month in question", "month in the text", "month of the year", "month stated",
               "month that is named", "month concerned"],
              ["Which month is mentioned?", "What month is it?", "In which month?",
               "Which month does the text name?", "Tell me the month.", "What is the month?", "In what month is it?", "Name the month, please.",
               "Which month is given?", "What month does the text speak of?", "For which month is this?", "Which month of the year is meant?",
               "What month is mentioned in the text?", "In which month does it happen?", "About what month is the text?",
               "Which calendar month is it?", "Can you say which month this is?"]),
    "day": (["weekday", "day of the week", "day",
             "weekday mentioned", "day in the week", "name of the day", "weekday given", "day mentioned", "name of the weekday", "weekday named",
             "day named", "weekday in the text"],
            ["Which day of the week is mentioned?", "On which day?", "What weekday is mentioned?",
             "Tell me the weekday.", "Which weekday is it?", "What day of the week is it?", "On what day of the week?", "Name the day, please.",
             "Which day is named?", "For which weekday is it planned?", "What day does the text mention?", "What is the weekday?",
             "On which weekday is it?", "Which day of the week does the text give?", "Of which day does the text speak?",
             "What weekday does the text name?", "Can you say which day of the week it is?"]),
}
# A field is asked for only where nothing else in the text could be meant.
RIVALS = {"date": ["date2", "due_date"], "day": ["due_day"], "month": ["date", "date2", "due_date"],
          "product": ["product2"], "amount": ["amount2"], "who": ["person2", "person3"], "city": ["city2"],
          "host": ["host2"], "time": ["time2"], "version": ["version2"], "company": ["company2"]}
EXTRACT = ["Extract the {field} from the text.\n\nText:\n{text}", "What is the {field}?\n\nText:\n{text}",
           "Text:\n{text}\n\nWhat is the {field}?", "Find the {field} in the text. Answer with the {field} only.\n\nText:\n{text}",
           "Text:\n{text}\n\nExtract the {field}.", "Give me the {field}:\n{text}", "{text}\n\n{field}?", "{text}\n\nWhat is the {field}?",
           "Read the text and answer with the {field}.\n\n{text}", "{field}:\n\nText:\n{text}", "Text:\n{text}\n\nWrite down only the {field} that is in the text.",
           "Please look for the {field} in this message:\n\n{text}", "Here is a text. Which {field} does it contain?\n\n{text}",
           "Message:\n{text}\n\nTask: copy the {field} out of the message."]
QUESTION = ["Text:\n{text}\n\nQuestion: {q}", "Text:\n{text}\n\nQuestion: {q}", "Answer the question from the text.\n\nText:\n{text}\n\nQuestion: {q}", "{text}\n\n{q}",
            "Question: {q}\n\nText:\n{text}", "{q}\n\n{text}",
            "Read the text, then answer.\n\n{text}\n\n{q}", "Use the text to answer this: {q}\n\nText:\n{text}", "Context:\n{text}\n\nQuestion: {q}\nAnswer:",
            "Give a short answer with words of the text.\n\nText:\n{text}\n\n{q}", "Message:\n{text}\n\n{q}", "I have a question about a text. {q}\n\nHere is the text:\n{text}"]


def askable(rec):
    out = []
    for f in FIELDS:
        if f in rec.slots and not any(r in rec.slots for r in RIVALS.get(f, ())):
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


def extract_task(rec, rng, split):
    fields = askable(rec)
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
