"""Random-access shuffle: a keyed permutation of n examples, computed position by position.

A stateless sampler needs example i of epoch e from (seed, e, i) alone: on the host or on a device,
in any process, before or after a restart. So the permutation is not stored but computed: a keyed
bijection of {0, ..., n - 1}, constructed from a balanced Feistel cipher by cycle walking.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 8


def shuffled(
    position: ArrayLike, *, n: int, seed: ArrayLike, epoch: ArrayLike
) -> NDArray[np.uint32]:
    """Index of the example at `position` in the permutation of an epoch.

    Args:
      position: integers in [0, n), any shape.
      n: number of examples, at least 1 and at most 2^31.
      seed, epoch: integers in [0, 2^64) that key the permutation; they broadcast against
        `position`.

    Returns:
      `uint32`, of the shape of `position`: over the n positions of an epoch, each of 0 ... n - 1
      once.

    Reference:
      Black and Rogaway, *Ciphers with Arbitrary Finite Domains*, 2002,
      https://doi.org/10.1007/3-540-45760-7_9 (cycle walking over a Feistel network).

    Example:
      >>> sorted(shuffled(np.arange(5), n=5, seed=0, epoch=0).tolist())
      [0, 1, 2, 3, 4]
    """
    if n < 1:
        raise ValueError(f"n is {n}, expected at least 1")
    half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
    keys = _round_keys(seed, epoch)
    x = _feistel(np.asarray(position, np.uint32), keys, half_bits)
    # The cipher permutes {0, ..., 4^k - 1} with the smallest k >= 1 such that 4^k >= n. A value
    # outside [0, n) is encrypted again until it lies inside, at the latest when its cycle closes.
    while (outside := x >= n).any():
        x = np.where(outside, _feistel(x, keys, half_bits), x)
    return x


def _round_keys(seed: ArrayLike, epoch: ArrayLike) -> list[NDArray[np.uint32]]:
    key = mixed(mixed(word(seed)) ^ word(epoch))
    golden = 0x9E3779B9  # 2^32 over the golden ratio: spreads the Feistel rounds' keys
    return [mixed(key ^ np.uint32(golden * i & 0xFFFFFFFF)) for i in range(1, ROUNDS + 1)]


def _feistel(
    x: NDArray[np.uint32], keys: list[NDArray[np.uint32]], half_bits: int
) -> NDArray[np.uint32]:
    mask = np.uint32((1 << half_bits) - 1)
    left, right = x >> np.uint32(half_bits), x & mask
    for key in keys:
        left, right = right, left ^ (mixed(right ^ key) & mask)
    return (left << np.uint32(half_bits)) | right


def word(number: ArrayLike) -> NDArray[np.uint32]:
    """A number of up to 64 bits as a word of 32; below 2^32 it is itself, since `mixed(0)` is 0."""
    number = np.asarray(number).astype(np.uint64)
    return number.astype(np.uint32) ^ mixed((number >> np.uint64(32)).astype(np.uint32))


def mixed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Hash of 32-bit words: a bijection in which every input bit affects every output bit.

    The constants are those of Chris Wellons, *Prospecting for Hash Functions*, 2018,
    https://nullprogram.com/blog/2018/07/31/ (lowbias32).
    """
    with np.errstate(over="ignore"):  # multiplication modulo 2^32 is intended
        x = x ^ (x >> np.uint32(16))
        x = x * np.uint32(0x7FEB352D)
        x = x ^ (x >> np.uint32(15))
        x = x * np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))
