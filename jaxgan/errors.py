"""What a user can mend."""


class UserError(Exception):
    """Something found that is not what was expected; one line says what, and what to do.

    Commands print the line and end with `exit_status`. Subclasses stand where they are raised.
    """

    exit_status = 2
