#!/usr/bin/env python3
"""
Plain float64 forward pass of BitNet b1.58 models: the reference of the tests.

Written from the published definition of the model (arXiv 2504.12285 and the
modeling code in Hugging Face transformers) and of the GGUF container, without
a look at the engine: slow, short and independent.  Needs numpy.

    forward.py MODEL.gguf --tokens 1,2,3 [--top N] [--greedy N] [--score N]
               [--embed] [--logits FILE]

What is computed as the engine's definition says, and not in float64 alone:
activations are rounded to int8 per token before every ternary product (from
float32), and keys and values pass through half floats (--kv f64: not).

test/reference/forward.py
"""
import argparse
import struct

import numpy as np

# ---------------------------------------------------------------- container

_SCALAR = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
_STRING, _ARRAY = 8, 9

F32, F16, Q4_0, Q8_0, Q6_K, BF16, I2_S = 0, 1, 2, 8, 14, 30, 36

# type: (values per block, bytes per block)
_BLOCK = {F32: (1, 4), F16: (1, 2), BF16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34), Q6_K: (256, 210)}


class Reader:
    """Little-endian values from a bytes object, in order."""

    def __init__(self, data):
        self.data = data
        self.pos = 0

    def scalar(self, fmt):
        value = struct.unpack_from('<' + fmt, self.data, self.pos)[0]
        self.pos += struct.calcsize('<' + fmt)
        return value

    def string(self):
        length = self.scalar('Q')
        value = self.data[self.pos:self.pos + length]
        assert len(value) == length
        self.pos += length
        return value

    def value(self, kind):
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            item = self.scalar('I')
            return [self.value(item) for _ in range(self.scalar('Q'))]
        return self.scalar(_SCALAR[kind])


