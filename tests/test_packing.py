"""A convolution over blocks of pixels gives the same as one that steps over every other pixel."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model.packing import packed, unpacked

CHANCE = np.random.default_rng(7)


def convolved(pictures: NDArray[np.float32], kernel: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """A convolution with "same" padding, computed place by place: (h, w, channels) to (h / stride, w / stride, filters)."""
    size, side = len(kernel), len(pictures)
    padding = max(size - stride, 0)
    padded = np.pad(pictures, ((padding // 2, padding - padding // 2),) * 2 + ((0, 0),))
    places = range(0, side, stride)
    seen = [[np.tensordot(padded[y : y + size, x : x + size], kernel, 3) for x in places] for y in places]
    return np.array(seen, np.float32)


def in_blocks(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    side = len(picture) // 2
    return picture.reshape(side, 2, side, 2).transpose(0, 2, 1, 3).reshape(side, side, 4)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7])
def test_a_packed_kernel_over_blocks_sees_what_the_kernel_sees_in_steps_of_two_pixels(size: int) -> None:
    picture = CHANCE.standard_normal((12, 12, 1)).astype(np.float32)
    kernel = CHANCE.standard_normal((size, size, 1, 3)).astype(np.float32)
    wanted = convolved(picture, kernel, stride=2)
    assert convolved(in_blocks(picture), packed(kernel), stride=1) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 7])
def test_a_kernel_that_was_packed_comes_out_as_it_was(size: int) -> None:
    kernel = CHANCE.standard_normal((size, size, 1, 3)).astype(np.float32)
    assert np.array_equal(unpacked(packed(kernel), size), kernel)


def test_a_kernel_over_as_many_blocks_as_another_size_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a kernel over 4 blocks is none over 3 pixels$"):
        unpacked(np.zeros((4, 4, 4, 8), np.float32), 3)
