"""Drawings of molecules for reports."""

from typing import Any

from rdkit.Chem.Draw import rdMolDraw2D

from unimol2_tasks.chemistry.parsing import parse_smiles


def draw_svg(smiles: str, size: tuple[int, int] = (250, 180)) -> str:
    """An `<svg>` element, to be placed into HTML as it is.

    Args:
        smiles: The molecule.
        size: Width and height in pixels.

    Raises:
        Rejected: `smiles` cannot be parsed.
    """
    drawer = rdMolDraw2D.MolDraw2DSVG(*size)
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, parse_smiles(smiles))
    drawer.FinishDrawing()
    text: str = drawer.GetDrawingText()
    return text[text.index("<svg") :].strip()
