"""One plain function per step: `run(params, inputs, out, store) -> ArtifactRef`. No Prefect, no CLI."""
