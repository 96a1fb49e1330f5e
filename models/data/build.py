#!/usr/bin/python3
"""Makes everything that training needs, in one directory (default build/train).

    vocab.json                tokens, types, merges, bos, eos, eot
    pretrain.bin sft.bin      records: uint32 n, uint16 tokens[n], uint8 target[n]
    dpo.bin                   pairs of such records, chosen and rejected
    embed.bin                 pairs of texts on one topic; target[0] is its number
    valid_*.bin               the same of other seeds

All numbers are little-endian.  target[i] is 1 where predicting token i counts
in the loss.  The same seed gives the same bytes.
"""
import argparse
import os
import sys
import time
from collections import Counter

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import bpe
import lexicon
import mixture
import prose
import tasks
import word_practice
from grammar import TRAIN, seeded

MAX_TOKENS = 512


class Encoder:
    def __init__(self, vocab):
        self.vocab = vocab
        self.user = vocab.encode("User: ")
        self.head = vocab.encode("Assistant: ")

    def chat(self, turns):
        """Tokens and targets of a conversation; answers are the targets."""
        v = self.vocab
        tokens, target = [v.bos], [0]
        for question, answer in turns:
            part = v.encode("User: " + question.strip()) + [v.eot] + self.head
            tokens += part
            target += [0] * len(part)
            part = v.encode(answer) + [v.eot]
            tokens += part
            target += [1] * len(part)
        return tokens, target

    def plain(self, text):
        v = self.vocab
        tokens = [v.bos] + v.encode(text) + [v.eos]
        return tokens, [0] + [1] * (len(tokens) - 1)


class Output:
    def __init__(self, path):
        # It appears under its name when it is whole
        self.path, self.file = path, open(path + ".new", "wb")
        self.records = self.tokens = self.targets = 0

    def write(self, tokens, target):
        n = len(tokens)
        self.file.write(np.array([n], "<u4").tobytes() + np.array(tokens, "<u2").tobytes()
                        + np.array(target, "u1").tobytes())
        self.records += 1
        self.tokens += n
        self.targets += sum(target)

    def close(self):
        self.file.close()
        os.replace(self.path + ".new", self.path)
        print("%-24s %8d records %9d tokens %9d targets"
              % (os.path.basename(self.path), self.records, self.tokens, self.targets), flush=True)


def text_of(item):
    """An item of a mixture as plain text, for counting pieces."""
    if isinstance(item, str):
        return item
    return "\n".join("User: " + q + "\nAssistant: " + a for q, a in item)


def learn_vocab(seed, paragraphs, n):
    counts = Counter()
    rng = seeded(seed, "vocab")
    for p in paragraphs[:n]:
        counts.update(bpe.SPLIT.findall(p))
    for _ in range(n):
        for item in (mixture.sft(rng, TRAIN), mixture.pretrain_text(rng, TRAIN), word_practice.entry(rng)):
            counts.update(bpe.SPLIT.findall(text_of(item)))
    # An answer begins without the space that the same word has in the text.
    return bpe.Vocab(bpe.learn(counts))


def write_pretrain(enc, path, rng, n_tokens, paragraphs):
    """Prose, what words mean, and texts and tasks of the generator."""
    out = Output(path)
    prose_tokens = 0
    order = list(range(len(paragraphs)))
    rng.shuffle(order)
    while out.tokens < n_tokens:
        if order and prose_tokens < 0.2 * (out.tokens + 1):
            tokens, target = enc.plain(paragraphs[order.pop()])
            tokens, target = tokens[:MAX_TOKENS], target[:MAX_TOKENS]
            prose_tokens += len(tokens)
        elif rng.random() < 0.3:
            tokens, target = enc.plain(word_practice.entries(rng))
        elif rng.random() < 0.35:
            tokens, target = enc.plain(mixture.pretrain_text(rng, TRAIN))
        else:
            tokens, target = enc.chat(mixture.sft(rng, TRAIN))
            target = [0] + [1] * (len(tokens) - 1)
        if len(tokens) <= MAX_TOKENS:
            out.write(tokens, target)
    out.close()


