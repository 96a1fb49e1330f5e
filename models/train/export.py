#!/usr/bin/env python3
"""Makes the GGUF file of a trained model: export.py TENSORS VOCAB OUTPUT

TENSORS is what `trainer --export` wrote, VOCAB the vocabulary as JSON.  The
result has the keys, tensor names, types and order of the published BitNet
b1.58 2B4T file, and the licence besides.
"""
import json
import os
import struct
import sys

ARCHITECTURE = "bitnet-b1.58"
NAME = "bitnet default"
LICENSE = "PostgreSQL"
CONTEXT = 2048
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ message['role'].capitalize() + ': ' + message['content'] + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FILE_TYPE_I2_S = 40
ALIGNMENT = 32


def string(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def array(kind, n, payload):
    return struct.pack("<IQ", kind, n) + payload


def metadata(config, vocab):
    """The key-value records, in the published order."""
    (size, dim, layers, ffn, heads, kv_heads, head_dim, _, theta, eps) = config
    tokens, types, merges = vocab["tokens"], vocab["types"], vocab["merges"]
    if len(tokens) != size or len(types) != size:
        sys.exit("export.py: the vocabulary has %d tokens, the model %d" % (len(tokens), size))
    records = []

    def put(key, kind, payload):
        records.append(string(key) + struct.pack("<I", kind) + payload)

    def u32(key, value):
        put(key, U32, struct.pack("<I", value))

    def f32(key, value):
        put(key, F32, struct.pack("<f", value))

    def text(key, value):
        put(key, STRING, string(value))

    text("general.architecture", ARCHITECTURE)
    text("general.name", NAME)
    u32(ARCHITECTURE + ".vocab_size", size)
    u32(ARCHITECTURE + ".context_length", CONTEXT)
    u32(ARCHITECTURE + ".embedding_length", dim)
    u32(ARCHITECTURE + ".block_count", layers)
    u32(ARCHITECTURE + ".feed_forward_length", ffn)
    u32(ARCHITECTURE + ".rope.dimension_count", head_dim)
    u32(ARCHITECTURE + ".attention.head_count", heads)
    u32(ARCHITECTURE + ".attention.head_count_kv", kv_heads)
    put("tokenizer.ggml.add_bos_token", BOOL, b"\1")
    f32(ARCHITECTURE + ".attention.layer_norm_rms_epsilon", eps)
    f32(ARCHITECTURE + ".rope.freq_base", theta)
    u32("general.file_type", FILE_TYPE_I2_S)
    text("tokenizer.ggml.model", "gpt2")
    put("tokenizer.ggml.tokens", ARRAY, array(STRING, size, b"".join(map(string, tokens))))
    put("tokenizer.ggml.scores", ARRAY, array(F32, size, bytes(4 * size)))
    put("tokenizer.ggml.token_type", ARRAY, array(I32, size, struct.pack("<%di" % size, *types)))
    put("tokenizer.ggml.merges", ARRAY, array(STRING, len(merges), b"".join(map(string, merges))))
    u32("tokenizer.ggml.bos_token_id", vocab["bos"])
    u32("tokenizer.ggml.eos_token_id", vocab["eos"])
    u32("tokenizer.ggml.padding_token_id", vocab["eos"])
    text("tokenizer.chat_template", CHAT_TEMPLATE)
    u32("general.quantization_version", 2)
    text("general.license", LICENSE)
    return records


def main(tensors_path, vocab_path, output_path):
    with open(tensors_path, "rb") as f:
        n_tensors, n_records, n_data = struct.unpack("<3Q", f.read(24))
        config = struct.unpack("<8i2f", f.read(40))
        descriptions = f.read(n_records)
        data = f.read(n_data)
    with open(vocab_path, encoding="utf-8") as f:
        vocab = json.load(f)
    records = metadata(config, vocab)
    head = (b"GGUF" + struct.pack("<IQQ", 3, n_tensors, len(records))
            + b"".join(records) + descriptions)
    head += bytes(-len(head) % ALIGNMENT)
    with open(output_path + ".new", "wb") as f:
        f.write(head)
        f.write(data)
    os.replace(output_path + ".new", output_path)
    print("%s: %d bytes, %d tensors" % (output_path, len(head) + len(data), n_tensors))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
