"""The scaling law of Uni-Mol2: its formula, and its fit to the curves of finished runs."""
