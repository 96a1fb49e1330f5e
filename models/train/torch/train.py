#!/usr/bin/env python3
"""Trains the default model on an accelerator: the first two stages of ../trainer.c
with larger batches, in PyTorch.  The result is a checkpoint of that program,
which looks at it, tunes it by preferences and exports it.

    train.py --data DIR --out FILE [options]

DIR has vocab.json, and in directories 0, 1, ... what ../data/build.py makes of
as many seeds; it may still be at work.
"""
import argparse
import itertools
import os
import sys
import time

import numpy as np
import torch

from batches import CONTEXT, Packer, batches
from model import Model, Shape, contrast_loss, flex_attention, language_loss, plain_attention
from muon import Muon

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import checkpoint

WARMUP = 200                    # steps
EMBED_EVERY = 4                 # each so-many-th step of fine-tuning trains embeddings too
DECAY = 0.1
CLIP = 1.0
SHOW_STEPS = 50
VALID_STEPS = 1000
VALID_BATCHES = 2
PREFERENCES = 2                 # the stage of ../trainer.c that comes next


def schedule(progress, step, peak):
    """The two phases of ../optimizer.c: rate and weight decay."""
    if progress < 0.5:
        return peak * min(1.0, (step + 1) / WARMUP) * (1 - 0.8 * progress), DECAY
    return peak * 0.4 * 2 * (1 - min(progress, 1.0)), 0.0


def save(model, path, tokens, seed, half=False):
    """A checkpoint that stands behind fine-tuning; half: only its parameters, in float16, to carry."""
    flat = torch.cat([p.detach().float().flatten() for p in model.in_order()]).cpu().numpy()
    s = model.shape
    if half:
        flat.astype(np.float16).tofile(path + ".new")
        os.replace(path + ".new", path)
    else:
        checkpoint.write(path, (s.vocab, s.dim, s.layers, s.ffn, s.heads, s.kv_heads, s.head_dim, s.theta, s.eps), flat, PREFERENCES,
                         seed, tokens)


