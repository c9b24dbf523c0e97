"""Numbers on a command line, in plain digits: Python would take 1_0 and digits of other scripts."""

from __future__ import annotations

import argparse
import re


def integer(text: str) -> int:
    """A whole number."""
    if not re.fullmatch(r"[+-]?[0-9]{1,400}", text):
        raise argparse.ArgumentTypeError(f"not a whole number: {text[:80]!r}")
    return int(text)


def real(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9.]+([eE][+-]?[0-9]+)?|inf|nan)", text):
        raise argparse.ArgumentTypeError(f"not a number: {text[:80]!r}")
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text[:80]!r}") from None
