"""The one error type for what a user can put right."""


class LakeError(Exception):
    """A fault whose message says what was wrong with which input and what to do about it.

    Commands print the message without a stack trace and exit with code 1.
    """
