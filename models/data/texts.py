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
                  "the number of my order: {order}",
                        "my order carries the number {order}", "{order} is [my|the] order number", "you will find the order under {order}",
                        "[look up|please look at] order {order} in your system", "the confirmation [shows|gives] {order} as order number",
                        "order ({order})", "my order - number {order} - is the one I mean", "on the packing slip it says order no. {order}",
                        "{order}, that is the number of my order", "the order I am talking about: {order}",
                        "all this is about the order with the number {order}", "regarding order {order}", "re order {order}",
                        "[reference of the order|order reference]: {order}", "your shop gave my order the number {order}",
                        "it was order number {order} that I placed", "ordernr {order}", "I have order number {order} in front of me",
                        "{order} [stands|is printed] on the order confirmation as the number", "if you need it, the order number would be {order}",
                        "purchase order {order}", "the order is filed under {order}", "the order has the ID {order}", "order ID: {order}",
                        "as for the order, its number is {order}", "you can trace my order with {order}",
                        "my order (no. {order}) is what I write about", "in your mail you call it order {order}",
                        "the number on the receipt for the order reads {order}", "for order {order}, placed with you"],
        "date": ["I bought it on {date}", "ordered on {date}", "the order was placed on {date}", "date of purchase: {date}",
                 "my order is from {date}", "I placed the order on {date}", "the purchase was on {date}",
                 "[order date:|ordered:] {date}", "it was bought on {date}", "the date of my order is {date}",
                "{date} was the day I ordered", "I [made|did] the purchase on {date}", "I ordered [this|it] from you back on {date}",
                "bought: {date}", "purchase date {date}", "the order went out from me on {date}",
                "[the invoice|the receipt] gives {date} as date of purchase", "on {date} I [clicked on buy|pressed the order button]",
                "it was on {date} that I [ordered|bought it]", "my purchase dates from {date}", "I have had it since I bought it on {date}",
                "we [bought|purchased] it on {date}", "day of the order - {date}", "the day of purchase was {date}",
                "when I ordered, it was {date}", "purchased on {date}", "I [got|bought] it in your shop on {date}",
                "the order (placed on {date}) is still in my account", "{date}: that is when I placed the order",
                "on {date} my order was [confirmed the same minute|made]", "the order bears the date {date}",
                "I am the one who ordered on {date}", "date of the order, {date}", "since my purchase on {date} I have kept the receipt",
                "back on {date}, the day I ordered, nobody told me", "as the receipt shows, I bought it on {date}",
                "your shop took my order on {date}", "my order of {date}", "we placed our order with you on {date}",
                "it became mine on {date}, bought in your shop"],
        "product": ["it is about the {product}", "product: {product}", "I am writing about the {product}",
                    "the item is a {product}", "this is about my {product}", "the product is the {product}",
                    "I bought a {product} from you", "item: {product}", "the article I mean is the {product}", "I mean the {product}",
                    "the {product} is what I am writing about", "[what|the thing] I bought is the {product}", "it concerns the {product}",
                    "we are talking about the {product}", "my purchase was a {product}", "the product in question: {product}",
                    "{product} is the name of the product", "I ordered the {product}", "I [own|have] the {product}",
                    "we have a {product} from your shop", "regarding the {product}", "it all has to do with the {product}",
                    "in the box was the {product}", "article: {product}", "the item ({product}) came from your shop",
                    "I [chose|picked] the {product} in your shop", "concerning the article {product}", "I am the owner of a {product}",
                    "my question is about one product, the {product}", "product name - {product}", "on the label it says {product}",
                    "the purchase in question is the {product}", "one {product} was [in my basket|on my bill]", "the thing is called {product}",
                    "you sold me a {product}", "I [got|received] the {product} from you", "model: {product}",
                    "the {product} is the article that I ordered", "so that you know which item: the {product}",
                    "this message deals with the {product}"],
        "amount": ["I paid {amount}", "the price was {amount}", "it cost me {amount}", "total: {amount}", "the total was {amount}",
                   "{amount} was what I paid", "I spent {amount} on it", "the amount was {amount}", "paid {amount} [by card|in advance]", "the whole thing cost {amount}",
                    "{amount} was the price", "I was charged {amount}", "you charged me {amount}", "the bill [came to|was] {amount}",
                    "price: {amount}", "price paid - {amount}", "in total I [paid|transferred] {amount}", "my card was charged with {amount}",
                    "{amount} left my bank account for it", "I gave {amount} for it", "all in all it was {amount}",
                    "the invoice [says|reads] {amount}", "that made {amount} altogether", "sum: {amount}", "the sum I paid is {amount}",
                    "we [paid|spent] {amount}", "it was {amount} that I paid", "for this I paid the price of {amount}", "amount paid: {amount}",
                    "the receipt shows a total of {amount}", "I handed over {amount} for it", "it was not cheap at {amount}",
                    "I bought it for {amount}", "my payment (of {amount}) went through", "the purchase price came to {amount}",
                    "{amount}, that is what you took from my card", "the amount you received from me was {amount}",
                    "I put down {amount} for it", "with shipping I paid {amount}", "the cost to me was {amount}"],
        "city": ["I live in {city}", "I am writing from {city}", "my home is in {city}", "greetings from {city}",
                 "I am a customer from {city}", "we live in {city}", "I am based in {city}", "city: {city}", "I'm at home in {city}",
                "{city} is where I live", "my [place|flat|house] is in {city}", "my home town is {city}", "I come from {city}",
                "I write to you from {city}", "home: {city}", "town: {city}", "place of residence: {city}",
                "we are a family [from|in] {city}", "my address is in {city}", "I moved to {city}, where I live now",
                "as a resident of {city} I write to you", "[here|where I live] in {city}", "you see, I live in {city}",
                "for the address: I live in {city}", "{city} is my home", "I am at home in {city}",
                "the address you have for me is in {city}", "[best|kind] wishes from {city}", "our home is {city}",
                "I happen to live in {city}", "{city} has been my home for years", "I am one of your customers in {city}",
                "I sit here in {city} and write to you", "hello from {city}", "location - {city}",
                "being from {city}, I shop with you online", "my delivery address is in {city}",
                "I (a customer in {city}) have something to tell you", "the town I live in is {city}"],
        "phone": ["my phone number is {phone}", "you can reach me at {phone}", "call {phone}", "phone: {phone}", "my number is {phone}",
                  "{phone} is my phone number", "[please|] call me at {phone}", "call me on {phone}", "tel. {phone}", "telephone: {phone}",
                  "my telephone number: {phone}", "ring me [up|] on {phone}", "you can [call|ring] me under {phone}",
                  "I [pick up|answer] the phone at {phone}", "my mobile is {phone}", "mobile: {phone}", "the number to call is {phone}",
                  "for a call back use {phone}", "by phone I can be reached at {phone}", "phone - {phone}",
                  "if you want to talk, dial {phone}", "dial {phone} to reach me", "my cell phone has the number {phone}",
                  "give me a [call|ring] at {phone}", "the phone number in my account is {phone}", "under {phone} you get me on the line",
                  "you have my number, {phone}", "I can be phoned on {phone}", "contact by phone: {phone}", "my line is {phone}",
                  "reach me by telephone ({phone})", "{phone} - this is the number where you can call me", "call back number {phone}",
                  "a quick call to {phone} is enough to reach me", "in case you prefer the telephone, my number is {phone}"],
        "mail": ["my mail address is {mail}", "write to {mail}", "my account is {mail}", "e-mail: {mail}", "I am registered as {mail}",
                 "{mail} is my [mail|e-mail] address", "my e-mail is {mail}", "[please|] mail me at {mail}", "send mail to {mail}",
                 "you can write [to me|] at {mail}", "email: {mail}", "my email address: {mail}", "e-mail - {mail}",
                 "the address of my account is {mail}", "I use {mail} as mail address", "my login is {mail}",
                 "I [signed up|registered] with {mail}", "by mail I can be reached at {mail}", "answers reach me at {mail}",
                 "answer to {mail}", "reply to {mail}", "[drop|send] me a line at {mail}", "my inbox is {mail}", "mail ({mail})",
                 "for mail use {mail}", "{mail} is the address in my customer account", "the mail address you have for me is {mail}",
                 "contact by mail: {mail}", "my account runs under {mail}", "I read my mail at {mail}", "an e-mail to {mail} finds me",
                 "you know me under {mail}", "in your shop I log in as {mail}", "the account with the mail address {mail} is mine",
                 "my mail address, {mail}, has not changed"],
    },
}
FACTS["review"] = {
    "date": FACTS["support"]["date"],
    "amount": FACTS["support"]["amount"],
    "city": FACTS["support"]["city"],
}
NAME = ["my name is {who}", "I am {who}", "this is {who} [speaking|writing|]", "{who} here", "name: {who}",
        "customer: {who}", "{who} is my name", "I'm {who}", "written by {who}", "you are reading the words of {who}",
        "I go by the name of {who}", "the name is {who}", "my full name: {who}", "{who} is who I am", "[hello|hi], {who} here",
        "here is {who}", "it's {who}", "this message comes from {who}", "{who} is writing to you", "{who} wrote this",
        "I, {who}, am writing this [myself|]", "yours truly is {who}", "let me introduce myself: {who}",
        "[first of all|] I am called {who}", "people call me {who}", "sender: {who}", "author: {who}", "contact: {who}",
        "the account is in the name of {who}", "I am a customer by the name of {who}", "you may [file|note] me under {who}",
        "in your records I am {who}", "signed {who}", "name - {who}", "my name, for your records, is {who}"]
