"""Plain questions about PostgreSQL, in many phrasings."""
import os

from grammar import TRAIN, expand, pick
from ontology import HERE

ASK_WHAT = [
    "What is {x}?", "What is {x} in PostgreSQL?", "Explain {x}.", "Tell me [about|what is] {x}.", "What does {x} mean?",
    "What's {x}?", "[Please explain|Describe] {x}.", "What [exactly|] is {x} in [Postgres|a database]?", "I want to know what {x} is.", "Can you explain {x} to me?",
    "what is {x}", "Define {x}.", "In PostgreSQL, what is {x}?", "[Give|I need] a short explanation of {x}.", "What [should I know|do you know] about {x}?",
    "What is the meaning of {x}?", "{x}?", "How would you [explain|describe] {x}?", "Could you tell me what {x} is?", "Help me understand {x}.",
    "What is {x} [good|used] for?", "What is the purpose of {x}?", "Why is there {x}?", "What does {x} do?", "What is the use of {x} in PostgreSQL?"]
ASK_HOW = [
    "How do I {y}?", "How can I {y} in PostgreSQL?", "How to {y}?", "Which command lets me {y}?", "With what can I {y}?",
    "What [is the command|do I use] to {y}?", "I want to {y}.", "Tell me how to {y}.", "How [do|can] you {y} in [Postgres|SQL]?", "Is there a way to {y}?",
    "how do i {y}", "I need to {y}. How?", "In PostgreSQL, how do I {y}?", "What should I use to {y}?", "Please show me how to {y}.",
    "What [can|must] I do to {y}?", "How does one {y}?", "[Explain|Say] how to {y}.", "I would like to {y}, how?", "What would you use to {y} in PostgreSQL?"]


class Fact:
    def __init__(self, kind, names, answer, keywords):
        self.kind, self.names, self.answer, self.keywords = kind, names, answer, keywords


def load():
    facts = []
    for line in open(os.path.join(HERE, "postgresql.txt"), encoding="utf-8"):
        line = line.strip()
        if not line or line[0] == "#":
            continue
        names, answer, keywords = line[2:].split(" = ")
        facts.append(Fact(line[0], [x.strip() for x in names.split(" | ")], answer.strip(),
                          [k.strip() for k in keywords.split("|")]))
    return facts


FACTS = load()


def question(fact, rng, split):
    if fact.kind == "W":
        return expand(pick(ASK_WHAT, rng, split), rng, {"x": rng.choice(fact.names)})
    if split == TRAIN:
        name = rng.choice(fact.names[:3])
    else:
        name = rng.choice(fact.names[3:] if rng.random() < 0.5 else fact.names[:3])
    return expand(pick(ASK_HOW, rng, split), rng, {"y": name})


def pg_task(rng, split):
    fact = rng.choice(FACTS)
    q = question(fact, rng, split)
    if rng.random() < 0.1:
        q = rng.choice(["Question: ", "Hi. ", "Hello, "]) + q
    if rng.random() < 0.1:
        q = q.lower()
    return q, fact.answer