def write_sft(enc, path, rng, n_tokens):
    """Conversations, and here and there what words mean."""
    out = Output(path)
    while out.tokens < n_tokens:
        r = rng.random()
        if r < 0.11:
            tokens, target = enc.plain(mixture.meanings(rng) if r < 0.08 else word_practice.entries(rng))
        else:
            tokens, target = enc.chat(mixture.sft(rng, TRAIN))
        if len(tokens) <= MAX_TOKENS:
            out.write(tokens, target)
    out.close()


def write_dpo(enc, path, rng, n_pairs):
    out = Output(path)
    while out.records < 2 * n_pairs:
        pair = mixture.preference(rng, TRAIN)
        if pair is None:
            continue
        question, chosen, rejected = pair
        a, b = enc.chat([(question, chosen)]), enc.chat([(question, rejected)])
        if max(len(a[0]), len(b[0])) <= MAX_TOKENS:
            out.write(*a)
            out.write(*b)
    out.close()


def write_embed(enc, path, rng, n_tokens):
    out = Output(path)
    while out.tokens < n_tokens:
        pair, topic = mixture.embedding_pair(rng, TRAIN)
        encoded = [[enc.vocab.bos] + enc.vocab.encode(text) for text in pair]
        if max(len(tokens) for tokens in encoded) <= MAX_TOKENS:
            for tokens in encoded:
                out.write(tokens, [topic] + [0] * (len(tokens) - 1))
    out.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "train"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pretrain", type=int, default=12000000, help="tokens of pretrain.bin")
    parser.add_argument("--sft", type=int, default=32000000, help="tokens of sft.bin")
    parser.add_argument("--embed", type=int, default=8000000, help="tokens of embed.bin")
    parser.add_argument("--dpo", type=int, default=10000, help="pairs of dpo.bin")
    parser.add_argument("--vocab", help="a vocab.json to use instead of learning one")
    parser.add_argument("--vocab-texts", type=int, default=20000)
    parser.add_argument("--parts", default="valid,embed,dpo,sft,pretrain", help="what to make, beside the vocabulary (%(default)s)")
    args = parser.parse_args()
    start = time.time()
    tasks.check_prompts(ROOT)
    os.makedirs(args.out, exist_ok=True)
    paragraphs = prose.paragraphs()
    held = paragraphs[::100]
    paragraphs = [p for i, p in enumerate(paragraphs) if i % 100]
    print("%d paragraphs of prose, %.0f s" % (len(paragraphs), time.time() - start), flush=True)
    if args.vocab:
        vocab = bpe.Vocab.load(args.vocab)
    else:
        vocab = learn_vocab(args.seed, paragraphs, args.vocab_texts)
    vocab.save(os.path.join(args.out, "vocab.json"))
    print("vocabulary of %d tokens, %.0f s" % (len(vocab.tokens), time.time() - start), flush=True)
    enc = Encoder(vocab)
    lexicon.use_vocabulary(x.lstrip(bpe.SPACE) for x in vocab.tokens)

    def make(name, write, *rest):
        write(enc, os.path.join(args.out, name + ".bin"), seeded(args.seed, name), *rest)

    makers = {
        "valid": lambda: (make("valid_pretrain", write_pretrain, 60000, held), make("valid_sft", write_sft, 100000),
                          make("valid_dpo", write_dpo, 200), make("valid_embed", write_embed, 60000)),
        "embed": lambda: make("embed", write_embed, args.embed),
        "dpo": lambda: make("dpo", write_dpo, args.dpo),
        "sft": lambda: make("sft", write_sft, args.sft),
        "pretrain": lambda: make("pretrain", write_pretrain, args.pretrain, paragraphs),
    }
    for part in args.parts.split(","):
        makers[part]()
    print("%.0f s" % (time.time() - start))


if __name__ == "__main__":
    main()