SIGN = ["{who}", "[Best|Kind] regards, {who}", "[Regards|Greetings|Cheers], {who}", "Thanks, {who}", "Yours, {who}",
        "Sincerely, {who}", "- {who}", "[Best|Many thanks], {who}", "Bye, {who}", "With kind regards {who}",
        "Best wishes, {who}", "Warm regards, {who}", "All the best, {who}", "Yours [faithfully|sincerely], {who}",
        "Yours truly, {who}", "Thank you, {who}", "[Take care|See you], {who}", "Respectfully, {who}",
        "Have a [good|nice] day, {who}", "Greetings from {who}", "Signed, {who}", "Many greetings {who}", "Rgds {who}", "-- {who}",
        "Until then, {who}"]
GREET = ["Hello,", "Hi,", "Hi there,", "Dear team,", "Good morning,", "Dear sir or madam,", "Hey,", "To whom it may concern,",
         "Hello support,", "Good evening,", "Good day,", "Hello everybody,",
         "Dear support team,", "Hi team,", "Dear customer service,", "Good afternoon,", "Dear all,", "Hello there,", "Greetings,",
         "Dear colleagues,", "Hi everyone,", "Hiya,", "Dear ladies and gentlemen,", "Hello again,"]
OPENING = ["I hope you can help me", "I have a [problem|question|request]", "sorry to bother you", "I am writing to you because I am at a loss",
           "this is the [second|third] time I write", "I [tried|looked at] your help pages first", "maybe you can help",
           "I am a customer of yours [since {year2}|for years]", "let me tell you what happened", "here is my story",
           "I would like to get in touch with you", "let me explain why I write", "I will keep it short",
           "just a short message from me", "I don't know where to start", "please take a minute to read this",
           "I never thought I would have to write this", "I found your address on your web site", "I do not write such messages often",
           "I turn to you because [nobody else|nobody here] can help me", "could you [have a look at|look into] the following",
           "allow me to tell you something", "this is my first [message|letter] to you", "once more I have to contact you",
           "please forward this to the right [person|department]", "there is something I need to tell you",
           "I wonder whether I am right here", "forgive me for writing so late",
           "a [customer|regular customer] of yours writes to you today", "I have thought about it for a while before writing",
           "first of all, a good start into the week", "the chat on your site was closed, so I write here",
           "perhaps this is a case for your team", "what follows is all I know", "I have been coming to your shop since {year2}"]
