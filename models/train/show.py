#!/usr/bin/env python3
"""Shows what a checkpoint answers: show.py TRAINER VOCAB RECORDS [N [TRAINER OPTION...]]

Takes N records from all over the file, lets the model go on greedily after the
first prompt of each, and prints prompt, wanted and given answer.
"""
import json
import struct
import subprocess
import sys


def byte_values():
    """GPT-2's map of printable characters to bytes, which token texts use."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    values = {chr(b): b for b in keep}
    values.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in keep)})
    return values


def records(path):
    with open(path, "rb") as f:
        data = f.read()
    at, found = 0, []
    while at < len(data):
        (n,) = struct.unpack_from("<I", data, at)
        found.append((struct.unpack_from("<%dH" % n, data, at + 4), data[at + 4 + 2 * n:at + 4 + 3 * n]))
        at += 4 + 3 * n
    return found


def main(trainer, vocab_path, path, count="10", *options):
    with open(vocab_path, encoding="utf-8") as f:
        vocab = json.load(f)
    values = byte_values()

    def text(ids):
        parts = (vocab["tokens"][i].encode() if vocab["types"][i] != 1
                 else bytes(values[c] for c in vocab["tokens"][i]) for i in ids)
        return b"".join(parts).decode("utf-8", "replace")

    def answer(ids):
        ids = list(ids)
        return text(ids[:ids.index(vocab["eot"])] if vocab["eot"] in ids else ids)

    all_records = records(path)
    right = 0
    chosen = all_records[::max(1, len(all_records) // int(count))][:int(count)]
    for tokens, target in chosen:
        start = list(target).index(1)
        output = subprocess.run([trainer, *options, "--generate", "40", *map(str, tokens[:start])],
                                check=True, capture_output=True, text=True).stdout
        wanted, given = answer(tokens[start:]), answer(map(int, output.split()))
        right += wanted == given
        print("%s\n  wanted: %s\n  given:  %s%s\n"
              % (text(tokens[:start]), wanted, given, "" if wanted == given else "   <-- differs"))
    print("%d of %d as wanted" % (right, len(chosen)))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
