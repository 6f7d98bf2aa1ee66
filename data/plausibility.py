"""Which molecules a chemist would expect to keep in a bottle."""

from rdkit import Chem

_UNSTABLE = {
    "hetero atoms in a chain": "[#7,#8,#16]-[#7,#8,#16]",
    "halogen on a hetero atom": "[#7,#8,#16]-[F,Cl]",
    "enol or enamine with a free hydrogen": "C=[CX3;!$(C=[#7,#8])]-[OX2H,NX3;H1,H2]",
    "hemiacetal or hemiaminal": "[CX4]([#7,#8,#16])[OX2H,NX3;H1,H2]",
    "open acetal or aminal": "[CX4;!R]([#7,#8,#16])[#7,#8,#16]",
    "saturated carbon between nitrogen and a hetero atom": "[CX4]([#7])[#7,#8,#16]",
    "halogen beside a hetero atom": "[CX4]([#7,#8,#16])[F,Cl]",
    "acyl halide or imidoyl halide": "[CX3;!a](=[#7,#8])[F,Cl]",
    "nitrile or alkyne on a hetero atom": "[#7,#8,#16]C#[#6,#7]",
    "multiple bond at a three-membered ring": "[r3]=*",
    "small ring alkene with a hetero atom": "[#7,#8,#16;r4]-[C;r4]=[C,N;r4]",
    "cyclobutadiene and its quinones": "[r4]=,:[r4]-[r4]=[*]",
    "cyclopentadienone": "O=C1C=CC=C1",
    "allene": "C=C=*",
    "two carbonyls in a row": "[CX3](=O)[CX3](=O)",
    "acid anhydride or its thio analogue": "C(=O)[O,S]C(=O)",
    "imine with a free hydrogen": "[CX3]=[NX2H]",
    "aromatic oxygen or sulfur beside another": "[o,s]:[o,s]",
    "thiirane": "[#16;r3]",
    "four-membered ring with two hetero atoms": "[#7,#8,#16]1~C~[#7,#8,#16]~C~1",
    "two hetero atoms side by side in a four-membered ring": "[#7,#8,#16;r4]~[#7,#8,#16;r4]",
    "two sulfurs outside aromatic rings": "[S;R].[S;R]",
    "thiolactone": "[S;R]C=O",
}
_PATTERNS = tuple(Chem.MolFromSmarts(pattern) for pattern in _UNSTABLE.values())


def is_plausible(mol: Chem.Mol) -> bool:
    """Say whether a molecule is free of groups that hydrolyse, tautomerise or fall apart on their own."""
    return not any(mol.HasSubstructMatch(pattern) for pattern in _PATTERNS)
