"""Errors that are the user's to mend, and requests to stop."""


class UserError(Exception):
    """One line: what was wrong, with the value, and what to do. run.py prints it and exits with code 2."""


class Interrupted(Exception):
    """A signal asked the run to stop; its checkpoint is written. run.py exits with code 128 + signum."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}; the same command continues")
        self.signum = signum
