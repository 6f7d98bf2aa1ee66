"""The units that labels are in."""

import re
from collections.abc import Mapping

_UNITS = frozenset({"eV", "meV", "debye", "Debye", "Hartree", "hartree", "bohr", "nm", "kcal", "kJ"})
_SYMBOLS = (
    r"[fpnuµμmcdkMG]?(?:eV|V|J|cal|Hz|g|m|s|l|L|M|mol|Pa|bar|Da)",
    r"[Hh]artrees?|Eh|bohr|a0|a\.u\.|[Dd]ebye|D|K|°C|Å|atm|mmHg|min|h|hours?|days?|ppm|ppb|U|IU",
)
_FACTOR = re.compile(rf"(?:{'|'.join(_SYMBOLS)})(?:\^?[-−]?\d+|[⁻¹²³]+)?")
_NUMBER = re.compile(r"(?:log|log10|ln|\d+(?:\.\d+)?(?:\^?[-−]\d+)?)")
_LOGARITHM = re.compile(r"[Ll]og(?![a-z]{2})|LOG(?![A-Z]{2})")
"""`LOG CL`, `log_CL`, `logS` or `logBB`, but not `logical`."""


def unit_of(label: str, given: Mapping[str, str]) -> str:
    """The unit of a label: as given, or as its name says, as in `gap_eV` or `gap (eV)`; else empty.

    Of `log CL (mL/min/kg)` it is `log mL/min/kg`: the values are logarithms. Other text in parentheses, as in
    `pIC50 (mean of 3)`, is none.
    """
    if label in given:
        return given[label]
    unit = _named_unit(label)
    return f"log {unit}" if unit and _LOGARITHM.match(label) and not unit.startswith("log") else unit


def _named_unit(label: str) -> str:
    if label.endswith(")") and "(" in label:
        unit = label[:-1].rpartition("(")[2]
        return unit if _is_unit(unit) else ""
    unit = label.rpartition("_")[2]
    return unit if unit in _UNITS else ""


def _is_unit(text: str) -> bool:
    """Whether it is a product of units, such as mL min-1 kg-1 or 10^-6 cm/s, or a percentage of something."""
    if text.startswith("%"):
        return True
    parts = [part for part in re.split(r"[\s/·*]+", text) if part and not _NUMBER.fullmatch(part)]
    return bool(parts) and all(_FACTOR.fullmatch(part) for part in parts)


def bare_name(label: str) -> str:
    """A label without the unit that its name carries."""
    if not unit_of(label, {}):
        return label
    return (label.rpartition("(")[0] if label.endswith(")") else label.rpartition("_")[0]).strip()
