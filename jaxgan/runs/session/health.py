"""Health of a run: warning signs, each reported once with common remedies.

    health.json    {"notes": [{"step", "sign", "text"}], "rollbacks": [{"to", "why"}]}

Signs are looked for in numbers that the run has anyway: metrics, the optimizers' averages of the
gradients, grids and evaluations. None of them changes the training.
"""

import bisect
import collections
import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from jaxgan.parallel import multihost
from jaxgan.runs.directory.files import put_aside, write_atomically
from jaxgan.runs.directory.logs import read_health
from jaxgan.training import TrainState
from jaxgan.types import ByPlayer, Metrics

PINNED = 0.01  # mean outputs of the discriminator that are this close to 0 and 1 are certain ...
LOGS = 20  # ... if they are so in this many logged steps in a row
EXPLODED = 100.0  # times the median of the norms before
COLLAPSED = 0.2  # share of the largest variation of the samples so far
WORSE = 2.0  # times the best evaluation

TEXTS = {
    "certain": "{who} tells real from generated with certainty: its gradient teaches the "
    "generator little. Common remedies: lower its learning rate or capacity, add a gradient "
    "penalty (--r1), label smoothing or augmentation, or choose another loss",
    "wrong": "{who} takes real for generated and generated for real: it does not learn. Common "
    "remedies: raise its learning rate or its number of turns, and check the sign of its loss",
    "exploding": "the gradient of {who} has a norm of {value:.3g}, {factor:.0f} times the median "
    "so far. Common remedies: clip gradients (--clip-norm), lower the learning rate, or warm it "
    "up (--warmup-steps)",
    "no gradient": "the gradient of {who} is 0: it does not learn. Common causes: a saturated "
    "loss, dead units, or frozen layers (--freeze)",
    "growing": "the parameters of {who} have grown {factor:.0f}-fold, to a norm of {value:.3g}. "
    "Common remedies: lower the learning rate, or use weight decay (--weight-decay) or spectral "
    "norms",
    "collapse": "samples vary only {share:.0%} as much as at their most varied: the generator may "
    "be collapsing to few images. Common remedies: lower the learning rates, add a gradient "
    "penalty, make the batch larger, or go back (--from-step)",
    "worse": "{who} is {value:.4g}, and was {best:.4g} at step {at}: training is past its best. "
    "Common remedies: stop here and use the best checkpoint (--step best), or let the learning "
    "rates decay (--lr-decay)",
}


