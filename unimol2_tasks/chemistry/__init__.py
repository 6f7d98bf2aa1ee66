"""Molecules by RDKit: standardisation, conformers, graph features, scaffolds and splits."""