class Gguf:
    """Metadata (name: value, strings as bytes) and tensors of a model file."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = f.read()
        r = Reader(self.data)
        assert r.data[:4] == b'GGUF', 'not a GGUF file'
        r.pos = 4
        assert r.scalar('I') in (2, 3)
        n_tensors, n_keys = r.scalar('Q'), r.scalar('Q')
        self.meta = {}
        for _ in range(n_keys):
            key = r.string().decode()
            self.meta[key] = r.value(r.scalar('I'))
        self.infos = {}
        for _ in range(n_tensors):
            name = r.string().decode()
            dims = [r.scalar('Q') for _ in range(r.scalar('I'))]
            self.infos[name] = (dims, r.scalar('I'), r.scalar('Q'))
        align = self.meta.get('general.alignment', 32)
        self.start = (r.pos + align - 1) // align * align

    def tensor(self, name):
        """(float64 or int8 array [rows, cols], scale); a vector has one row."""
        dims, kind, offset = self.infos[name]
        cols = dims[0]
        rows = int(np.prod(dims[1:])) if len(dims) > 1 else 1
        n = cols * rows
        if kind == I2_S:
            size = n // 4 + 32
        else:
            per_block, block_bytes = _BLOCK[kind]
            assert cols % per_block == 0
            size = n // per_block * block_bytes
        raw = np.frombuffer(self.data, np.uint8, size, self.start + offset)
        if kind == I2_S:
            return i2_s(raw, n).reshape(rows, cols), float(raw[n // 4:n // 4 + 4].view('<f4')[0])
        return _DEQUANTIZE[kind](raw).reshape(rows, cols), 1.0


# ------------------------------------------------------------- tensor types

def i2_s(raw, n):
    """Flat blocks of 128 values in 32 bytes; value j in byte j % 32, bits 6 - 2 (j / 32)."""
    payload = raw[:n // 4].reshape(-1, 1, 32)
    shift = np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1)
    code = (payload >> shift) & 3
    assert code.max() <= 2, 'code 3 in I2_S'
    return code.astype(np.int8).reshape(n) - 1


def q4_0(raw):
    block = raw.reshape(-1, 18)
    d = block[:, :2].copy().view('<f2').astype(np.float64)
    low, high = block[:, 2:] & 15, block[:, 2:] >> 4
    return d * (np.concatenate([low, high], axis=1).astype(np.float64) - 8)


def q8_0(raw):
    block = raw.reshape(-1, 34)
    d = block[:, :2].copy().view('<f2').astype(np.float64)
    return d * block[:, 2:].copy().view(np.int8).astype(np.float64)


def q6_k(raw):
    """256 values: low 4 bits, high 2 bits, a scale for each 16 values, and d."""
    block = raw.reshape(-1, 210)
    n = len(block)
    scales = block[:, 192:208].copy().view(np.int8).astype(np.float64)
    d = block[:, 208:210].copy().view('<f2').astype(np.float64)
    q = np.zeros((n, 256))
    for half in range(2):
        low = block[:, 64 * half:64 * half + 64]
        high = block[:, 128 + 32 * half:160 + 32 * half]
        for quarter in range(4):
            nibble = low[:, 32 * (quarter % 2):32 * (quarter % 2) + 32] >> (4 * (quarter // 2)) & 15
            top = high >> (2 * quarter) & 3
            at = 128 * half + 32 * quarter
            q[:, at:at + 32] = (nibble | top << 4).astype(np.float64) - 32
    return d * np.repeat(scales, 16, axis=1) * q


def bf16(raw):
    return (raw.view('<u2').astype(np.uint32) << 16).view(np.float32).astype(np.float64)


_DEQUANTIZE = {
    F32: lambda raw: raw.view('<f4').astype(np.float64),
    F16: lambda raw: raw.view('<f2').astype(np.float64),
    BF16: bf16, Q4_0: q4_0, Q8_0: q8_0, Q6_K: q6_k,
}


# -------------------------------------------------------------------- model

def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def bit_linear(x, weight):
    """
    weight (W, scale); x [tokens, cols] is rounded to int8 for each token.

    The rounding is a step function, so its input is rounded to float32 first,
    and the scale is a float32, as in every implementation of the model.
    """
    matrix, scale = weight
    x = x.astype(np.float32)
    s = np.float32(127) / np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(1e-5))
    q = np.clip(np.rint(x * s), -128, 127)      # rint: half to even
    return q.astype(np.float64) @ matrix.T.astype(np.float64) / s * scale


class Model:
    """run() appends tokens to the context and gives their final hidden states."""

    def __init__(self, path, kv='f16'):
        g = Gguf(path)
        arch = g.meta['general.architecture'].decode()
        assert arch in ('bitnet-b1.58', 'bitnet-25'), arch

        def get(key, default=None):
            return g.meta.get(arch + '.' + key, default)

        self.meta = g.meta
        self.n_layers = get('block_count')
        self.n_heads = get('attention.head_count')
        self.n_kv = get('attention.head_count_kv', self.n_heads)
        self.d_model = get('embedding_length')
        self.head_dim = get('attention.key_length', get('rope.dimension_count', self.d_model // self.n_heads))
        self.eps = float(np.float32(get('attention.layer_norm_rms_epsilon')))
        self.theta = float(get('rope.freq_base', 10000.0))
        self.kv = kv
        self.embd = g.tensor('token_embd.weight')[0]
        self.head = g.tensor('output.weight')[0] if 'output.weight' in g.infos else self.embd
        self.output_norm = g.tensor('output_norm.weight')[0]
        self.layers = []
        for i in range(self.n_layers):
            prefix = 'blk.%d.' % i
            self.layers.append({name[len(prefix):-len('.weight')]: g.tensor(name)
                                for name in g.infos if name.startswith(prefix)})
        self.reset()

    def reset(self):
        self.keys = [np.zeros((0, self.n_kv, self.head_dim)) for _ in self.layers]
        self.values = [np.zeros((0, self.n_kv, self.head_dim)) for _ in self.layers]

    def fork(self):
        """Saves the context; give the result to restore()."""
        return list(self.keys), list(self.values)

    def restore(self, saved):
        self.keys, self.values = list(saved[0]), list(saved[1])

    def rope(self, x, positions):
        """Pairs (i, i + head_dim / 2) turned by position * theta^(-2 i / head_dim)."""
        half = self.head_dim // 2
        angle = positions[:, None] * self.theta ** (-np.arange(half) * 2.0 / self.head_dim)
        cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    def stored(self, x):
        return x.astype(np.float16).astype(np.float64) if self.kv == 'f16' else x

    def attention(self, n, layer, q, k, v):
        start = len(self.keys[layer])
        self.keys[layer] = np.concatenate([self.keys[layer], self.stored(k)])
        self.values[layer] = np.concatenate([self.values[layer], self.stored(v)])
        group = self.n_heads // self.n_kv
        keys = np.repeat(self.keys[layer], group, axis=1)
        values = np.repeat(self.values[layer], group, axis=1)
        score = np.einsum('qhd,khd->hqk', q, keys) / np.sqrt(self.head_dim)
        future = np.arange(start + n)[None, :] > (start + np.arange(n))[:, None]
        score = np.where(future[None], -np.inf, score)
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        return np.einsum('hqk,khd->qhd', weight, values).reshape(n, -1)

    def run(self, tokens):
        """Hidden states [len(tokens), d_model] after the output norm."""
        n = len(tokens)
        positions = len(self.keys[0]) + np.arange(n)
        x = self.embd[np.asarray(tokens)]
        for i, w in enumerate(self.layers):
            a = rms_norm(x, w['attn_norm'][0], self.eps)
            q = bit_linear(a, w['attn_q']).reshape(n, self.n_heads, self.head_dim)
            k = bit_linear(a, w['attn_k']).reshape(n, self.n_kv, self.head_dim)
            v = bit_linear(a, w['attn_v']).reshape(n, self.n_kv, self.head_dim)
            o = self.attention(n, i, self.rope(q, positions), self.rope(k, positions), v)
            x = x + bit_linear(rms_norm(o, w['attn_sub_norm'][0], self.eps), w['attn_output'])
            f = rms_norm(x, w['ffn_norm'][0], self.eps)
            gate = np.maximum(bit_linear(f, w['ffn_gate']), 0.0)
            h = gate * gate * bit_linear(f, w['ffn_up'])
            x = x + bit_linear(rms_norm(h, w['ffn_sub_norm'][0], self.eps), w['ffn_down'])
        return rms_norm(x, self.output_norm, self.eps)

    def logits(self, hidden):
        return hidden @ self.head.T


def log_softmax(logits):
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def score(model, tokens, n_context):
    """(log-probability, is_greedy) of tokens[n_context:] after tokens[:n_context]."""
    model.reset()
    logits = model.logits(model.run(tokens))[n_context - 1:-1]
    wanted = np.asarray(tokens[n_context:])
    total = log_softmax(logits)[np.arange(len(wanted)), wanted].sum()
    return float(total), bool((logits.argmax(axis=-1) == wanted).all())


def embedding(model, tokens):
    """Mean over the tokens of the hidden states, of length 1."""
    model.reset()
    mean = model.run(tokens).mean(axis=0)
    return mean / np.sqrt((mean * mean).sum())


def greedy(model, tokens, n):
    """n tokens, each with its lead over the second best in standard deviations."""
    model.reset()
    logits = model.logits(model.run(tokens)[-1])
    out, gaps = [], []
    for i in range(n):
        order = np.argsort(-logits, kind='stable')
        out.append(int(order[0]))
        gaps.append(float((logits[order[0]] - logits[order[1]]) / logits.std()))
        if i + 1 < n:
            logits = model.logits(model.run(out[-1:])[-1])
    return out, gaps


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    p.add_argument('model')
    p.add_argument('--tokens', required=True, help='token ids, separated by commas; or @FILE')
    p.add_argument('--kv', choices=['f16', 'f64'], default='f16', help='precision of keys and values')
    p.add_argument('--top', type=int, default=10, metavar='N', help='print the N largest logits')
    p.add_argument('--greedy', type=int, default=0, metavar='N', help='continue with N tokens')
    p.add_argument('--score', type=int, default=0, metavar='N',
                   help='log-probability of all but the first N tokens')
    p.add_argument('--embed', action='store_true', help='print the embedding')
    p.add_argument('--logits', metavar='FILE', help='write the logits after the last token as float32')
    a = p.parse_args()
    text = open(a.tokens[1:]).read() if a.tokens.startswith('@') else a.tokens
    tokens = [int(t) for t in text.replace(',', ' ').split()]
    model = Model(a.model, a.kv)
    logits = model.logits(model.run(tokens)[-1])
    print('std %.7g' % logits.std())
    print('top', ' '.join('%d:%.6f' % (t, logits[t]) for t in np.argsort(-logits, kind='stable')[:a.top]))
    if a.logits:
        logits.astype('<f4').tofile(a.logits)
    if a.greedy:
        out, gaps = greedy(model, tokens, a.greedy)
        print('greedy', *out)
        print('gaps', *('%.4f' % g for g in gaps))
    if a.score:
        print('logprob %.9g greedy %s' % score(model, tokens, a.score))
    if a.embed:
        print('embedding', *('%.7g' % v for v in embedding(model, tokens)))


if __name__ == '__main__':
    main()
