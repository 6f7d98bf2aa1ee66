"""Fixtures shared by all tests: small real artifacts, made once per test process."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from slurm_cluster import SlurmCluster

# One thread each: the tests run in several processes at once on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(
    {
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The default of 20 s is short for a first start with a fresh database.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
)

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params

# A busy machine must not fail a property.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

ROOT = Path(__file__).parents[1]

SMILES = (ROOT / "tests" / "molecules.smi").read_text(encoding="utf-8").split()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference values and real data that lie beside the project and are not part of it."""
    shared = ROOT.parent / "shared"
    if not (shared / "reference").is_dir():
        pytest.skip(f"reference values and real data are absent: no folder {shared.name}/ beside the project")
    return shared


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_params() -> Params:
    """Parameters with which every step takes seconds; two ranks, so that the ranks' part is exercised."""
    training = {"ranks": 2, "batch_size": 8, "learning_rate": 1e-3, "log_every": 2}
    return parse_params(
        {
            "prepare": {"conformers": 2, "split": "random", "valid_fraction": 0.2, "test_fraction": 0.2},
            "model": {
                "preset": "tiny", "blocks": 2, "atom_dim": 32, "heads": 2, "ffn_dim": 32, "pair_dim": 16,
                "pair_hidden_dim": 8,
            },
            "pretrain": {
                **training, "steps": 12, "warmup_steps": 2, "validate_every": 4, "checkpoint_every": 4,
            },
            "finetune": {**training, "epochs": 4, "checkpoint_every": 4},
            "evaluate": {"bootstrap": 20},
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def tiny_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 40 real molecules with a value, a class, and a value that some lack."""
    path = tmp_path_factory.mktemp("table") / "molecules.csv"
    lines = ["name,smiles,weight,aromatic,partial"]
    for number, smiles in enumerate(SMILES):
        weight = sum(character.isalpha() for character in smiles)
        partial = "" if number % 4 == 0 else str(weight / 2)
        lines.append(f"m{number},{smiles},{weight},{int('c' in smiles)},{partial}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the session's tiny artifacts lie."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def tiny_dataset(tiny_artifacts: Path, tiny_table: Path, tiny_params: Params) -> ArtifactRef:
    """The table, prepared."""
    from unimol2_tasks.stages import prepare

    return prepare.run(
        tiny_params.prepare, prepare.PrepareInputs(str(tiny_table)), str(tiny_artifacts / "dataset")
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_artifacts: Path, tiny_dataset: ArtifactRef, tiny_params: Params) -> ArtifactRef:
    """A model pretrained on the tiny dataset."""
    from unimol2_tasks.stages import pretrain

    return pretrain.run(tiny_params, pretrain.PretrainInputs(tiny_dataset.uri), str(tiny_artifacts / "model"))


@pytest.fixture(scope="session")
def tiny_predictor(
    tiny_artifacts: Path, tiny_dataset: ArtifactRef, tiny_model: ArtifactRef, tiny_params: Params
) -> ArtifactRef:
    """A predictor of all three labels, fine-tuned from the tiny model."""
    from unimol2_tasks.stages import finetune

    return finetune.run(
        tiny_params,
        finetune.FinetuneInputs(tiny_dataset.uri, tiny_model.uri),
        str(tiny_artifacts / "predictor"),
    )


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """A Slurm of this machine, whose commands come first on PATH; nothing of it outlives the test."""
    cluster = SlurmCluster(tmp_path / "cluster")
    cluster.install()
    monkeypatch.setenv("PATH", str(cluster.bin), prepend=":")
    yield cluster
    cluster.shut_down()
