"""Muon for matrices, as in ../muon.c, all of one shape at a time."""
import math

import torch

MOMENTUM = 0.95
ADAM_RMS = 0.2


def orthogonalize(x):
    """About the nearest matrices with orthogonal rows or columns, of x [n, out, in]."""
    turned = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if turned else x
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7))
    x = x.bfloat16() if x.is_cuda else x
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.transpose(1, 2) if turned else x).float()


def muon_update(w, g, momentum, rate, keep):
    """A step of the stacked matrices; returns new weights and momentum."""
    momentum = MOMENTUM * momentum + g
    scale = ADAM_RMS * math.sqrt(max(w.shape[1:]))
    return w * keep - rate * scale * orthogonalize(g + MOMENTUM * momentum), momentum


class Muon:
    def __init__(self, matrices, compiled):
        shapes = {}
        for w in matrices:
            shapes.setdefault(tuple(w.shape), []).append(w)
        self.groups = list(shapes.values())
        self.momentum = [torch.zeros(len(g), *g[0].shape, device=g[0].device) for g in self.groups]
        self.update = compiled(muon_update)

    @torch.no_grad()
    def step(self, rate, decay):
        for i, group in enumerate(self.groups):
            stacked, grad = torch.stack(list(group)), torch.stack([w.grad for w in group])
            # Tensors, lest each rate be compiled for
            new, self.momentum[i] = self.update(stacked, grad, self.momentum[i], torch.tensor(rate, device=grad.device),
                                                torch.tensor(1 - rate * decay, device=grad.device))
            for w, x in zip(group, new):
                w.copy_(x)