DISTRACT = ["I am on [holiday|a business trip] [next week|from {day}]", "my [wife|husband|brother|neighbour] [says|thinks] the same",
            "the weather is [awful|lovely] today by the way", "I have been a loyal customer for {n} years", "my [sister|friend|colleague] recommended you",
            "I looked in the help section but [found nothing|did not understand it]", "sorry for my [bad English|long message]",
            "I am usually at home after {time}", "my neighbour has a key", "I already called on {day}", "we have {n} children and little time",
            "I am writing from my phone", "it is not the first time", "a friend told me to write to you", "this is rather urgent for me",
            "I hope this reaches the right person", "I took {n} photos", "you can see it in the attached picture", "I work in a small office with {n} people",
            "last year everything was fine", "I read about it in a forum", "I have tried it {n} times", "it rained all {day} here",
            "your last reply was on {day}", "my old one lasted {n} years",
            "my son is good with such things, but he is away", "I am [retired|a student] and have a lot of time",
            "I share the flat with {n} other people", "we are about to move house", "my dog barks at every van",
            "excuse the typing errors, my keyboard is small", "I do not like long letters either", "the whole family is waiting",
            "my parents are [visiting|staying with us] until {day}", "I heard you have a new office", "on {day} I am out of the house",
            "my boss already asked me about it", "it was meant for my [mother|daughter|nephew]", "I am no expert",
            "I showed it to {n} friends", "I write this during my lunch break", "a colleague at work laughed about it",
            "you may quote me on this", "I have a tracking app for everything", "the man on the hotline was friendly",
            "[maybe|perhaps] I am just too old for this", "the instructions have {n} pages", "I usually buy such things in town",
            "I kept all the papers", "it took me {n} minutes to find this form", "my birthday is next week",
            "I had to look up how to spell that", "I do not use social media", "in the evening I am easier to reach",
            "on {day} we had guests", "the kids are asleep at last", "the neighbours have the same one", "I even asked a professional",
            "this is all I can say for the moment", "I am sitting in the train right now",
            "my English teacher would not be proud of this message", "I grew up with your brand", "the cat slept through all of it",
            "our street is hard to find", "I work night shifts this month", "I saw your advert on television",
            "I made a list with {n} points", "we laughed about it at first", "please excuse my tone",
            "nothing else has changed in our house", "my glasses are broken, so I type slowly",
            "I waited until {time} before I sat down to write", "some of my friends are customers too",
            "I used to work in a shop myself", "I slept badly because of it"]
CLOSE_LINE = ["thank you", "thanks in advance", "I look forward to your answer", "waiting for your reply", "have a nice day",
              "thanks for your help", "I hope to hear from you soon", "many thanks", "please answer soon", "all the best",
           "until soon", "I am grateful for any help", "thank you very much", "thanks a lot", "I count on you",
           "thank you for your time", "thank you for reading this", "I await your answer", "looking forward to hearing from you",
           "that is all from me", "have a good [week|weekend]", "a short reply would be nice", "thanks and bye",
           "hoping for a quick answer", "I appreciate your effort"]


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
    "ticket": ["ticket {ticket}", "tracked as ticket {ticket}", "[the|] ticket [number|] is {ticket}", "see ticket {ticket}", "ticket no. {ticket} was opened",
               "{ticket} is the ticket number", "there is a ticket for it, {ticket}", "ticket: {ticket}", "ticket #{ticket}",
               "ticket ID {ticket}", "[filed|logged] under ticket {ticket}", "more in ticket {ticket}", "we follow it in ticket {ticket}",
               "all details are in ticket {ticket}", "the ticket in the tracker has the number {ticket}", "notes go into ticket {ticket}",
               "a ticket ({ticket}) exists", "I opened ticket {ticket} for it", "the tracker calls it ticket {ticket}",
               "cf. ticket {ticket}", "{ticket} - ticket in our queue", "the number of the ticket: {ticket}",
               "please use ticket {ticket} for comments", "recorded in the ticket system as {ticket}",
               "ticket number {ticket} [belongs to this|is ours]"],
    "date": ["it happened on {date}", "date: {date}", "noticed on {date}", "on {date}", "the day was {date}",
             "it was {date}", "{date} was the day it happened", "day: {date}", "day of the incident: {date}",
             "date of the incident {date}", "the incident took place on {date}", "occurred on {date}", "[first|] observed on {date}",
             "reported on {date}", "the trouble dates from {date}", "all this was on {date}", "the log is from {date}",
             "it came up on {date}", "({date})", "we saw it on {date}", "the problem [arose|appeared] on {date}", "it hit us on {date}",
             "when: {date}", "dated {date}", "entry of {date}"],
    "time": ["[it|the trouble] started at {time}", "first alert at {time}", "seen since {time}", "time: {time}", "the alarm came at {time}",
             "{time}: first sign of trouble", "at {time} [it began|it all began]", "start: {time}", "start of the incident: {time}",
             "since {time} we see it", "the pager went off at {time}", "began at {time}", "it has been going on since {time}",
             "noticed at {time}", "the clock said {time} when it started", "the first report came in at {time}", "from {time} on",
             "onset {time}", "paged at {time}", "it was {time} when the alert fired", "monitoring raised the alarm at {time}",
             "the first error is from {time}", "the graphs change at {time}", "started around {time}",
             "up to {time} all was normal, then it started"],
    "host": ["affected host: {host}", "the machine is {host}", "host {host}", "it concerns {host}", "seen on {host}",
                "{host} is affected", "{host} is the machine in question", "[server|machine]: {host}", "the server is called {host}",
                "on host {host}", "the box is {host}", "it happens on {host}", "only {host} [shows it|is affected]",
                "the trouble is on {host}", "we are talking about {host}", "the name of the host is {host}", "node {host}",
                "the node concerned is {host}", "hostname {host}", "all of this is on {host}", "the affected server ({host}) is ours",
                "the logs are from {host}", "found on {host}", "where: {host}", "look at {host}"],
    "version": ["running version {version}", "version: {version}", "we run {version} there", "the version is {version}", "software version {version}",
                "{version} is the version there", "it runs {version}", "release {version}", "release: {version}",
                "the installed version is {version}", "we are on version {version}", "version {version} is installed",
                "deployed version: {version}", "the build is {version}", "build {version}", "the release in use is {version}",
                "it is still on version {version}", "it says version {version} in the footer", "current version {version}",
                "version in use: {version}", "at the moment {version} is deployed", "this is with version {version}",
                "seen with release {version}", "the package has version {version}", "version ({version}) as rolled out"],
}
INCIDENT_NAME = ["reported by {who}", "{who} is on call", "on-call: {who}", "{who} reports", "author: {who}", "written by {who}", "noted by {who}",
                 "{who} from the {team} noticed it", "{who} took the call", "on duty: {who}",
                 "{who} wrote this entry", "{who} is on duty", "reporter: {who}", "noticed by {who}", "found by {who}", "{who} saw it first",
                 "{who} was paged", "{who} raised the alarm", "the report comes from {who}", "entry by {who}", "this note is by {who}",
                 "shift lead {who} reports", "signed {who}", "operator: {who}", "{who} (on call) took this down"]
