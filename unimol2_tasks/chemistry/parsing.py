"""From text to a molecule as it was written: SMILES or a mol block."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from unimol2_tasks.chemistry.rdkit_messages import first_message, logged_message, rejecting
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure

_PLACE = "_unimol2_place"
_MOST_WRITTEN_ATOMS = int(np.iinfo(np.uint16).max) + 1
_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "none", "null", "nil", "-", "?", "missing"})
# CTfile formats, "Sgroup type": everything that stands for a polymer or one part of it.
_POLYMERS = frozenset({"SRU", "MON", "MER", "COP", "CRO", "MOD", "GRA", "ANY"})

_PARSER: Any = Chem.SmilesParserParams()
_PARSER.removeHs = False
_PARSER.parseName = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """A molecule as it was written."""

    mol: Chem.Mol
    """Without hydrogens but those that RDKit keeps, as deuterium; its atoms in the written order."""
    places: NDArray[np.int64]
    """[atoms of `mol`] their places in the text, counting every written atom from 0."""


def parse(structure: Structure) -> Parsed:
    """Read a structure: its mol block where there is one, else its SMILES.

    Mol blocks may be V2000 or V3000; places are their atom lines. Where the coordinates have three
    dimensions by RDKit's rule (a z that is not 0, or the header's 3D tag without stereo bonds), stereo comes
    from them; else from the bonds.

    Raises:
        Rejected: It cannot be read, is impossible chemistry, or not one definite molecule.
    """
    if structure.mol_block is not None:
        return _read_mol_block(structure.mol_block)
    return _read_smiles(structure.smiles)


def parse_smiles(text: str) -> Chem.Mol:
    """Read SMILES or CXSMILES; hydrogens are removed, and a name behind the SMILES is left out.

    Raises:
        Rejected: `text` is empty, not SMILES, impossible chemistry, or not one definite molecule.
    """
    return _read_smiles(text).mol


def _read_smiles(text: str) -> Parsed:
    smiles, _, rest = text.strip().replace("\t", " ").partition(" ")
    if not smiles:
        raise Rejected("parse", "empty SMILES")
    # RDKit takes both for the end of the SMILES, so that half a molecule would be read.
    if not smiles.isascii() or len(smiles.split()) > 1:
        strange = next(character for character in smiles if not character.isascii() or character.isspace())
        raise Rejected("parse", f"{strange!r} is no character of SMILES")
    extension = rest.lstrip()
    written = f"{smiles} {extension}" if extension.startswith("|") else smiles
    with rdBase.CaptureErrorLog() as log, rejecting("parse"):
        mol = Chem.MolFromSmiles(written, _PARSER)
        if mol is None:
            raise Rejected("parse", _why_no_smiles(written, log.messages))
        return _definite(mol)


def _read_mol_block(block: str) -> Parsed:
    if not block.strip():
        raise Rejected("parse", "empty mol block")
    if block.startswith("$RXN"):
        raise Rejected("parse", "a reaction, not a molecule")
    with rdBase.BlockLogs(), rejecting("parse"):
        mol = Chem.MolFromMolBlock(block, removeHs=False)
        if mol is not None:
            return _definite(mol)
    raise Rejected("parse", logged_message(lambda: Chem.MolFromMolBlock(block, removeHs=False)))


def _why_no_smiles(text: str, log: str) -> str:
    if text.casefold() in _MISSING:
        return f"{text!r} stands for a missing value, not for a molecule"
    if text.replace("->", "").count(">") >= 2:
        return "a reaction, not a molecule"
    if text.startswith("InChI="):
        return "an InChI, not SMILES"
    if not log and "|" in text:
        return "its CXSMILES extension cannot be read"
    return first_message(log)


def _definite(mol: Chem.Mol) -> Parsed:
    """The molecule without hydrogens, if each of its atoms and bonds is one."""
    atoms = mol.GetNumAtoms()
    if not atoms:
        raise Rejected("parse", "no atoms")
    if atoms > _MOST_WRITTEN_ATOMS:
        raise Rejected("parse", f"{atoms:,} atoms; at most {_MOST_WRITTEN_ATOMS:,} can be numbered")
    heavy_only = mol.GetNumHeavyAtoms() == atoms
    if mol.HasQuery() or not heavy_only:
        _refuse_patterns(mol)
    if any(group.GetProp("TYPE") in _POLYMERS for group in Chem.GetMolSubstanceGroups(mol)):
        raise Rejected("parse", "a polymer's repeating unit, not a molecule")
    if heavy_only:
        return Parsed(mol, np.arange(atoms))
    for place, atom in enumerate(mol.GetAtoms()):
        atom.SetIntProp(_PLACE, place)
    bare = Chem.RemoveHs(mol)
    return Parsed(bare, np.array([atom.GetIntProp(_PLACE) for atom in bare.GetAtoms()], np.int64))


def _refuse_patterns(mol: Chem.Mol) -> None:
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            raise Rejected("parse", f"atom {atom.GetIdx()} ({atom.GetSmarts()}) is a wildcard, no element")
        if atom.HasQuery():
            raise Rejected("parse", f"atom {atom.GetIdx()} ({atom.GetSmarts()}) is a query, no element")
    for bond in mol.GetBonds():
        if bond.HasQuery():
            ends = f"{bond.GetBeginAtomIdx()} and {bond.GetEndAtomIdx()}"
            raise Rejected("parse", f"the bond between atoms {ends} is a query, of no definite order")
