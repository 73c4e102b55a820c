"""The root of the errors that whoever runs a command can mend. It imports nothing, so that any command may know it."""


class StatedError(Exception):
    """The message says what is wrong, and is all that is said."""
