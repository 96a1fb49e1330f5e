#!/usr/bin/python3
"""Writes the held-out cases, one file for COPY (default build/eval/cases.tsv).

Columns: task, id, part, input, labels, expected, must, allowed.  An answer is
right if it equals expected, where that is given; else if all regular
expressions of must match and each of its words is in allowed, where that is
given.  Texts, names, questions and sets of labels are those of the generator's
held-out split (models/data/grammar.py), with a seed of its own.
"""
import argparse
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "models", "data"))

import mixture
import pgqa
import tasks
import texts
from grammar import HELD, seeded, words

STOP = set("""a an the is are was were be been of to in on at for with and or not no that it its this as by from has have
    had will do does did so only other now than once""".split())
FRAME = "says wants and the a an".split()
NEGATIONS = {"no", "not"}       # which only a record that has them allows


def classify_case(rng):
    """A text and labels, at least one of which training never had as a label."""
    while True:
        r = rng.random()
        if r < 0.8:
            rec = mixture.any_text(rng, HELD)
            if rec.family == "review":
                if "product" not in rec.slots and "thing" not in rec.slots:
                    continue
                labels = tasks.category_labels(rec, rng, HELD)
            else:
                labels = tasks.topic_labels(rec, rng, HELD)
        elif r < 0.9:
            rec = texts.support_text(rng, HELD)
            labels = tasks.intent_labels(rec, rng, HELD)
        else:
            rec = mixture.any_text(rng, HELD)
            if not rec.group:
                continue
            labels = tasks.group_labels(rec, rng, HELD)
        if not labels or not 3 <= len(labels[0]) <= 8 or not any(mixture.plain(x) in mixture.HELD_NAMES for x in labels[0]):
            continue
        part = "right label unseen" if mixture.plain(labels[1]) in mixture.HELD_NAMES else "right label seen"
        return dict(part=part, input=rec.text, labels=labels[0], expected=labels[1])


def sentiment_case(rng):
    rec, three = mixture.sentiment_text(rng, HELD)
    labels, right = tasks.sentiment_labels(rec, rng, HELD, three)
    return dict(part="%d labels" % len(labels), input=rec.text, labels=labels, expected=right)


def pattern(word):
    """A regular expression for a word and its forms."""
    word = word.lower()
    stem = word[:-1] if len(word) > 4 and word.endswith(("e", "s")) else word
    return r"\m" + re.sub(r"([^a-z0-9])", r"\\\1", stem)


def summary_case(rng):
    while True:
        rec = mixture.any_text(rng, HELD, full=True)
        if not rec.who or not rec.what or not rec.want:
            continue
        facts = [w for w in words(rec.what) + words(rec.want) if w.lower() not in STOP]
        must = [re.sub(r"([^A-Za-z0-9 ])", r"\\\1", rec.who.lower())] + [pattern(w) for w in facts]
        allowed = sorted({w.lower() for w in words(rec.text) + words(tasks.summary_of(rec)) + FRAME} | STOP - NEGATIONS)
        return dict(part=rec.family, input=rec.text, must=must, allowed=allowed)


def qa_case(rng):
    while True:
        rec = texts.fact_text(rng, HELD) if rng.random() < 0.4 else \
            texts.meeting_text(rng, HELD) if rng.random() < 0.3 else mixture.any_text(rng, HELD)
        pairs = tasks.questions(rec, rng, HELD)
        if pairs:
            q, a = rng.choice(pairs)
            return dict(part=rec.kind, input="Text:\n%s\n\nQuestion: %s" % (rec.text, q), expected=a)


def extract_case(rng):
    while True:
        field = rng.choice(["order", "date", "product", "order", "date", "product", "who", "amount"])
        rec = texts.support_text(rng, HELD) if rng.random() < 0.6 else mixture.any_text(rng, HELD)
        fields = [f for f in tasks.askable(rec) if f == field or (field, f) == ("date", "anydate")]
        if fields:
            name = tasks.field_name(fields[0], rng, HELD)
            return dict(part=field, input="Extract the %s from the text.\n\nText:\n%s" % (name, rec.text),
                        expected=tasks.value(rec, fields[0]))


def embed_case(rng):
    while True:
        rec = mixture.any_text(rng, HELD)
        if rec.topic:
            return dict(part=rec.family, input=rec.text, expected=rec.topic)


def postgres_case(rng, facts):
    fact = facts.pop()
    return dict(part="what" if fact.kind == "W" else "how", input=pgqa.question(fact, rng, HELD),
                must=["|".join(re.sub(r"([^A-Za-z0-9 |])", r"\\\1", k.lower()) for k in fact.keywords)])


def array(values):
    if values is None:
        return "\\N"
    return copy_text("{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + "}")


def copy_text(value):
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "eval", "cases.tsv"))
    parser.add_argument("--cases", type=int, default=500, help="cases of each task")
    parser.add_argument("--seed", default="held-out 1")
    args = parser.parse_args()
    os.makedirs(os.path.dirname(os.path.abspath(args.out)), exist_ok=True)
    makers = [("classify", classify_case), ("sentiment", sentiment_case), ("summary", summary_case), ("question", qa_case),
              ("field", extract_case), ("embed", embed_case), ("postgres", None)]
    with open(args.out, "w", encoding="utf-8") as out:
        for task, make in makers:
            rng = seeded(args.seed, task)
            n = args.cases
            if task == "postgres":
                n = min(50, n)
                facts = list(pgqa.FACTS)
                rng.shuffle(facts)
                make = lambda rng: postgres_case(rng, facts)
            seen = set()
            while len(seen) < n:
                case = make(rng)
                if case["input"] in seen:
                    continue
                seen.add(case["input"])
                out.write("\t".join([task, str(len(seen)), copy_text(case["part"]), copy_text(case["input"]), array(case.get("labels")),
                                     copy_text(case.get("expected")), array(case.get("must")), array(case.get("allowed"))]) + "\n")


if __name__ == "__main__":
    main()
