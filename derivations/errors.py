"""The typed errors of both packages: each message is one line that names the field and the value."""


class DataError(ValueError):
    """Input data that no statistics can be made of, or statistics that contradict themselves."""


class DomainError(ValueError):
    """A network, start or law outside its domain of definition."""


class SolveError(RuntimeError):
    """A solver that stopped before its goal; the message says how far it came."""


class StoreError(OSError):
    """A file or folder of results that is damaged, foreign or not writable."""
