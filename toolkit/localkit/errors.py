"""The errors of this package. A program that uses it converts them to its own errors."""


class LocalError(Exception):
    """A problem of this machine; the message has the reason and the remedy."""

    exit_code = 1


class LockedError(LocalError):
    """Another process holds a lock."""


class ShortageError(LocalError):
    """The machine has too little disk space or too few files; the message has the amount."""


class HostError(LocalError):
    """The value of `--allow-host` or `--allow-origin` is not a host or an origin."""
