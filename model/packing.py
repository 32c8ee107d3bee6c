"""Turns a convolution with stride 2 over grey pixels into one with stride 1 over blocks of two by two pixels.

Both give the same result. Vector instructions take several channels at once, but a grey face has only one: packed, a
block's four pixels are four channels, and the kernel has a quarter of the places.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 2

Kernel = NDArray[np.float32]


def packed(kernel: Kernel) -> Kernel:
    """The kernel (p, p, 4, filters) over blocks that does the same as the kernel (k, k, 1, filters) with stride 2.

    Both use "same" padding on an even number of pixels.
    """
    size, _, _, filters = kernel.shape
    start, blocks = _start(size), _blocks(size)
    whole = np.zeros((BLOCK * blocks, BLOCK * blocks, filters), np.float32)
    whole[start : start + size, start : start + size] = kernel[:, :, 0]
    apart = whole.reshape(blocks, BLOCK, blocks, BLOCK, filters)
    return apart.transpose(0, 2, 1, 3, 4).reshape(blocks, blocks, BLOCK * BLOCK, filters)


def unpacked(kernel: Kernel, size: int) -> Kernel:
    """The kernel (size, size, 1, filters) that was packed; raises ValueError for one of another size."""
    blocks, _, _, filters = kernel.shape
    if blocks != _blocks(size):
        raise ValueError(f"a kernel over {blocks} blocks is none over {size} pixels")
    apart = kernel.reshape(blocks, blocks, BLOCK, BLOCK, filters).transpose(0, 2, 1, 3, 4)
    whole = apart.reshape(BLOCK * blocks, BLOCK * blocks, filters)
    start = _start(size)
    return whole[start : start + size, start : start + size, None]


def _start(size: int) -> int:
    """How far into its first block the kernel begins: "same" pads (size - 2) // 2 pixels in front."""
    return (size - BLOCK) // 2 % BLOCK


def _blocks(size: int) -> int:
    return -(-(_start(size) + size) // BLOCK)
