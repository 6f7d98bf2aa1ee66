"""The units that labels are in."""

import re
from collections.abc import Mapping

_UNITS = frozenset({"eV", "meV", "debye", "Debye", "Hartree", "hartree", "bohr", "nm", "kcal", "kJ"})
_DIFFERENCE = re.compile(r"-[A-Za-z]")
"""Exponents are negative, as in kg-1, but no unit is taken from another, as in the direction B-A/A-B."""


def unit_of(label: str, given: Mapping[str, str]) -> str:
    """The unit of a label: as given, or as its name says, as in `gap_eV` or `gap (eV)`; else empty.

    Of `log CL (mL/min/kg)` it is `log mL/min/kg`: the values are logarithms.
    """
    if label in given:
        return given[label]
    unit = _named_unit(label)
    return f"log {unit}" if unit and label.lower().startswith("log") else unit


def _named_unit(label: str) -> str:
    if label.endswith(")") and "(" in label:
        unit = label[:-1].rpartition("(")[2]
        return "" if _DIFFERENCE.search(unit) else unit
    unit = label.rpartition("_")[2]
    return unit if unit in _UNITS else ""


def bare_name(label: str) -> str:
    """A label without the unit that its name carries."""
    if not unit_of(label, {}):
        return label
    return (label.rpartition("(")[0] if label.endswith(")") else label.rpartition("_")[0]).strip()
