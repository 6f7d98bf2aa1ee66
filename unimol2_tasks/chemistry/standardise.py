"""Bringing a molecule into standard form by RDKit's MolStandardize, and saying what that changed."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from unimol2_tasks.chemistry.canonical import CanonicalMolecule, canonicalise
from unimol2_tasks.chemistry.rdkit_messages import rejecting
from unimol2_tasks.params import PrepareParams

Change = Literal["cleaned", "fragments", "charges", "tautomer", "isotopes", "stereo"]
"""What standardisation did to a molecule, for counting."""

_PLACE = "_unimol2_place"

# Made once: CleanupInPlace makes its own for every molecule, which takes longer than their work.
_METALS = rdMolStandardize.MetalDisconnector()
_GROUPS = rdMolStandardize.Normalizer()
_ACIDS = rdMolStandardize.Reionizer()
_FRAGMENTS = rdMolStandardize.LargestFragmentChooser(rdMolStandardize.CleanupParameters())
_CHARGES = rdMolStandardize.Uncharger()
_TAUTOMERS = rdMolStandardize.TautomerEnumerator()

_CHARGED = Chem.MolFromSmarts("[!+0]")
_CHARGED_OR_ALONE = Chem.MolFromSmarts("[!+0,D0]")
_ISOTOPE = Chem.MolFromSmarts("[!0*]")


def standardise(
    molecule: CanonicalMolecule, params: PrepareParams
) -> tuple[CanonicalMolecule, tuple[Change, ...]]:
    """Bring a molecule into standard form.

    `standardise=none` leaves it as given. `clean` disconnects metals, normalises functional groups and
    moves charges to the strongest acids; isotopes, stereo and charges stay. `parent` is `clean`, then the
    largest fragment, neutralised. Then, where asked for: isotopes and stereo forgotten, and RDKit's
    canonical tautomer, which forgets the stereo of what takes part in tautomerism; it is the best of 1000
    where there are more.

    Args:
        molecule: As given. Its order is canonical, because some of RDKit's rules depend on the order.
        params: Of the preparation.

    Returns:
        The molecule in standard form, and what really happened to it.

    Raises:
        Rejected: RDKit failed at it.
    """
    with rdBase.BlockLogs(), rejecting("standardise"):
        standard = _Standard(molecule)
        if params.standardise != "none":
            standard.clean()
        if params.standardise == "parent":
            standard.reduce_to_parent()
        if params.remove_isotopes:
            standard.forget_isotopes()
        if params.remove_stereo:
            standard.forget_stereo()
        if params.tautomer:
            standard.choose_tautomer()
    if not standard.changes:
        return molecule, ()
    return standard.molecule(), tuple(dict.fromkeys(standard.changes))


class _Standard:
    """A molecule on its way into standard form."""

    def __init__(self, molecule: CanonicalMolecule) -> None:
        self.changes: list[Change] = []
        self._mol = Chem.Mol(molecule.mol)
        self._smiles = molecule.smiles
        for atom, place in zip(self._heavy(), molecule.atom_map.tolist(), strict=True):
            atom.SetIntProp(_PLACE, place)

    def molecule(self) -> CanonicalMolecule:
        """The molecule as it is now."""
        places = np.zeros(self._mol.GetNumAtoms(), np.int64)
        for atom in self._heavy():
            places[atom.GetIdx()] = atom.GetIntProp(_PLACE)
        return canonicalise(self._mol, places)

    def _heavy(self) -> Iterator[Chem.Atom]:
        # Iterating over GetAtoms() takes twice as long.
        atoms = map(self._mol.GetAtomWithIdx, range(self._mol.GetNumAtoms()))
        return (atom for atom in atoms if atom.GetAtomicNum() > 1)

    def clean(self) -> None:
        """What CleanupInPlace does to a molecule without hydrogens."""
        mol = self._mol
        _METALS.DisconnectInPlace(mol)
        _GROUPS.normalizeInPlace(mol)
        # Without charges and lone atoms it has nothing to do, and looks for it a long time.
        if mol.HasSubstructMatch(_CHARGED_OR_ALONE):
            _ACIDS.reionizeInPlace(mol)
        self._note("cleaned", mol)

    def reduce_to_parent(self) -> None:
        """What ChargeParentInPlace does after its first clean-up."""
        mol = self._mol
        if len(Chem.GetMolFrags(mol)) > 1:
            _FRAGMENTS.chooseInPlace(mol)
            self._note("fragments", mol)
        if mol.HasSubstructMatch(_CHARGED):
            _CHARGES.unchargeInPlace(mol)
            self._note("charges", mol)
        if self.changes:
            self.clean()

    def forget_isotopes(self) -> None:
        mol = self._mol
        if not mol.HasSubstructMatch(_ISOTOPE):
            return
        for atom in mol.GetAtoms():
            atom.SetIsotope(0)
        # What was deuterium is now a hydrogen like any other.
        self._note("isotopes", Chem.RemoveHs(mol))

    def forget_stereo(self) -> None:
        mol = self._mol
        Chem.RemoveStereochemistry(mol)
        self._note("stereo", mol)

    def choose_tautomer(self) -> None:
        self._note("tautomer", _TAUTOMERS.Canonicalize(self._mol))

    def _note(self, change: Change, mol: Chem.Mol) -> None:
        """Go on with `mol`; it is the same molecule as before if it is spelled so."""
        smiles = Chem.MolToSmiles(mol)
        if smiles != self._smiles:
            self.changes.append(change)
            # No step renews what depends on its changes, as the aromaticity of a ligand without its metal.
            Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
            Chem.SanitizeMol(mol)
            smiles = Chem.MolToSmiles(mol)
        self._mol, self._smiles = mol, smiles