INCIDENT_NOISE = ["customers have [not noticed|noticed] it", "the {team} has been informed", "no data was lost", "the dashboard is red", "monitoring sent {n2} alerts",
                  "we had the same in {month}", "a second look is planned for {day}", "first checks found nothing", "the phone does not stop ringing",
                  "{n} customers called", "the runbook did not help", "it comes and goes", "coffee is low as well", "everything else is normal",
                  "the cause is not known yet", "status page updated", "impact is small so far", "{person2} is looking at the graphs",
                  "nobody has touched anything today", "the night shift left no notes", "the call with the {team} lasts until noon",
                  "a chat room has been set up", "the vendor has been told", "we keep an eye on it", "similar tickets exist from {month}",
                  "{n} colleagues have joined the call", "no change was planned for today", "the intern found it by chance",
                  "the weekly review is on {day}", "users abroad report nothing", "this has been quiet since {month}",
                  "a post-mortem will follow", "screenshots are in the channel", "we have seen worse", "the {team} is in another meeting",
                  "{n2} messages in the channel so far", "severity is set to {n}", "the on-call laptop needed an update first",
                  "nothing in the change calendar", "more as soon as we know it", "the test system looks normal",
                  "the handover was at the usual time", "somebody made popcorn"]


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
             "request {ticket} done in {n2} ms", "started thread pool with {n} workers",
             "scheduler tick {n2}", "loaded {n} plugins", "GET /index.html 200 in {n2} ms", "POST /api/items 201 in {n} ms",
             "client 10.0.{n}.{n2} connected", "client 10.0.{n}.{n2} said goodbye", "metrics flushed, {big} points",
             "configuration unchanged", "index scan finished, {big} rows", "starting cleanup of old sessions",
             "cleanup done, {n2} entries removed", "keepalive sent to peer {n}", "job {ticket} finished in {n} s",
             "accepted new client, id={ticket}", "compacted {n} segments in {n2} ms"]


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
            "the words come from {who}, a local expert", "expert {who} commented on it", "{who} told reporters about it", "so far the account of {who}",
            "this was made known by {who}", "{who} gave a statement", "the statement came from {who}",
            "{who} [appeared|spoke] before the press", "reporters heard it from {who}", "{who} was the speaker of the day",
            "according to {who}, who is close to the matter", "the spokesperson is {who}", "spokesperson {who} explained the matter",
            "asked about it, {who} was ready to talk", "our paper reached {who} by phone", "in a radio interview {who} talked about it",
            "{who} is the voice of the [group|office] in this", "it was {who} who informed the press", "in the studio sat {who}"]
NEWS_NOISE = ["it was the [first|second] time in {n2} years", "the news came on {day}", "about {big} people were [present|affected]", "reactions on the street were mixed",
              "details were not given", "more is expected [next week|in {month}]", "nobody was surprised", "local radio reported it first", "photos were shared on the web",
              "in {city2} people talk of little else", "a report of {n2} pages was published", "last year it was different", "it began in {month}",
              "many had waited for this", "{person2} had no comment", "the story made headlines abroad", "a press conference is planned for {day}",
              "television crews were on the spot", "the mayor did not want to comment", "a crowd of {big} watched",
              "it will be talked about for a long time", "the story goes back {n2} years", "a local blog wrote about it in {month}",
              "questions remain", "the event had been expected since {month}", "some shook their heads",
              "papers in {city2} put it on the front page", "an earlier report had been more cautious", "the mood was calm",
              "the phones of the newsroom rang all {day}", "a final answer is not in sight", "more than {big} comments were posted",
              "experts disagree on what it means", "{n2} pictures are in our gallery", "older people remember a similar case",
              "the topic returns every {month}", "correspondents are on their way", "a first version of this text was shorter",
              "others saw it differently", "social networks were full of it", "there was coffee for the waiting press",
              "the details are to be published on {day}"]


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
             "it was good to see you on {day}", "one thing before the weekend",
                "hope all is well with you", "sorry for the late mail", "I am back at my desk", "quick update from my side",
                "just so that everybody knows", "following up on our talk on {day}", "please take note", "before I forget it",
                "I have some news for you", "I hope you had a good start into the week", "this will only take a minute",
                "as you may have heard already"]
