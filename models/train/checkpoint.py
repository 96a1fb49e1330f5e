"""Writes the checkpoints of checkpoint.c."""
import os
import struct

MAGIC = b"bitnet training checkpoint 1"
CONTEXT = 512                   # longest record
CURSORS_AND_TIME = 24


def write(path, shape, parameters, stage, seed, tokens=0):
    """A run at the start of a stage.  shape: vocabulary, width, layers, width inside, heads, key-value heads and their
    width, then base of the angles and epsilon; parameters: float32, in the order of model.c; tokens: seen so far."""
    *sizes, theta, eps = shape
    with open(path + ".new", "wb") as f:
        f.write(struct.pack("<32s8i2fi4xQQ", MAGIC, *sizes, CONTEXT, theta, eps, 0, seed, len(parameters)))
        f.write(struct.pack("<2i3q", stage, 0, 0, tokens, 0) + bytes(CURSORS_AND_TIME))
        f.write(parameters.tobytes() + bytes(2 * parameters.nbytes))
    os.replace(path + ".new", path)
