"""Synthetic translation task with known ground truth: digits in two colour schemes.

The map from one domain to the other is affine in every pixel and invertible: a grey value t becomes
`(1 - t) background + t ink`. So the error of a translation can be computed exactly, for paired and
unpaired training alike.
"""

import numpy as np

from jaxgan.types import Examples

SIDE = 32
X = ((0.1, 0.1, 0.35), (0.95, 0.85, 0.3))  # background and ink of x, red, green and blue in [0, 1]
Y = ((0.9, 0.75, 0.7), (0.05, 0.35, 0.25))


def recolored(digits: np.ndarray, *, paired: bool = True) -> Examples:
    """Renders grey digits in the colours of the domains x and y, at 32 x 32 pixels.

    Args:
      digits: `uint8[n, 28, 28, 1]`.
      paired: whether every digit is rendered in both domains; otherwise those with even index are
        in x and those with odd index in y, so that no digit is in both.

    Returns:
      `x` and `y`, `uint8[n or n / 2, 32, 32, 3]`.

    Example:
      >>> examples = recolored(np.zeros((4, 28, 28, 1), np.uint8), paired=False)
      >>> examples["x"].shape, examples["y"][0, 0, 0].tolist()
      ((2, 32, 32, 3), [230, 191, 178])
    """
    border = (SIDE - digits.shape[1]) // 2
    gray = np.pad(digits, ((0, 0), (border, border), (border, border), (0, 0))) / 255.0
    render = lambda gray, colors: np.round(
        255.0 * ((1.0 - gray) * np.array(colors[0]) + gray * np.array(colors[1]))
    ).astype(np.uint8)
    x, y = (gray, gray) if paired else (gray[0::2], gray[1::2])
    n = min(len(x), len(y))
    return {"x": render(x[:n], X), "y": render(y[:n], Y)}