class Trainer:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        torch.set_float32_matmul_precision("high")
        self.args = args
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.flex = self.device == "cuda"
        compiled = torch.compile if self.flex else lambda f: f
        shape = Shape(dim=args.dim, layers=args.layers, ffn=args.ffn, heads=args.heads, kv_heads=args.kv_heads)
        self.model = Model(shape, flex_attention if self.flex else plain_attention).to(self.device)
        if self.flex:
            from torch.nn.attention.flex_attention import create_block_mask
            self.block_mask = torch.compile(create_block_mask)
            for block in self.model.blocks:
                block.compile()
        self.language_loss, self.contrast_loss = compiled(language_loss), compiled(contrast_loss)
        ids = {id(w) for w in self.model.matrices()}
        self.rest = [p for p in self.model.parameters() if id(p) not in ids]
        self.compiled = compiled
        self.restart()
        self.tokens, self.start = 0, time.time()
        self.csv = open(os.path.join(os.path.dirname(args.out), "train.csv"), "w")
        self.csv.write("stage,kind,step,tokens,seconds,rate,loss,accuracy,extra\n")

    def restart(self):
        """Every stage starts its means anew: its gradients are of another kind."""
        self.muon = Muon(self.model.matrices(), self.compiled)
        self.adam = torch.optim.AdamW(self.rest, lr=0, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)

    def mask(self, sequence):
        """Which tokens see which: those before them in the same record."""
        if not self.flex:
            n = sequence.shape[1]
            causal = torch.ones(n, n, dtype=torch.bool, device=sequence.device).tril()
            return ((sequence[:, :, None] == sequence[:, None]) & causal)[:, None]

        def visible(b, h, q, k):
            return (q >= k) & (sequence[b, q] == sequence[b, k])
        return self.block_mask(visible, sequence.shape[0], None, CONTEXT, CONTEXT, device=sequence.device)

    def hidden(self, batch):
        return self.model(batch["token"], batch["position"], self.mask(batch["sequence"]))

    def here(self, batch):
        return {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}

    def language(self, batch):
        """Loss, and which targets were the most likely token."""
        hidden = self.hidden(batch)
        return self.language_loss(self.model, hidden, batch["row"], batch["target"], batch["weight"])

    def pairs(self, batch):
        """Loss, and the share of texts whose nearest neighbour is of their kind."""
        return self.contrast_loss(self.hidden(batch), batch["sequence"], batch["kind"])

    def step(self, loss, rate, decay):
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.muon.step(rate, decay)
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        for p in self.model.parameters():
            p.grad = None
        return norm

    def validate(self, name, step, valid):
        sums = np.zeros(5)
        for batch in valid:
            loss, right = self.language(batch)
            there = batch["weight"] > 0
            wrong = torch.zeros(batch["record"].max() + 1, device=self.device).index_add(0, batch["record"], (there & ~right).float())
            records = torch.bincount(batch["record"][there], minlength=len(wrong)) > 0
            targets = there.sum().item()
            sums += [loss.item() * targets, right[there].sum().item(), targets, (records & (wrong == 0)).sum().item(), records.sum().item()]
        loss, right, exact = sums[0] / sums[2], sums[1] / sums[2], sums[3] / sums[4]
        print("%-8s step %6d  held-out: loss %.4f  tokens right %5.1f %%  whole answers right %5.1f %%" %
              (name, step, loss, 100 * right, 100 * exact), flush=True)
        self.log(name, "valid", step, 0, loss, right, exact)

    def save(self):
        save(self.model, self.args.out, self.tokens, self.args.seed)
        if self.args.parameters:
            save(self.model, self.args.parameters, self.tokens, self.args.seed, half=True)

    def log(self, *values):
        self.csv.write("%s,%s,%d,%d,%.1f,%.6g,%.5f,%.5f,%.5f\n" % (values[:3] + (self.tokens, time.time() - self.start) + values[3:]))
        self.csv.flush()

    def run_stage(self, name, n_tokens, peak, language, valid, pairs=None, until=None):
        """Trains on n_tokens, or until so many seconds have passed since the start."""
        begin = shown_tokens = self.tokens
        step, shown, sums, near = 0, time.time(), None, None
        begin_time = shown - self.start
        progress = 0.0
        while progress < 1:
            rate, decay = schedule(progress, step, peak)
            if pairs is not None and step % EMBED_EVERY == EMBED_EVERY - 1:
                batch = self.here(next(pairs))
                near = self.pairs(batch)
                self.step(near[0], rate, decay)
                self.tokens += batch["token"].numel()
            batch = self.here(next(language))
            loss, right = self.language(batch)
            norm = self.step(loss, rate, decay)
            self.tokens += batch["token"].numel()
            there = batch["weight"] > 0
            seen = torch.stack([loss.detach(), (right & there).sum() / there.sum(), norm])
            sums = seen if sums is None else sums + seen
            step += 1
            now = time.time()
            progress = (now - self.start - begin_time) / max(until - begin_time, 1) if until else (self.tokens - begin) / n_tokens
            if step % SHOW_STEPS == 0:
                loss, right, norm = (sums / SHOW_STEPS).tolist()
                left = (now - self.start - begin_time) * (1 / progress - 1)
                print("%-8s step %6d  %5.1f %%  %7.1fM tokens  %5.0fk tokens/s  rate %.2e  loss %.4f  right %5.1f %%  norm %.2f%s  left %.0f s" %
                      (name, step, 100 * progress, self.tokens / 1e6, (self.tokens - shown_tokens) / (now - shown) / 1e3,
                       rate, loss, 100 * right, norm, "  pairs %.3f %.1f %%" % (near[0].item(), 100 * near[1].item()) if near else "", left),
                      flush=True)
                self.log(name, "train", step, rate, loss, right, norm)
                sums, shown, shown_tokens = None, now, self.tokens
            if step % VALID_STEPS == 0:
                self.validate(name, step, valid)
                self.save()
        self.validate(name, step, valid)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--parameters", help="a file for the parameters alone, in float16")
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=96, help="records of a batch are packed into so many rows of %d tokens" % CONTEXT)
    parser.add_argument("--workers", type=int, default=3, help="processes that pack")
    parser.add_argument("--pretrain-tokens", type=float, default=80e6)
    parser.add_argument("--sft-tokens", type=float, default=350e6)
    parser.add_argument("--seconds", type=float, help="end fine-tuning so long after the start, instead of at its number of tokens")
    parser.add_argument("--pretrain-rate", type=float, default=4e-3)
    parser.add_argument("--sft-rate", type=float, default=3e-3)
    for name, value in vars(Shape()).items():
        if name in ("dim", "layers", "ffn", "heads", "kv_heads"):
            parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    args = parser.parse_args()
    trainer = Trainer(args)
    print("%.2fM parameters, on %s" % (sum(p.numel() for p in trainer.model.parameters()) / 1e6,
                                       torch.cuda.get_device_name() if trainer.flex else "the CPU"), flush=True)

    def stream(name, workers=args.workers, **kind):
        paths = [os.path.join(args.data, str(k), name) for k in range(args.shards)]
        return batches(Packer(paths, args.rows, seed=args.seed, **kind), workers)

    def held_out(name, room):
        packer = Packer([os.path.join(args.data, name)], args.rows, room=room)
        return [trainer.here(batch) for batch in itertools.islice(packer, VALID_BATCHES)]

    if args.pretrain_tokens > 0:
        trainer.run_stage("pretrain", args.pretrain_tokens, args.pretrain_rate, stream("pretrain.bin"), held_out("valid_pretrain.bin", 1))
    if args.sft_tokens > 0:
        trainer.restart()
        room = 0.25             # a seventh of the tokens are targets
        trainer.run_stage("sft", args.sft_tokens, args.sft_rate, stream("sft.bin", power=0.5, room=room), held_out("valid_sft.bin", room),
                          stream("embed.bin", workers=1, classes=True), args.seconds)
    trainer.save()
    print("finished after %.0f s" % (time.time() - trainer.start), flush=True)


if __name__ == "__main__":
    main()
