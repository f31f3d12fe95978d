"""Errors that are the user's to mend, and requests to stop."""


class UserError(Exception):
    """One line: what was wrong, with the value, and what to do. run.py prints it and exits with code 2."""


class Interrupted(BaseException):
    """A signal asked the run to stop; its checkpoint is written. run.py exits with code 128 + signum.

    No Exception: it may come while a library (torch's compiler, a data loader) turns exceptions into its own.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}; the same command continues")
        self.signum = signum
