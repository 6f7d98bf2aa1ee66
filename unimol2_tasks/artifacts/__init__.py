"""Artifacts: folders with a manifest, validated tables, and the places where they live."""
