"""The error with which the server process ends before it serves; a program that starts the server reads its text."""


class ChdbHttpError(Exception):
    """The server cannot start; the message says why, with the value concerned, and what to do next."""

    exit_code = 1
