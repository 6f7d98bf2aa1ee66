"""The Uni-Mol2 network."""