MAIL_NOISE = ["the coffee machine works again", "lunch on {day} was nice", "I am in the office until {time}", "my phone is {phone}", "the minutes are attached", "{person2} knows about it",
              "I also told the {team}", "let us talk on {day}", "the train was late again", "I copied {person3}", "see the attached file", "the numbers of {month} look fine",
              "we talked about it in {month}", "it is quiet here today", "my desk is now on floor {n}", "say hello to {first3}", "the plants need water", "next week is busy",
              "the lift is being repaired", "somebody left an umbrella in the hall", "there is cake in the kitchen",
              "my calendar is up to date", "I am on the train and have bad reception", "the {team} sits next door now",
              "{person2} sends regards", "the heating is fine again", "I am working from home on {day}", "my screen is still too small",
              "the window in room {n} does not close", "I put a copy on the shared drive", "there are {n} of us in the office today",
              "the new carpet smells", "parking is difficult this week", "I will be brief", "we had a good laugh in the {team}",
              "the summer party was fun", "this mail has no attachment", "I talked to {person3} in the corridor",
              "the {month} newsletter is out", "my other mails can wait", "someone borrowed my stapler", "the canteen has soup today",
              "the new printer is on floor {n}", "feel free to stop by", "{first3} brought biscuits", "I have {n} more mails to write",
              "the clocks in the hall are wrong", "no need to print this"]


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
           "draw the plan", "read the contract", "count the stock", "answer the letter", "paint the wall", "measure the speed", "translate the manual", "send the invitation", "close the old account",
           "rent a van", "repair the door", "sort the samples", "compare the offers", "phone the landlord", "design the poster",
           "record the video", "scan the forms", "renew the licence", "edit the handbook", "pack the boxes", "set up the server",
           "water the plants", "sign the form", "choose a caterer", "sketch the logo", "pay the deposit", "import the data",
           "tidy the cellar", "interview the candidate", "install the lamp", "copy the keys", "rewrite the summary",
           "label the shelves", "correct the map"]
ACTION_LINE = ["{p} [will|is going to] {a}", "{p}: {a}", "{p} has to {a}", "action for {p}: {a}", "{p} promised to {a}", "{p} agreed to {a}", "task of {p}: {a}", "to {a} is the task of {p}",
               "{p} takes it on to {a}", "{p} should {a}",
               "{p} is to {a}", "{p} volunteered to {a}", "{p} was asked to {a}", "{p} offered to {a}", "{p} wants to {a}", "{p} must {a}",
               "{p} needs to {a}", "{p} is responsible and will {a}", "it is up to {p} to {a}", "it falls to {p} to {a}",
               "[we agreed|agreed] that {p} will {a}", "we [asked|told] {p} to {a}", "the job of {p} is to {a}", "[todo|to do] {p}: {a}",
               "{p} -> {a}", "{a} ({p})", "next step for {p}: {a}", "{p} has been given the task to {a}", "{p} [is ready|is happy] to {a}",
               "we rely on {p} to {a}"]
ACTION_ASK = ["Who will {a}?", "Who has to {a}?", "Who should {a}?", "Who is going to {a}?", "Whose task is it to {a}?",
              "Who is to {a}?", "Who takes care of it to {a}?", "Who was given the task to {a}?", "Who is supposed to {a}?",
              "Who needs to {a}?", "Whose job is it to {a}?", "Who is responsible to {a}?", "Which person will {a}?", "Who must {a}?",
              "Who agreed to {a}?", "Which person has to {a}?", "Whom did they ask to {a}?"]
