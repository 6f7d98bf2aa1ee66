"""Fine-tuning by unimol_tools as it is, from random weights; runs in an environment of its own.

Its data hub, network, trainer and predictor are used as MolTrain and MolPredict use them. Two things differ.
MolTrain trains on every fold in turn; here it is one training on a given split. And no weights are loaded:
the checkpoint that the network reads is empty, which its own loader accepts. With `network` in the job its
sizes are replaced, since the smallest that it offers is 84M.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from addict import Dict  # type: ignore[import-not-found]
from unimol_tools import MolPredict, MolTrain  # type: ignore[import-not-found]
from unimol_tools.data import DataHub  # type: ignore[import-not-found]
from unimol_tools.models import NNModel, unimolv2  # type: ignore[import-not-found]
from unimol_tools.tasks import Trainer  # type: ignore[import-not-found]

VERSION = "0.1.6"


def main() -> None:
    """Read the job from the first argument and write its answer to the second."""
    if version("unimol_tools") != VERSION:
        raise SystemExit(f"unimol_tools {version('unimol_tools')} is installed; expected {VERSION}")
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    if job["network"] is not None:
        use_network(job["network"])
    folder = Path(sys.argv[2]).parent / "peer"
    answer = train_and_predict(job, folder)
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


def use_network(sizes: dict[str, int]) -> None:
    """Give its 84M other sizes; dropouts and the rest stay."""
    named = {
        "num_encoder_layers": sizes["blocks"],
        "encoder_embed_dim": sizes["atom_dim"],
        "num_attention_heads": sizes["heads"],
        "encoder_attention_heads": sizes["heads"],
        "ffn_embedding_dim": sizes["ffn_dim"],
        "pair_embed_dim": sizes["pair_dim"],
        "pair_hidden_dim": sizes["pair_hidden_dim"],
    }
    published = unimolv2.molecule_architecture
    unimolv2.molecule_architecture = lambda model_size="84m": Dict({**published(model_size), **named})


def train_and_predict(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Seconds of each part, the number of parameters, and predictions of the test molecules."""
    folder.mkdir()
    empty = folder / "no-weights.pt"
    torch.save({"model": {}}, empty)
    learned = [*job["train"], *job["valid"]]
    door = MolTrain(
        task="regression",
        epochs=job["epochs"],
        learning_rate=job["learning_rate"],
        batch_size=job["batch_size"],
        early_stopping=job["epochs"],
        kfold=1,
        save_path=str(folder),
        use_cuda=False,
        use_amp=False,
        target_normalize="standard",
        model_name="unimolv2",
        model_size="84m",
        pretrained_model_path=str(empty),
        conf_cache_level=0,
    )
    start = time.perf_counter()
    data = {"SMILES": [row["smiles"] for row in learned], "target": [row["label"] for row in learned]}
    hub = DataHub(data=data, is_train=True, save_path=str(folder), **door.config)
    features = time.perf_counter()
    count = len(job["train"])
    hub.data["split_nfolds"] = [(np.arange(count), np.arange(count, len(learned)))]
    door.data = hub.data
    door.update_and_save_config()
    network = NNModel(hub.data, Trainer(save_path=str(folder), **door.config), **door.config)
    network.run()
    trained = time.perf_counter()
    predicted = MolPredict(load_model=str(folder)).predict({"SMILES": [row["smiles"] for row in job["test"]]})
    return {
        "features": features - start,
        "training": trained - features,
        "prediction": time.perf_counter() - trained,
        "parameters": network.count_parameters(network.model),
        "predictions": np.asarray(predicted).reshape(-1).tolist(),
    }


if __name__ == "__main__":
    main()
