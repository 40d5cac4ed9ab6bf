"""Eigenvalues of the Jacobian of a game's vector field: all of a small game's, or the leading ones.

In descent convention, eigenvalues with a positive real part attract, those with a negative one
repel, and imaginary parts rotate. Descent with step size h multiplies by `1 - h lambda`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import numpy as np

from jaxgan.dynamics.field import Field, flattened, jacobian
from jaxgan.errors import ConvergenceError
from jaxgan.types import ByPlayer


class Spectrum(NamedTuple):
    """Eigenvalues of a Jacobian, and how exact they are.

    Attributes:
      values: eigenvalues, `complex[k]`, those of the largest modulus first.
      residuals: `|J v - lambda v| / max(|J u|)` of each, with unit eigenvectors v and all
        eigenvectors u that were found; `[k]`.

    Example, of descent that rotates and attracts:
      >>> field = lambda p: {"x": p["x"] + p["y"], "y": p["y"] - p["x"]}
      >>> found = spectrum(field, {"x": 1.0, "y": 1.0})
      >>> found.values.real.tolist(), bool(found.residuals.max() < 1e-6)
      ([1.0, 1.0], True)
    """

    values: np.ndarray
    residuals: np.ndarray


def spectrum(field: Field, params: ByPlayer) -> Spectrum:
    """All eigenvalues, from the dense Jacobian, in `O(n^3)` time and `O(n^2)` memory.

    Args:
      field: from `vector_field`.
      params: where the Jacobian is taken, n numbers in all.

    Returns:
      The n eigenvalues.

    Reference:
      Mescheder, Nowozin and Geiger, *The Numerics of GANs*, 2017, https://arxiv.org/abs/1705.10461.

    Example:
      >>> eigenvalues = spectrum(lambda p: {"x": p["y"], "y": -p["x"]}, {"x": 1.0, "y": 1.0}).values
      >>> sorted(eigenvalues.imag.tolist())
      [-1.0, 1.0]
    """
    matrix = np.asarray(jax.jit(lambda p: jacobian(field, p))(params), np.float64)
    values, vectors = np.linalg.eig(matrix)
    return _ordered(values, vectors, matrix @ vectors)


def leading_spectrum(
    field: Field,
    params: ByPlayer,
    num: int = 6,
    *,
    which: Literal["LM", "LR", "SR", "LI"] = "LM",
    tolerance: float = 1e-4,
    max_iterations: int | None = None,
    seed: int = 0,
) -> Spectrum:
    """Leading eigenvalues by Arnoldi iteration (ARPACK) on Jacobian-vector products.

    The Jacobian is never formed: a product takes the memory of a few gradients on the device, and
    the iteration `max(2 num + 1, 20)` vectors of n numbers on the host.

    Args:
      field: from `vector_field`.
      params: where the Jacobian is taken, n numbers in all.
      num: number of eigenvalues, at least 1 and at most n - 2.
      which: those of the largest modulus (LM), largest or smallest real part (LR, SR; the latter
        repel), or largest imaginary part (LI; the fastest rotations).
      tolerance: largest relative residual. Products in float32 have errors of about 1e-6.
      max_iterations: restarts of the iteration; ARPACK's 10 n by default.
      seed: seed of the first vector.

    Returns:
      `num` eigenvalues. If `num` splits a conjugate pair, one of the two is returned.

    Raises:
      ValueError: `num` is out of range.
      ConvergenceError: the iteration did not converge, or a residual is above the tolerance.

    Reference:
      Lehoucq, Sorensen and Yang, *ARPACK Users' Guide*, 1998,
      https://doi.org/10.1137/1.9780898719628.

    Example:
      >>> rotation = leading_spectrum(field, params, 4, which="LI")  # doctest: +SKIP
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    flat, product = flattened(field, params)
    n = flat.size
    if not 1 <= num <= n - 2:
        raise ValueError(f"num is {num}, expected 1 to {n - 2} of {n} parameters; use spectrum")
    compiled = jax.jit(product)
    matvec = lambda v: np.asarray(compiled(np.asarray(v, flat.dtype).reshape(n)), np.float64)
    operator = LinearOperator((n, n), matvec, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(n)
    try:
        values, vectors = eigs(
            operator, num, which=which, v0=start, tol=tolerance / 10, maxiter=max_iterations
        )
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            f"{len(error.eigenvalues)} of {num} eigenvalues converged to {tolerance / 10:g}; raise "
            "the tolerance, the number of eigenvalues or that of iterations"
        ) from None
    found = _ordered(values, vectors, _images(matvec, vectors))
    if not (worst := found.residuals.max()) <= tolerance:
        raise ConvergenceError(
            f"the largest residual is {worst:.2g}, expected at most {tolerance:g}; raise the "
            "tolerance, or compute in float64"
        )
    return found


def _images(matvec: Callable[[np.ndarray], np.ndarray], vectors: np.ndarray) -> np.ndarray:
    """`J v` of complex vectors `[n, k]`, by real products."""
    columns = [matvec(v.real) + 1j * matvec(v.imag) for v in vectors.T]
    return np.stack(columns, axis=1)


def _ordered(values: np.ndarray, vectors: np.ndarray, images: np.ndarray) -> Spectrum:
    scale = max(np.linalg.norm(images, axis=0).max(), np.finfo(np.float32).tiny)
    residuals = np.linalg.norm(images - values * vectors, axis=0) / scale
    order = np.argsort(-np.abs(values), kind="stable")
    return Spectrum(values[order].astype(complex), residuals[order])