DUE = [" by {d}", " until {d}", " before {d}", " ({d})",
       " no later than {d}", " by {d} at the latest", " (due {d})", ", deadline {d}", ", due on {d}", " - due {d}",
       ", to be done by {d}", " (until {d})"]


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
        acts = rng.sample(ACTIONS[:20] + ACTIONS[25:45] if split == TRAIN else ACTIONS[20:25] + ACTIONS[45:] + ACTIONS[:4], rng.choice([1, 2, 2, 3]))
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
           "{who} asked for a {w}", "what do you know about the {w}?", "the title of the story is the {w}", "there was a {w} in the dream of {first}", "next to it stood the word {w}", "for {first} it must be a {w}",
           "the child pointed at the {w}", "we spent [all|half] of {day} with the {w}", "{first} dreams of a {w}",
           "nobody expected the {w}", "there is a chapter about the {w}", "the {w} was [mentioned|named] {n} times",
           "in the photo you can see a {w}", "a book about the {w} lies on the table", "{who} gave a talk about the {w}",
           "is that really a {w}?", "without the {w} it would not be the same", "{first} prefers the {w}",
           "the guide in {city} explained the {w} [to us|]", "the first thing on the list is the {w}", "everybody looked at the {w}",
           "someone wrote {w} on the board", "can you describe a {w}?", "{first} asked whether there was a {w}",
           "the film on {day} showed a {w}", "let us begin with the {w}"]


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
            facts = [(["{x} was {verb} in {year}", "{x} dates from {year}", "in {year} {x} was {verb}", "since {year} there is {x}", "{x} has existed since {year}",
                       "the year {year} saw {x} {verb}", "people {verb} {x} back in {year}", "the history of {x} goes back to {year}",
                       "{year} is the year in which {x} was {verb}", "the beginnings of {x} lie in {year}", "{x}, {verb} in {year}, is well known",
                       "records show that {x} was {verb} in {year}", "nobody could visit {x} before {year}, when the work was done",
                       "the first day of {x} was in {year}", "a plaque says that {x} was {verb} in the year {year}"],
                      ["When was {x} {verb}?", "In which year was {x} {verb}?", "What year is {x} from?", "From which year is {x}?", "How old is {x}, which year is it from?",
                       "Since when has {x} existed?", "Tell me the year in which {x} was {verb}.", "What is the age of {x}, counted from which year?",
                       "From what year does {x} date?", "To which year does the history of {x} go back?", "Do you know in which year {x} was {verb}?",
                       "Which year saw {x} {verb}?", "How long has {x} been there, since what year?", "In what year did people get {x}?",
                       "What year is given for {x}?"], "year"),
                     (["it [stands|is] in {city}", "{x} is in {city}", "you find it in {city}", "its place is {city}", "it can be seen in {city}",
                       "{x} can be visited in {city}", "visitors to {city} can see {x}", "{city} is the city of {x}", "{x} belongs to the sights of {city}",
                       "in {city} there is {x}", "those who want to see {x} travel to {city}", "the city of {city} is proud of {x}",
                       "{x} lies in the middle of {city}", "in the streets of {city} people know {x}", "{x} is a landmark of {city}"],
                      ["Where is {x}?", "In which city is {x}?", "In what city is {x}?", "Which city has {x}?", "What is the city of {x}?",
                       "Where can one visit {x}?", "To which city do I travel to see {x}?", "Which town is {x} in?", "What is the city where {x} is found?",
                       "Tell me the place of {x}.", "Where does {x} stand?", "Where can {x} be seen?", "In which town would I find {x}?",
                       "What city does {x} belong to?", "Where is {x} located?"], "city"),
                     (["it was designed by {person2}", "the architect was {person2}", "{person2} drew the plans for it", "the plans came from {person2}", "its architect is {person2}",
                       "{person2} was the architect of {x}", "{x} was planned by {person2}", "the design of {x} is by {person2}", "{x} is a work of {person2}",
                       "the drawings for {x} were made by {person2}", "{person2} designed {x}", "for {x} the architect {person2} was chosen",
                       "we owe the shape of {x} to {person2}", "{person2} is known as the architect who drew {x}", "behind the design of {x} was {person2}"],
                      ["Who designed {x}?", "Who is the architect of {x}?", "Who drew the plans for {x}?", "Who planned {x}?", "Who was the architect of {x}?",
                       "By whom was {x} designed?", "Whose work is {x}?", "Which architect planned {x}?", "Tell me who drew {x}.",
                       "Who made the design of {x}?", "Name the architect of {x}.", "From whom is the design of {x}?", "Which person designed {x}?",
                       "Who made the drawings for {x}?", "To whom do we owe the plans of {x}?"], "person2"),
                     (["it cost {amount}", "{amount} were paid for it", "the price was {amount}", "building it took {amount}", "the cost was {amount}",
                       "{x} cost {amount}", "{amount} went into {x}", "the bill for {x} came to {amount}", "the city spent {amount} on {x}",
                       "for {x} the sum of {amount} was spent", "the money spent on {x} was {amount}", "to pay for {x}, {amount} had to be found",
                       "{x} was finished at a cost of {amount}", "the price tag of {x} read {amount}", "all in all {x} required {amount}"],
                      ["What did {x} cost?", "How much did {x} cost?", "What was paid for {x}?", "What was the price of {x}?", "What was the cost of {x}?",
                       "How much money went into {x}?", "How expensive was {x}?", "What sum was spent on {x}?", "How much was paid for {x}?",
                       "What was the bill for {x}?", "Tell me the cost of {x}.", "At what price was {x} finished?", "How much money did {x} require?",
                       "What amount did {x} take?", "How much was spent to get {x}?"], "amount")]
        elif form == 1:
            f["x"] = f["person3"]
            facts = [(["{x} was born in {year}", "{x}, born in {year}", "in {year} {x} was born", "the year of birth of {x} is {year}", "{x} came into the world in {year}",
                       "{x} is a child of the year {year}", "the birth of {x} was in {year}", "{x} has been in this world since {year}",
                       "{year} is the year when {x} was born", "the passport of {x} gives {year} as year of birth", "the life of {x} began in {year}",
                       "parents of {x} celebrated a birth in {year}", "the mother of {x} gave birth in {year}", "{x} was a baby in {year}, the year of birth",
                       "a register says that {x} was born in {year}"],
                      ["When was {x} born?", "In which year was {x} born?", "What is the year of birth of {x}?", "What year was {x} born in?", "In what year was {x} born?",
                       "Tell me the birth year of {x}.", "When did {x} come into the world?", "What is {x}'s year of birth?", "{x} was born in which year?",
                       "Which year saw the birth of {x}?", "How old is {x}, born in which year?", "When was the birth of {x}?",
                       "In which year did the life of {x} begin?", "Since which year has {x} been alive?", "What birth year is given for {x}?"], "year"),
                     (["{x} lives in {city}", "{x} moved to {city}", "the home of {x} is {city}", "{x} has a house in {city}", "{x} has a home in {city}",
                       "{x} is a resident of {city}", "{city} is where {x} lives", "{x} calls {city} home", "the flat of {x} is in {city}",
                       "these days {x} resides in {city}", "{x} settled in {city}", "in {city} {x} has found a place to live",
                       "{x} rents an apartment in {city}", "after work {x} goes home to {city}", "neighbours of {x} in {city} are friendly"],
                      ["Where does {x} live?", "In which city does {x} live?", "What city is {x}'s home?", "Which city is the home of {x}?", "In what city does {x} live?",
                       "Where is the home of {x}?", "In which town does {x} reside?", "Which city does {x} call home?", "Where did {x} settle?",
                       "What is the home town of {x}?", "Where does {x} have a home?", "{x} lives in which city?", "Tell me where {x} lives.",
                       "Where is {x} at home?", "Of which city is {x} a resident?"], "city"),
                     (["{x} works for {company}", "{x} has a job at {company}", "{company} employs {x}", "{x} is with {company}", "{x} is employed by {company}",
                       "the employer of {x} is {company}", "{x} is on the staff of {company}", "{x} earns a salary at {company}",
                       "{company} pays the wages of {x}", "{company} hired {x}", "{x} joined {company}", "{x} is an employee of {company}",
                       "among the staff of {company} is {x}", "every morning {x} goes to the office of {company}", "{x} has a work contract with {company}"],
                      ["Where does {x} work?", "For which company does {x} work?", "Who employs {x}?", "What company is {x} with?", "Which company employs {x}?",
                       "What is the employer of {x}?", "Who pays the wages of {x}?", "At which company is {x} employed?", "Which firm hired {x}?",
                       "For whom does {x} work?", "Who is the employer of {x}?", "By which firm is {x} employed?", "{x} works at which company?",
                       "Tell me the company that {x} works for.", "Which business does {x} work for?"], "company"),
                     (["{x} is {role}", "{x} works as {role}", "the job of {x} is {role}", "as {role} {x} earns a living", "{x} has the job of {role}",
                       "{x} has a post as {role}", "by profession {x} is {role}", "the profession of {x} is {role}", "{x} makes money as {role}",
                       "{x} was trained as {role}", "{x} has been {role} for years", "the business card of {x} says {role}", "people know {x} as {role}",
                       "the title of {x} is {role}", "{x} fills the position of {role}"],
                      ["What is the job of {x}?", "What does {x} work as?", "Which job has {x}?", "What job does {x} do?", "What job does {x} have?",
                       "What is the profession of {x}?", "What does {x} do for a living?", "As what does {x} work?", "What is {x} by profession?",
                       "Which position does {x} fill?", "What title does {x} have?", "In what role does {x} work?", "How does {x} earn a living?",
                       "Tell me the occupation of {x}.", "Which profession does {x} have?"], "role"),
                     (["the phone of {x} is {phone}", "{x} can be called at {phone}", "{x} has the number {phone}", "call {x} at {phone}", "the number of {x} is {phone}",
                       "to reach {x}, dial {phone}", "{x} answers the phone at {phone}", "the telephone number of {x} is {phone}", "under {phone} you get {x}",
                       "for a talk with {x}, ring {phone}", "{phone} is the number where {x} picks up", "{x} gave {phone} as telephone number",
                       "if you need {x}, phone {phone}", "anyone can ring {x} on {phone}", "{x} is reached by telephone on {phone}"],
                      ["What is the phone number of {x}?", "How can {x} be called?", "Which number has {x}?", "At which number is {x}?", "What number has {x}?",
                       "What is the telephone number of {x}?", "Which number do I dial for {x}?", "How do I reach {x} by phone?",
                       "Under what number can {x} be reached?", "Tell me the phone number of {x}.", "On which number does {x} answer?",
                       "Where can I ring {x}?", "What do I dial to get {x}?", "Which phone number belongs to {x}?", "At what number can I phone {x}?"], "phone")]
        elif form == 2:
            f["x"] = "the " + f["product"]
            facts = [(["{x} costs {amount}", "the price of {x} is {amount}", "you pay {amount} for {x}", "{x} is sold for {amount}", "{amount} is the price of {x}",
                       "{x} can be bought for {amount}", "shops ask {amount} for {x}", "the price tag on {x} says {amount}", "for {amount} you get {x}",
                       "anyone who wants {x} has to pay {amount}", "{x} is on offer at {amount}", "{x} goes for {amount}", "whoever buys {x} spends {amount}",
                       "the list price of {x} is {amount}", "in the shop {x} is priced at {amount}"],
                      ["How much is {x}?", "What does {x} cost?", "What is the price of {x}?", "For how much is {x} sold?", "How much does {x} cost?",
                       "How expensive is {x}?", "What do shops ask for {x}?", "What must I pay for {x}?", "At what price is {x} on offer?",
                       "How much do you pay for {x}?", "Tell me the price of {x}.", "What is the list price of {x}?", "For what sum can I buy {x}?",
                       "How much money do I need for {x}?", "What is {x} priced at?"], "amount"),
                     (["{x} is made by {company}", "{company} makes {x}", "the maker of {x} is {company}", "{x} comes from {company}", "{x} is produced by {company}",
                       "{company} is the maker of {x}", "{company} produces {x}", "the manufacturer of {x} is {company}", "{x} is built by {company}",
                       "{company} developed {x}", "{x} is a product of {company}", "behind {x} is the firm {company}",
                       "the factory of {company} turns out {x}", "the label on {x} names {company} as manufacturer", "{x} is manufactured by {company}"],
                      ["Who makes {x}?", "Which company makes {x}?", "Who is the maker of {x}?", "What company is {x} from?", "Which company produces {x}?",
                       "Who is the manufacturer of {x}?", "Which firm builds {x}?", "Who produces {x}?", "By whom is {x} made?", "From which company is {x}?",
                       "What company manufactures {x}?", "Who developed {x}?", "Which firm is behind {x}?", "Tell me the manufacturer of {x}.",
                       "Name the company that makes {x}."], "company"),
                     (["{x} was sold on {date}", "on {date} {x} was sold", "the sale of {x} was on {date}", "{x} found a buyer on {date}", "a buyer took {x} on {date}",
                       "somebody bought {x} on {date}", "{x} changed hands on {date}", "the date of sale of {x} is {date}", "{x} went to a customer on {date}",
                       "on {date} a customer bought {x}", "the shop sold {x} on {date}", "{date} was the day when {x} was sold",
                       "the purchase of {x} took place on {date}", "the receipt for {x} is dated {date}", "on {date} {x} found a new owner"],
                      ["When was {x} sold?", "On which date was {x} sold?", "What is the date of the sale of {x}?", "On what date was {x} sold?", "What day was {x} sold?",
                       "When did {x} find a buyer?", "When did somebody buy {x}?", "On what day did {x} change hands?", "When was the sale of {x}?",
                       "On which day was {x} bought?", "Tell me the date when {x} was sold.", "When did the shop sell {x}?",
                       "What date does the receipt for {x} have?", "When did {x} get a new owner?", "Name the date of the sale of {x}."], "date"),
                     (["{x} stands in {city}", "{x} is stored in {city}", "the place of {x} is {city}", "find {x} in {city}", "{x} is kept in {city}",
                       "the store with {x} is in {city}", "a warehouse in {city} holds {x}", "{city} is the place where {x} is kept", "{x} waits in {city}",
                       "{x} lies on a shelf in {city}", "at the moment {x} is in {city}", "in {city} you can find {x}", "{x} can be picked up in {city}",
                       "the location of {x} is {city}", "for now {x} has been put in {city}"],
                      ["Where is {x}?", "In which city is {x}?", "What is the place of {x}?", "Where is {x} stored?", "In what city is {x}?",
                       "Where is {x} kept?", "What is the location of {x}?", "Where can I find {x}?", "In which town is {x} kept?",
                       "In which place is {x} stored?", "Where does {x} stand?", "Where can {x} be picked up?", "What town is {x} in?",
                       "Tell me where {x} is.", "Which city holds {x}?"], "city"),
                     (["its number is {order}", "{x} has number {order}", "the number of {x} is {order}", "{x} carries the number {order}", "{x} has the number {order}",
                       "{order} is the number of {x}", "{x} is listed under number {order}", "under the number {order} you find {x}",
                       "{x} was given the number {order}", "the label of {x} bears the number {order}", "the catalogue lists {x} as number {order}",
                       "{x} goes by the number {order}", "to order {x}, quote {order}", "{order} is printed on {x} as a number",
                       "the reference number of {x} reads {order}"],
                      ["What is the number of {x}?", "Which number has {x}?", "What number does {x} have?", "Which number does {x} carry?", "What number has {x}?",
                       "Under which number is {x} listed?", "What number was {x} given?", "Which number stands on {x}?", "Tell me the number of {x}.",
                       "How is {x} numbered?", "By what number can I find {x}?", "What is the reference number of {x}?", "Which number belongs to {x}?",
                       "What number does the label of {x} bear?", "Under what number is {x} found?"], "order")]
        else:
            f["x"] = f["host"]
            facts = [(["{x} runs version {version}", "version {version} is on {x}", "{x} has version {version}", "the version of {x} is {version}", "{x} is at version {version}",
                       "{version} is the version of {x}", "the software on {x} is version {version}", "{x} uses release {version}",
                       "on {x} you find version {version}", "{x} was brought to version {version}", "the release on {x} is {version}",
                       "after the update {x} shows version {version}", "someone put version {version} on {x}", "at present {x} works with version {version}",
                       "the software release of {x} reads {version}"],
                      ["Which version does {x} run?", "What version is on {x}?", "Which version has {x}?", "What is the version of {x}?", "What version does {x} have?",
                       "What release is on {x}?", "Which release does {x} use?", "What software version has {x}?", "Tell me the version of {x}.",
                       "At which version is {x}?", "Which version is installed on {x}?", "To what version was {x} brought?", "What version do I find on {x}?",
                       "With which version does {x} work?", "Name the version that runs on {x}."], "version"),
                     (["{x} belongs to the {team}", "the {team} owns {x}", "the owner of {x} is the {team}", "{x} is run by the {team}", "{x} is in the hands of the {team}",
                       "the {team} is the owner of {x}", "the {team} looks after {x}", "{x} is owned by the {team}", "responsible for {x} is the {team}",
                       "the {team} takes care of {x}", "{x} is a machine of the {team}", "questions about {x} go to the {team}", "the {team} maintains {x}",
                       "{x} is managed by the {team}", "if {x} breaks, call the {team}"],
                      ["Which team owns {x}?", "Who owns {x}?", "To which team does {x} belong?", "Who runs {x}?", "What team does {x} belong to?",
                       "Who looks after {x}?", "Which team is responsible for {x}?", "Who takes care of {x}?", "By whom is {x} managed?",
                       "Who is the owner of {x}?", "Which team runs {x}?", "Who maintains {x}?", "Tell me the team that owns {x}.", "Whom do I ask about {x}?",
                       "In whose hands is {x}?"], "team"),
                     (["{x} is in {city}", "{x} stands in {city}", "the site of {x} is {city}", "{x} is hosted in {city}", "{x} is located in {city}",
                       "the location of {x} is {city}", "{city} is the site of {x}", "a data center in {city} houses {x}", "{x} sits in a rack in {city}",
                       "the rack with {x} is in {city}", "{x} is operated from {city}", "physically {x} can be found in {city}",
                       "the hosting of {x} takes place in {city}", "in {city} is the room with {x}", "our site in {city} is the home of {x}"],
                      ["Where is {x}?", "In which city is {x}?", "What is the site of {x}?", "Where is {x} hosted?", "In what city is {x}?",
                       "What is the location of {x}?", "At which site is {x}?", "Where can I find {x}?", "In which town is {x} hosted?",
                       "Where does {x} stand?", "Where is {x} located?", "Tell me the site of {x}.", "Which city houses {x}?", "In what place is {x}?",
                       "Name the city where {x} is."], "city"),
                     (["{x} was installed on {date}", "on {date} {x} was set up", "{x} is in use since {date}", "the setup of {x} was on {date}", "{x} was put in place on {date}",
                       "the installation of {x} took place on {date}", "{x} has been running since {date}", "{x} went live on {date}",
                       "since {date} {x} is in operation", "someone installed {x} on {date}", "{x} started work on {date}",
                       "{date} was the day of the setup of {x}", "the first day of {x} in service was {date}", "{x} came into service on {date}",
                       "the installation date of {x} is {date}"],
                      ["When was {x} installed?", "On which date was {x} set up?", "Since when is {x} in use?", "On what date was {x} installed?", "What date was {x} set up on?",
                       "When was {x} set up?", "When did {x} go live?", "When did {x} come into service?", "On which day was {x} installed?",
                       "What is the installation date of {x}?", "Tell me the date when {x} was installed.", "Since which date has {x} been running?",
                       "When was the setup of {x}?", "From what date on is {x} in use?", "On what day was {x} put in place?"], "date")]
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
