#!/usr/bin/env python3
"""
Makes the golden files under test/golden from the float64 reference.

    make_golden.py [--make-model build/make_model] [--out test/golden]

A golden file holds the options with which make_model writes a small model, a
checksum of that file, and what the model must answer to some prompts.  The
model itself is not kept: the same options give the same bytes everywhere.
Run this again when make_model or the list below changes.  The format is
described in test/unit/golden.h.

test/reference/make_golden.py
"""
import argparse
import os
import subprocess
import tempfile

import numpy as np

import forward

# Each shape reaches something that the others do not.
MODELS = {
    # grouped queries, tied half-precision head: the published form, small
    'gqa': '--layers 2 --hidden 256 --ffn 512 --heads 4 --kv 2 --vocab 512 --ctx 512 --seed 1',
    # one KV head, narrow heads, other theta and eps, the first upload's
    # architecture with a head of its own, unpacked linear layers
    'narrow': '--layers 3 --hidden 128 --ffn 384 --heads 4 --kv 1 --vocab 400 --ctx 256 --seed 2 '
              '--theta 10000 --eps 0.001 --arch bitnet-25 --type f32 --embd q4_0 --output f32',
    # heads as wide as in 2B4T, as many KV heads as heads
    'wide': '--layers 2 --hidden 384 --ffn 1152 --heads 3 --kv 3 --vocab 480 --ctx 256 --seed 3 '
            '--embd bf16 --output q8_0',
    # six-bit embedding that is also the head, half-precision linear layers
    'sixbit': '--layers 2 --hidden 256 --ffn 768 --heads 8 --kv 2 --vocab 448 --ctx 256 --seed 4 '
              '--embd q6_k --type f16',
    # rows that are no multiple of an I2_S block, an odd vocabulary
    'odd': '--layers 2 --hidden 160 --ffn 352 --heads 5 --kv 1 --vocab 333 --ctx 256 --seed 5 '
           '--embd f32',
}

PROMPT_LENGTHS = [1, 2, 31, 33, 150]
N_DRAWS = 12            # random prompts to choose from
N_GREEDY = 16
SMALL_GAP = 0.15        # of the standard deviation: below, either token may win


def checksum(data):
    """FNV-1a, 64 bits."""
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return h


def numbers(values):
    return ' '.join('%.7g' % v for v in values)


def scored(model, tokens, n_context):
    """(log-probability, 1: greedy, 0: not, -1: too close to say)."""
    model.reset()
    logits = model.logits(model.run(tokens))[n_context - 1:-1]
    wanted = np.asarray(tokens[n_context:])
    total = forward.log_softmax(logits)[np.arange(len(wanted)), wanted].sum()
    lead = []
    for row, token in zip(logits, wanted):
        others = np.delete(row, token)
        lead.append((row[token] - others.max()) / row.std())
    if min(lead) < -SMALL_GAP:
        return total, 0
    return total, 1 if min(lead) > SMALL_GAP else -1


def n_sure(gaps):
    """How many tokens of a greedy continuation any exact engine must give."""
    return next((i for i, gap in enumerate(gaps) if gap <= SMALL_GAP), len(gaps))


def greedy(model, prompt, stops):
    """Tokens before a stop token, and the gaps up to and including it."""
    tokens, gaps = forward.greedy(model, prompt, N_GREEDY)
    stop = next((i for i, t in enumerate(tokens) if t in stops), N_GREEDY)
    return tokens[:stop], gaps[:stop + 1]


def draw_prompt(model, length, bos, stops, random):
    """Of some random prompts, the one with the longest sure continuation."""
    draws = [[bos] + [int(t) for t in random.randint(0, len(model.embd), length - 1)]
             for _ in range(N_DRAWS if length > 1 else 1)]
    return max(draws, key=lambda prompt: n_sure(greedy(model, prompt, stops)[1]))


def write_case(out, model, prompt, stops):
    model.reset()
    logits = model.logits(model.run(prompt)[-1])
    tokens, gaps = greedy(model, prompt, stops)
    sure = min(n_sure(gaps), len(tokens))
    out.write('prompt %d %s\n' % (len(prompt), ' '.join(map(str, prompt))))
    out.write('std %.9g\n' % logits.std())
    out.write('logits %d %s\n' % (len(logits), numbers(logits)))
    out.write('greedy %d %s\n' % (len(tokens), ' '.join(map(str, tokens))))
    out.write('gaps %d %s\n' % (len(gaps), numbers(gaps)))
    if len(prompt) > 1:
        n_context = (len(prompt) + 1) // 2
        out.write('score %d 0 %.10g %d\n' % (n_context, *scored(model, prompt, n_context)))
    if sure > 0:
        out.write('score %d %d %.10g %d\n' % (len(prompt), sure,
                                              *scored(model, prompt + tokens[:sure], len(prompt))))
    vector = forward.embedding(model, prompt)
    out.write('embedding %d %s\n' % (len(vector), numbers(vector)))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    p.add_argument('--make-model', default='build/make_model')
    p.add_argument('--out', default='test/golden')
    a = p.parse_args()
    for name, options in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, name + '.gguf')
            subprocess.run([a.make_model, *options.split(), path], check=True, stdout=subprocess.DEVNULL)
            with open(path, 'rb') as f:
                data = f.read()
            model = forward.Model(path)
        bos = model.meta['tokenizer.ggml.bos_token_id']
        stops = {model.meta['tokenizer.ggml.eos_token_id'],
                 model.meta['tokenizer.ggml.tokens'].index(b'<|eot_id|>')}
        random = np.random.RandomState(1)
        with open(os.path.join(a.out, name + '.golden'), 'w') as out:
            out.write('# test/reference/make_golden.py made this; test/unit/golden.h tells the format\n')
            out.write('model %s\n' % options)
            out.write('file %d %016x\n' % (len(data), checksum(data)))
            for length in PROMPT_LENGTHS:
                write_case(out, model, draw_prompt(model, length, bos, stops, random), stops)


if __name__ == '__main__':
    main()
