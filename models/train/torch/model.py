"""The model of ../model.h in PyTorch: same parameters, same quantisers, same result."""
import math

import torch
import torch.nn.functional as F
from torch import nn


class Shape:
    """What the header of a checkpoint says of a model; all heads have 64 numbers."""

    def __init__(self, vocab=4480, dim=384, layers=10, ffn=1152, heads=6, kv_heads=2, context=512):
        self.vocab, self.dim, self.layers, self.ffn = vocab, dim, layers, ffn
        self.heads, self.kv_heads, self.head_dim, self.context = heads, kv_heads, 64, context
        self.theta, self.eps = 10000.0, 1e-5


def straight_through(x, quantised):
    """quantised, with the gradient of x"""
    return x + (quantised - x).detach()


def ternary(w):
    """Codes -1, 0, 1 of w [out, in], and their scale, mean |w|."""
    scale = w.detach().abs().mean().clamp(min=1e-5)
    x = w / scale
    return straight_through(x, x.round().clamp(-1, 1)), scale


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def ternary_linear(x, weights):
    """Products of x [..., in], as int8 with a scale for each token, with ternary
    matrices [out, in] that share it; [..., sum of out].  Codes and int8 values
    are exact in bfloat16."""
    step = x.detach().abs().amax(-1, keepdim=True).clamp(min=1e-5) / 127
    y = x / step
    y = straight_through(y, y.round())
    codes, scales = zip(*(ternary(w) for w in weights))
    scale = torch.cat([s.expand(w.shape[0]) for s, w in zip(scales, weights)])
    kind = torch.bfloat16 if x.is_cuda else torch.float32
    return F.linear(y.to(kind), torch.cat(codes).to(kind)).float() * (step * scale)


def rotate(x, cos, sin):
    """Rotary positions of x [batch, heads, tokens, 64]: the first half of a head with the second."""
    low, high = x.chunk(2, -1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


def plain_attention(q, k, v, mask):
    """Attention where mask [batch, 1, tokens, tokens] is true."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return score.masked_fill(~mask, -1e30).softmax(-1) @ v


def flex_attention(q, k, v, mask):
    """The same, where mask is a BlockMask."""
    from torch.nn.attention.flex_attention import flex_attention as flex
    return flex(q, k, v, block_mask=mask, enable_gqa=True)


class Block(nn.Module):
    def __init__(self, shape, attention):
        super().__init__()
        s = self.shape = shape
        self.attention = attention
        q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
        self.attn_norm = nn.Parameter(torch.ones(s.dim))
        self.q, self.k, self.v = self.matrix(q, s.dim), self.matrix(kv, s.dim), self.matrix(kv, s.dim)
        self.attn_sub_norm = nn.Parameter(torch.ones(q))
        self.output = self.matrix(s.dim, q, residual=True)
        self.ffn_norm = nn.Parameter(torch.ones(s.dim))
        self.gate, self.up = self.matrix(s.ffn, s.dim), self.matrix(s.ffn, s.dim)
        self.ffn_sub_norm = nn.Parameter(torch.ones(s.ffn))
        self.down = self.matrix(s.dim, s.ffn, residual=True)

    def matrix(self, out, n, residual=False):
        deviation = 0.5 / math.sqrt(n) / (math.sqrt(2 * self.shape.layers) if residual else 1)
        return nn.Parameter(torch.randn(out, n) * deviation)

    def forward(self, x, cos, sin, mask):
        s = self.shape
        batch, tokens, _ = x.shape
        y = ternary_linear(rms_norm(x, self.attn_norm, s.eps), [self.q, self.k, self.v])
        q, k, v = y.view(batch, tokens, -1, s.head_dim).transpose(1, 2).split([s.heads, s.kv_heads, s.kv_heads], 1)
        kind = torch.bfloat16 if x.is_cuda else torch.float32
        y = self.attention(rotate(q, cos, sin).to(kind), rotate(k, cos, sin).to(kind), v.to(kind), mask)
        y = y.transpose(1, 2).reshape(batch, tokens, -1).float()
        x = x + ternary_linear(rms_norm(y, self.attn_sub_norm, s.eps), [self.output])
        gate, up = ternary_linear(rms_norm(x, self.ffn_norm, s.eps), [self.gate, self.up]).chunk(2, -1)
        y = rms_norm(F.relu(gate).square() * up, self.ffn_sub_norm, s.eps)
        return x + ternary_linear(y, [self.down])


class Model(nn.Module):
    def __init__(self, shape, attention):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocab, shape.dim) * 0.02)
        self.blocks = nn.ModuleList(Block(shape, attention) for _ in range(shape.layers))
        self.output_norm = nn.Parameter(torch.ones(shape.dim))
        half = shape.head_dim // 2
        angle = torch.arange(shape.context).double()[:, None] * shape.theta ** (-torch.arange(half).double() / half)
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, token, position, mask):
        """Hidden states behind the last norm [batch, tokens, dim] of tokens, each at a position of its record."""
        x = F.embedding(token, self.embedding)
        cos, sin = F.embedding(position, self.cos)[:, None], F.embedding(position, self.sin)[:, None]
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return rms_norm(x, self.output_norm, self.shape.eps)

    def logits(self, hidden):
        kind = torch.bfloat16 if hidden.is_cuda else torch.float32
        return F.linear(hidden.to(kind), self.embedding.to(kind)).float()

    def matrices(self):
        return [w for b in self.blocks for w in (b.q, b.k, b.v, b.output, b.gate, b.up, b.down)]

    def in_order(self):
        """All parameters as a checkpoint of ../checkpoint.c has them."""
        yield self.embedding
        for b in self.blocks:
            yield from (b.attn_norm, b.q, b.k, b.v, b.attn_sub_norm, b.output, b.ffn_norm, b.gate, b.up, b.ffn_sub_norm, b.down)
        yield self.output_norm


def language_loss(model, hidden, row, target, weight):
    """Weighted sum of -log p(target) after the rows [n] of hidden, and which of them were the most likely token."""
    logits = model.logits(hidden.flatten(0, 1)[row])
    return (F.cross_entropy(logits, target, reduction="none") * weight).sum(), logits.argmax(-1) == target


def contrast_loss(hidden, sequence, kind, temperature=0.07):
    """Supervised contrastive loss (Khosla et al., 2020, equation 2) of the mean
    hidden state of each sequence: those of one kind are to be near each other.
    sequence [batch, tokens] is the number of each token's sequence, kind [n]
    what it is about, -1 for none."""
    n = kind.shape[0]
    flat, number = hidden.flatten(0, 1), sequence.flatten()
    total = torch.zeros(n + 1, flat.shape[1], device=flat.device).index_add(0, number, flat)[:n]
    z = F.normalize(total, dim=-1)
    there = kind >= 0
    others = there[None] & ~torch.eye(n, dtype=torch.bool, device=z.device)
    same = (kind[:, None] == kind[None]) & others & there[:, None]
    logit = (z @ z.t() / temperature).masked_fill(~others, -1e30)
    log_p = logit - logit.logsumexp(-1, keepdim=True)
    loss = -(log_p.masked_fill(~same, 0)).sum(-1) / same.sum(-1).clamp(min=1)
    near = same.gather(1, logit.argmax(-1, keepdim=True)).squeeze(1)
    return loss[there].mean(), near[there].float().mean()
