"""The errors of this package. A program that uses it turns them into errors of its own."""


class LocalError(Exception):
    """Something on this machine is not as it must be; the message names it and the remedy."""

    exit_code = 1


class LockedError(LocalError):
    """Another process holds a lock."""


class ShortageError(LocalError):
    """The machine has too little of something; the message has the amount."""


class HostError(LocalError):
    """The value of `--allow-host` or `--allow-origin` is not a host or an origin."""
