"""From SMILES text to one standard molecule with a canonical atom order."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from unimol2_tasks.chemistry.rejection import Rejected, RejectionStage

Standardisation = Literal["none", "clean", "parent"]
Change = Literal["cleaned", "fragments", "charges", "tautomer", "isotopes", "stereo"]
"""What standardisation did to a molecule, for counting."""

_INPUT_INDEX = "_unimol2_input_index"
_LOG_PREFIX = re.compile(r"^\[\d\d:\d\d:\d\d\] (SMILES Parse Error: )?")


@dataclass(frozen=True, slots=True)
class CanonicalMolecule:
    """A molecule whose atom order depends on the molecule alone, not on how it was written."""

    mol: Chem.Mol
    """Parsed from `smiles`, so its atoms are in canonical order."""
    smiles: str
    """Isomeric canonical SMILES."""
    inchikey: str
    """Standard InChIKey."""
    atom_map: NDArray[np.uint16]
    """[n] For each heavy atom its place in the input SMILES, counting every written atom from 0."""


def parse_smiles(text: str) -> Chem.Mol:
    """Read SMILES; every atom remembers its place in `text`.

    Raises:
        Rejected: `text` is empty, not SMILES, impossible chemistry, or holds an atom that is no element.
    """
    if not text.strip():
        raise Rejected("parse", "empty SMILES")
    parser: Any = Chem.SmilesParserParams()
    parser.removeHs = False
    with rdBase.CaptureErrorLog() as log, _rejecting("parse"):
        mol = Chem.MolFromSmiles(text.strip(), parser)
        if mol is None:
            raise Rejected("parse", _first_message(log.messages))
        for atom in mol.GetAtoms():
            atom.SetIntProp(_INPUT_INDEX, atom.GetIdx())
            if atom.GetAtomicNum() == 0:
                raise Rejected("parse", f"atom {atom.GetIdx()} ({atom.GetSmarts()}) is no element")
        return Chem.RemoveHs(mol)


def standardise(mol: Chem.Mol, mode: Standardisation) -> Chem.Mol:
    """Bring a molecule into standard form by RDKit's MolStandardize.

    Args:
        mol: As parsed.
        mode: `none`: as given. `clean`: hydrogens removed, metals disconnected, functional groups
            normalised, charges moved to the right acids; isotopes, stereo and charges stay.
            `parent`: `clean`, then the largest fragment, neutralised.

    Raises:
        Rejected: The clean-up failed.
    """
    if mode == "none":
        return mol
    with rdBase.BlockLogs(), _rejecting("standardise"):
        # Some of RDKit's rules depend on the order of the atoms, and none renews the aromaticity of
        # a ligand that lost its metal.
        Chem.MolToSmiles(mol)
        standard = Chem.RenumberAtoms(mol, _output_order(mol))
        if mode == "clean":
            rdMolStandardize.CleanupInPlace(standard)
        else:
            rdMolStandardize.ChargeParentInPlace(standard)
        Chem.SanitizeMol(standard)
    return standard


def canonicalise(mol: Chem.Mol, max_atoms: int) -> CanonicalMolecule:
    """Give a molecule its canonical SMILES, InChIKey and atom order.

    Args:
        mol: From `parse_smiles`, standardised or not.
        max_atoms: Heavy atoms above which it is rejected.

    Raises:
        Rejected: No or too many heavy atoms, or no InChIKey.
    """
    atoms = mol.GetNumHeavyAtoms()
    if atoms == 0:
        raise Rejected("standardise", "no heavy atoms")
    if atoms > max_atoms:
        raise Rejected("standardise", f"{atoms} heavy atoms, max_atoms is {max_atoms}")
    with rdBase.CaptureErrorLog() as log, _rejecting("standardise"):
        smiles = Chem.MolToSmiles(mol)
        written = (mol.GetAtomWithIdx(index) for index in _output_order(mol))
        places = [atom.GetIntProp(_INPUT_INDEX) for atom in written if atom.GetAtomicNum() > 1]
        canonical = Chem.MolFromSmiles(smiles)
        if canonical is None:
            raise Rejected("standardise", f"its canonical form is refused: {_first_message(log.messages)}")
        inchikey = Chem.MolToInchiKey(canonical)  # type: ignore[no-untyped-call]
        if not inchikey:
            raise Rejected("standardise", f"no InChIKey: {_first_message(log.messages)}")
    return CanonicalMolecule(canonical, smiles, inchikey, np.array(places, np.uint16))


def _output_order(mol: Chem.Mol) -> list[int]:
    """The atoms in the order in which `MolToSmiles` has just written them."""
    return list(mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"])


@contextmanager
def _rejecting(stage: RejectionStage) -> Iterator[None]:
    """RDKit raises its sanitisation errors as ValueError and its broken invariants as RuntimeError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise Rejected(stage, _first_message(str(error))) from None


def _first_message(log: str) -> str:
    lines = [_LOG_PREFIX.sub("", line).strip() for line in log.splitlines()]
    return next((line for line in lines if line), "RDKit gave no reason")
