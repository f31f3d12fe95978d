"""Errors that are the user's to mend."""


class UserError(Exception):
    """One line: what was wrong, with the value, and what to do. run.py prints it and exits with code 2."""