class Health:
    """Notes of a run, and the numbers by which the signs are recognised.

    Args:
      path: `health.json`, which is continued.
      console: where notes are printed.
      step: the step from which the run resumes; later notes are deleted.
      rollbacks: the number of rollbacks before that step; later ones are deleted.
    """

    def __init__(self, path: Path, console: Console, *, step: int = 0, rollbacks: int = 0) -> None:
        self._path, self._console = path, console
        try:
            earlier = read_health(path)
        except ValueError:  # no result depends on it
            put_aside(path)
            earlier = {"notes": [], "rollbacks": []}
        self.notes = [note for note in earlier["notes"] if note["step"] <= step]
        self.rollbacks = earlier["rollbacks"][:rollbacks]
        self._row: collections.Counter[str] = collections.Counter()  # of signs, in logged steps
        self._norms: dict[str, list[float]] = collections.defaultdict(list)
        self._largest = 0.0

    def note(self, step: int, sign: str, **values: Any) -> None:
        """Reports a sign, unless it was reported before for the same player."""
        sign_of = f"{sign}: {values['who']}" if "who" in values else sign
        if any(note["sign"] == sign_of for note in self.notes):
            return
        text = TEXTS[sign].format(**values)
        self.notes.append({"step": step, "sign": sign_of, "text": text})
        self._console.print(f"NOTE at step {step}: {text}.")
        self.write()

    def rolled_back(self, to: int, why: str) -> None:
        """Records that the run diverged, and continues from an earlier step."""
        self.rollbacks.append({"to": to, "why": why})
        self.write()

    def write(self) -> None:
        if multihost.is_main():
            content = {"notes": self.notes, "rollbacks": self.rollbacks}
            write_atomically(self._path, json.dumps(content, indent=2) + "\n")

    # ---- signs

    def logged(self, step: int, state: TrainState, metrics: Metrics) -> None:
        """Callback: looks for signs in metrics with norms (`with_norms`)."""
        for player, values in jax.device_get(metrics).items():
            real, fake = (values.get(f"{side}_output", math.nan) for side in ("real", "fake"))
            # Outputs beyond 0 and 1 are not probabilities, and say nothing about certainty.
            one, zero = (lambda p: 1 - PINNED < p <= 1), (lambda p: 0 <= p < PINNED)
            self._in_a_row(step, "certain", player, one(real) and zero(fake))
            self._in_a_row(step, "wrong", player, zero(real) and one(fake))
            self._in_a_row(step, "no gradient", player, values.get("gradient_norm") == 0)
            for name, sign in (("gradient_norm", "exploding"), ("parameter_norm", "growing")):
                if name in values:
                    self._grown(step, sign, player, float(values[name]))

    def sampled(self, step: int, samples: Any) -> None:
        """Looks for a collapse in samples `[n, ...]` from the same latents as ever."""
        variation = float(np.asarray(samples, np.float64).std(axis=0).mean())
        if variation < COLLAPSED * self._largest:
            self.note(step, "collapse", share=variation / self._largest)
        self._largest = max(self._largest, variation)

    def evaluated(self, step: int, name: str, values: dict[int, float], *, mode: str) -> None:
        """Looks whether the last of the evaluations, by step, is much worse than the best."""
        choose, now = (min if mode == "min" else max), values[step]
        at = choose(values, key=lambda step: values[step])
        ratio = now / values[at] if mode == "min" else values[at] / now if now else math.inf
        if values[at] > 0 and ratio > WORSE:
            self.note(step, "worse", who=name, value=now, best=values[at], at=at)

    def _in_a_row(self, step: int, sign: str, player: str, seen: bool) -> None:
        name = f"{sign}: {player}"
        self._row[name] = self._row[name] + 1 if seen else 0
        if self._row[name] == LOGS:
            self.note(step, sign, who=player)

    def _grown(self, step: int, sign: str, player: str, value: float) -> None:
        before = self._norms[f"{sign}: {player}"]
        if len(before) >= LOGS and value > EXPLODED * (usual := before[len(before) // 2]) > 0:
            self.note(step, sign, who=player, value=value, factor=value / usual)
        bisect.insort(before, value)  # sorted, so that the median of a long run takes no time


def with_norms(state: TrainState, metrics: Metrics) -> Metrics:
    """Metrics with the norms of each player's parameters and, with Adam, of its gradient.

    The latter is the norm of Adam's moving average of the gradients, which the state holds.
    """
    moments = {player: _moments(opt_state) for player, opt_state in state.opt_state.items()}
    norms = _norms(state.params, {player: found for player, found in moments.items() if found})
    return {player: {**values, **norms.get(player, {})} for player, values in metrics.items()}


@jax.jit
def _norms(params: ByPlayer, moments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    norms = {player: {"parameter_norm": _norm(own)} for player, own in params.items()}
    for player, found in moments.items():
        norms[player]["gradient_norm"] = _norm(found)
    return norms


def _norm(tree: Any) -> Any:
    return optax.tree.norm(jax.tree.map(lambda x: x.astype(jnp.float32), tree))


def _moments(opt_state: Any) -> list[Any]:
    is_adam = lambda node: isinstance(node, optax.ScaleByAdamState)
    return [node.mu for node in jax.tree.leaves(opt_state, is_leaf=is_adam) if is_adam(node)]
