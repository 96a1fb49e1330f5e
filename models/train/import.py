#!/usr/bin/python3
"""Makes a checkpoint of a model's GGUF file, to train it further: import.py MODEL CHECKPOINT VOCAB

MODEL is a file that export.py made; the vocabulary in it is written to VOCAB.
The run that goes on from CHECKPOINT begins with fine-tuning.

The file holds ternary weights, training moves latent ones behind them.  Those
are drawn anew, within the values that give the same ternary weight and the
same scale, the mean of their size: the model is the same until the first step.
"""
import json
import os
import struct
import sys

import numpy as np

import checkpoint

SFT = 1                         # the second stage of trainer.c
SEED = 1
FORMATS = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}
STRING, ARRAY = 8, 9
F32, F16, I2_S = 0, 1, 36
ALIGNMENT = 32


class Reader:
    """The metadata and the tensors of a GGUF file."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = f.read()
        self.at = 4
        version, n_tensors, n_records = self.take("<IQQ")
        if self.bytes[:4] != b"GGUF" or version != 3:
            sys.exit("import.py: %s is not a GGUF file" % path)
        self.metadata = dict((self.string(), self.value(*self.take("<I"))) for _ in range(n_records))
        self.tensors = {}
        for _ in range(n_tensors):
            name = self.string()
            dims = self.take("<%dQ" % self.take("<I"))
            self.tensors[name] = (dims, *self.take("<IQ"))
        self.data = (self.at + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    def take(self, form):
        values = struct.unpack_from(form, self.bytes, self.at)
        self.at += struct.calcsize(form)
        return values

    def string(self):
        n, = self.take("<Q")
        self.at += n
        return self.bytes[self.at - n:self.at].decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, n = self.take("<IQ")
            return [self.value(kind) for _ in range(n)]
        return self.take(FORMATS[kind])[0]

    def tensor(self, name):
        """Values as float32, of a ternary one codes and scale."""
        dims, kind, offset = self.tensors[name + ".weight"]
        n = int(np.prod(dims))
        at = self.data + offset
        if kind in (F32, F16):
            return np.frombuffer(self.bytes, "<f4" if kind == F32 else "<f2", n, at).astype(np.float32)
        packed = np.frombuffer(self.bytes, np.uint8, n // 4, at).reshape(-1, 1, 32)
        codes = (packed >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1) & 3).astype(np.int8) - 1
        return codes.ravel(), struct.unpack_from("<f", self.bytes, at + n // 4)[0]


def latent(codes, scale, rng):
    """Weights that are quantised to these codes with this scale: |w| / scale is uniform below a half for 0, and a half
    and an exponential variable for others, of the mean that makes it 1 on the whole."""
    ones = np.count_nonzero(codes)
    size = rng.random(len(codes), np.float32) * 0.5
    tail = rng.exponential(1, ones)
    size[codes != 0] = 0.5 + tail * ((len(codes) - size[codes == 0].sum() - 0.5 * ones) / tail.sum())
    sign = np.where(codes != 0, codes, rng.integers(0, 2, len(codes)) * 2 - 1)
    return (size * sign * scale).astype(np.float32)


def parameters(gguf, layers):
    """In the order of model.c."""
    rng = np.random.default_rng(SEED)
    yield gguf.tensor("token_embd")
    for layer in range(layers):
        for name in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_sub_norm", "attn_output", "ffn_norm", "ffn_gate", "ffn_up",
                     "ffn_sub_norm", "ffn_down"):
            values = gguf.tensor("blk.%d.%s" % (layer, name))
            yield values if name.endswith("norm") else latent(*values, rng)
    yield gguf.tensor("output_norm")


def main(model_path, checkpoint_path, vocab_path):
    gguf = Reader(model_path)
    m = gguf.metadata

    def of(key):
        return m[m["general.architecture"] + "." + key]

    shape = [of(key) for key in ("vocab_size", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
                                 "attention.head_count_kv", "rope.dimension_count", "rope.freq_base",
                                 "attention.layer_norm_rms_epsilon")]
    flat = np.concatenate(list(parameters(gguf, of("block_count"))))
    with open(vocab_path + ".new", "w", encoding="utf-8") as f:
        json.dump({"tokens": m["tokenizer.ggml.tokens"], "types": m["tokenizer.ggml.token_type"], "merges": m["tokenizer.ggml.merges"],
                   "bos": m["tokenizer.ggml.bos_token_id"], "eos": m["tokenizer.ggml.eos_token_id"],
                   "eot": m["tokenizer.ggml.tokens"].index("<|eot_id|>")}, f)
    os.replace(vocab_path + ".new", vocab_path)
    checkpoint.write(checkpoint_path, shape, flat, SFT, SEED)
    print("%s: %.2f million parameters" % (checkpoint_path, len(flat) / 1e6))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
