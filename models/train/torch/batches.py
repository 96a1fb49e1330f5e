"""Batches of training records: rows of tokens, each with whole records one after the other."""
import os
import time

import numpy as np
import torch

CONTEXT = 512
WAIT_SECONDS = 600              # for a file that is being made
MISSES = 12                     # a batch is full when so many groups did not fit


def read_records(path, group):
    """Groups of (tokens, target) of a file as ../data/build.py writes it."""
    with open(path, "rb") as f:
        data = f.read()
    at, records = 0, []
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "little")
        tokens = np.frombuffer(data, "<u2", n, at + 4)
        target = np.frombuffer(data, "u1", n, at + 4 + 2 * n)
        records.append((tokens, target))
        at += 4 + 3 * n
    return [records[i:i + group] for i in range(0, len(records), group)]


def n_rows(tokens):
    """Tokens of a record that are computed: the last one is only a target."""
    return min(max(len(tokens) - 1, 1), CONTEXT)


def endless(paths, group, seed):
    """Groups of the files, in the order of the files and shuffled within each,
    again and again.  A file that is still being made is waited for."""
    epoch = 0
    while True:
        for number, path in enumerate(paths):
            until = time.time() + WAIT_SECONDS
            while not os.path.exists(path):
                if time.time() > until:
                    raise SystemExit("%s does not come" % path)
                time.sleep(0.2)
            groups = read_records(path, group)
            order = np.random.default_rng([seed, epoch, number]).permutation(len(groups))
            for i in order:
                yield groups[i]
        epoch += 1


class Packer(torch.utils.data.IterableDataset):
    """Batches [rows, CONTEXT] of a stream of groups.

    Workers share the work: each packs the records of every n-th file.
    power: a record's targets have the weight targets^-power each; the weights of
    a batch add up to 1.  room: the share of tokens that may be targets.  With
    classes, the batch is of pairs to be embedded."""

    def __init__(self, paths, rows, power=0.0, room=1.0, classes=False, seed=1):
        self.paths, self.rows, self.power, self.classes, self.seed = paths, rows, power, classes, seed
        self.group = 2 if classes else 1
        self.targets = int(rows * CONTEXT * room)
        self.sequences = rows * CONTEXT // 24

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        me, workers = (info.id, info.num_workers) if info else (0, 1)
        paths = self.paths
        if len(paths) >= workers:
            paths = paths[me::workers]
        stream = endless(paths, self.group, self.seed * 1000 + me)
        held = []
        while True:
            records, held = self.choose(stream, held)
            yield self.batch(records)

    def choose(self, stream, held):
        """Records that fill a batch, as (row, start, tokens, target), and groups that did not fit."""
        free = np.full(self.rows, CONTEXT)
        chosen, count, left = [], 0, []
        while len(left) < MISSES:
            group = held.pop() if held else next(stream)
            trial, placed = free.copy(), []
            for tokens, target in group:
                n = n_rows(tokens)
                # The fullest row that has room
                fitting = np.where(trial >= n, trial, CONTEXT + 1)
                row = int(fitting.argmin())
                if fitting[row] > CONTEXT:
                    placed = None
                    break
                placed.append((row, CONTEXT - int(trial[row]), tokens, target))
                trial[row] -= n
            targets = sum(int(t[1:].sum()) for _, t in group)
            if placed is None or count + targets > self.targets or len(chosen) + len(group) > self.sequences:
                left.append(group)
                continue
            free, count = trial, count + targets
            chosen += placed
        return chosen, left

    def batch(self, records):
        shape = (self.rows, CONTEXT)
        token, position = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        sequence = np.full(shape, self.sequences, np.int32)     # padding: a number beyond all others
        kind = np.full(self.sequences, -1, np.int32)
        parts = []
        for number, (row, start, tokens, target) in enumerate(records):
            n = n_rows(tokens)
            token[row, start:start + n] = tokens[:n]
            position[row, start:start + n] = np.arange(n)
            sequence[row, start:start + n] = number
            if self.classes:
                kind[number] = target[0]
                continue
            at = np.nonzero(target[1:n + 1])[0]
            if len(at):
                parts.append([row * CONTEXT + start + at, tokens[at + 1], np.full(len(at), number),
                              np.full(len(at), float(len(at)) ** -self.power)])
        result = {"token": token, "position": position, "sequence": sequence}
        if self.classes:
            result["kind"] = kind
        else:
            filled = np.zeros((4, self.targets))
            parts = np.concatenate(parts, 1)
            filled[:, :parts.shape[1]] = parts
            result["row"], result["target"], result["record"] = filled[:3].astype(np.int64)
            result["weight"] = (filled[3] / filled[3].sum()).astype(np.float32)
        return {k: torch.from_numpy(v) for k, v in result.items()}


def batches(packer, workers):
    """The packer's batches, made by other processes."""
    return iter(torch.utils.data.DataLoader(packer, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else 2,
                                            pin_memory=torch.cuda.is_available()))
