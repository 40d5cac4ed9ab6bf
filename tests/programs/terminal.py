"""A terminal in which a user samples: it answers what it is asked, and keeps what it is sent.

A program, since a process in which jax runs must not fork.
"""

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pexpect
from PIL import Image

ABILITIES = {"sixel": "\x1b[?62;4c", "kitty": "\x1b[?62c", "plain": "\x1b[?62c"}
CELL_SIZE = "\x1b[6;20;10t"  # in pixels


def main(terminal: str, folder: str) -> None:
    """Ends with an error unless the terminal shows the file that is written, if it can."""
    path = Path(folder) / "samples.png"
    words = ["-m", "jaxgan", "sample", "mnist-dcgan", "--num", "16", "--out", str(path)]
    child = pexpect.spawn(sys.executable, words, encoding="utf-8", timeout=300)
    child.expect_exact("16 samples of mnist-dcgan")
    child.expect_exact("\x1b[c")  # primary device attributes
    child.send(ABILITIES[terminal])
    if terminal != "sixel":
        child.expect(r"\x1b_G(i=(\d+).*?)\x1b\\")  # a query of kitty's graphics protocol
        child.send(f"\x1b_Gi={child.match[2]};{'OK' if terminal == 'kitty' else 'EINVAL'}\x1b\\")
    if terminal != "plain":
        child.expect_exact("\x1b[16t")
        child.send(CELL_SIZE)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    written = np.asarray(Image.open(path).convert("L"))
    if terminal == "plain":
        assert not child.before.strip(), child.before
    elif terminal == "kitty":
        chunks = re.findall(r"\x1b_G[^;\x1b]*;([^\x1b]*)\x1b\\", child.before)
        shown = Image.open(io.BytesIO(base64.b64decode("".join(chunks))))
        fitted = np.asarray(shown.convert("L").resize(written.shape[::-1]))  # to whole cells
        assert np.corrcoef(fitted.ravel(), written.ravel())[0, 1] > 0.95
    else:
        _, _, width, height = re.search(r'\x1bP.*?"(\d+);(\d+);(\d+);(\d+)', child.before).groups()
        assert int(width) / int(height) == written.shape[1] / written.shape[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
