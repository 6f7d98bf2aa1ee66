"""The units that labels are in."""

from collections.abc import Mapping

_UNITS = frozenset({"eV", "meV", "debye", "Debye", "Hartree", "hartree", "bohr", "nm", "kcal", "kJ"})


def unit_of(label: str, given: Mapping[str, str]) -> str:
    """The unit of a label: as given, or as its name says, as in `gap_eV` or `gap (eV)`; else empty."""
    if label in given:
        return given[label]
    if label.endswith(")") and "(" in label:
        return label[:-1].rpartition("(")[2]
    unit = label.rpartition("_")[2]
    return unit if unit in _UNITS else ""


def bare_name(label: str) -> str:
    """A label without the unit that its name carries."""
    if not unit_of(label, {}):
        return label
    return (label.rpartition("(")[0] if label.endswith(")") else label.rpartition("_")[0]).strip()
