"""Command on the dynamics of a run: its spectrum."""

import jax
import numpy as np

from jaxgan import dynamics
from jaxgan.data.decode import SUFFIXES
from jaxgan.dynamics.plots import save_plot
from jaxgan.errors import RunError
from jaxgan.runs.command_line import arguments
from jaxgan.runs.commands.restore import restore
from jaxgan.runs.directory.files import check_place


def spectrum(args: arguments.Spectrum) -> None:
    """Draws and writes the leading eigenvalues of the Jacobian at the last parameters of a run.

    Raises:
      UserError: an error of `load_run`, the number of eigenvalues is out of range, or the iteration
        did not converge.
    """
    if args.minibatch < 0:
        raise RunError(f"--minibatch is {args.minibatch}, expected at least 0")
    check_place(args.out, endings=SUFFIXES)
    if not args.run.is_dir():  # before data are searched for
        restore(args).check_complete()
    run = restore(args, with_data=True)
    state, key = run.state, jax.random.key(run.config.seed)
    batch = jax.tree.map(lambda x: x[0], run.experiment.minibatches(args.minibatch, 1))
    field = dynamics.vector_field(run.game, state.model_state, batch, key, state.step)
    try:
        found = dynamics.leading_spectrum(
            field, state.params, args.num, which=args.which, tolerance=args.tolerance
        )
    except ValueError as error:
        raise RunError(f"--num: {error}") from None
    save_plot(args.out, lambda ax: dynamics.draw_spectrum(ax, {f"step {run.step}": found}))
    np.savez(args.out.with_suffix(".npz"), values=found.values, residuals=found.residuals)
    real, imaginary = found.values.real, np.abs(found.values.imag)
    print(
        f"{args.out}: {len(found.values)} eigenvalues of {args.run} at step {run.step}, the "
        f"largest {found.values[0]:.4g}, real parts from {real.min():.4g} to {real.max():.4g}, "
        f"imaginary parts to {imaginary.max():.4g}, residuals to {found.residuals.max():.1e}"
    )
