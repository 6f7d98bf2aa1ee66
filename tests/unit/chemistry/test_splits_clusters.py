from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.ML.Cluster import Butina

from unimol2_tasks.chemistry import split_groups as groups_module
from unimol2_tasks.chemistry.clustering import butina_clusters, leader_clusters, similarity_clusters
from unimol2_tasks.chemistry.fingerprints import morgan_fingerprints, sparse_morgan_fingerprints
from unimol2_tasks.chemistry.leakage import leakage_report
from unimol2_tasks.chemistry.scaffolds import murcko_scaffold
from unimol2_tasks.chemistry.split_groups import GroupKind, split_groups
from unimol2_tasks.chemistry.splits import assign_splits
from unimol2_tasks.chemistry.tanimoto import nearest_similarities, tanimoto
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import PrepareParams, SplitKind


@pytest.fixture(scope="module")
def bace(shared_dir: Path) -> pl.DataFrame:
    """Every third of MoleculeNet's BACE inhibitors."""
    table = pl.read_csv(shared_dir / "data/moleculenet/bace.csv.gz", columns=["mol", "CID"])
    mols = [Chem.MolFromSmiles(text) for text in table["mol"].gather_every(3)]
    return pl.DataFrame(
        {
            "id": table["CID"].gather_every(3),
            "smiles": [Chem.MolToSmiles(mol) for mol in mols],
            "inchikey": [Chem.MolToInchiKey(mol) for mol in mols],
            "scaffold": [murcko_scaffold(mol) for mol in mols],
        }
    ).unique("inchikey", maintain_order=True)


def _partition(clusters: np.ndarray) -> set[frozenset[int]]:
    members = defaultdict(set)
    for place, cluster in enumerate(clusters.tolist()):
        members[cluster].add(place)
    return {frozenset(places) for places in members.values()}


def test_sparse_fingerprints_are_the_dense_ones(bace: pl.DataFrame) -> None:
    smiles = bace["smiles"].to_list()
    np.testing.assert_array_equal(sparse_morgan_fingerprints(smiles).toarray(), morgan_fingerprints(smiles))


def test_a_scaffold_without_a_kekule_structure_has_a_fingerprint() -> None:
    assert Chem.MolFromSmiles("c1cccc1") is None
    assert sparse_morgan_fingerprints(["c1cccc1"]).nnz > 0


def test_similarities_are_rdkits(bace: pl.DataFrame) -> None:
    smiles = bace["smiles"].to_list()[:60]
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    expected = np.array([DataStructs.BulkTanimotoSimilarity(one, vectors) for one in vectors])
    fingerprints = sparse_morgan_fingerprints(smiles)
    np.testing.assert_allclose(tanimoto(fingerprints, fingerprints), expected, rtol=1e-6)
    nearest = nearest_similarities(fingerprints[:20], fingerprints[20:])
    np.testing.assert_allclose(nearest, expected[:20, 20:].max(1), rtol=1e-6)


@pytest.mark.parametrize("similarity", [0.35, 0.6])
def test_butina_clusters_are_rdkits(bace: pl.DataFrame, similarity: float) -> None:
    fingerprints = sparse_morgan_fingerprints(bace["smiles"])
    # RDKit prefers the later of two that have as many neighbours.
    similarities = tanimoto(fingerprints, fingerprints)[::-1, ::-1]
    apart = (similarities < similarity).astype(float)
    expected = Butina.ClusterData(apart, len(apart), 0.5, isDistData=True)
    found = _partition(butina_clusters(fingerprints, similarity)[::-1])
    assert found == {frozenset(cluster) for cluster in expected}


def test_leaders_gather_their_nearest_followers(bace: pl.DataFrame) -> None:
    fingerprints = sparse_morgan_fingerprints(bace["smiles"])
    clusters = leader_clusters(fingerprints, 0.5)
    leaders = np.unique(clusters, return_index=True)[1]
    among = tanimoto(fingerprints, fingerprints)
    np.fill_diagonal(among, 0)
    for place, cluster in enumerate(clusters):
        earlier = leaders[leaders < place]
        best = among[place, earlier].max(initial=0)
        if place == leaders[cluster]:
            assert best < 0.5
        else:
            assert among[place, leaders[cluster]] == best >= 0.5


@pytest.mark.parametrize("block_size", [1, 7, 300])
def test_the_size_of_blocks_does_not_change_the_leaders(bace: pl.DataFrame, block_size: int) -> None:
    fingerprints = sparse_morgan_fingerprints(bace["smiles"][:200])
    np.testing.assert_array_equal(
        leader_clusters(fingerprints, 0.4, block_size), leader_clusters(fingerprints, 0.4)
    )


def test_many_fingerprints_are_clustered_by_leaders(bace: pl.DataFrame) -> None:
    fingerprints = sparse_morgan_fingerprints(bace["smiles"][:100])
    large = similarity_clusters(fingerprints, 0.5, butina_limit=99)
    np.testing.assert_array_equal(large, leader_clusters(fingerprints, 0.5))
    small = similarity_clusters(fingerprints, 0.5, butina_limit=100)
    np.testing.assert_array_equal(small, butina_clusters(fingerprints, 0.5))


@pytest.mark.parametrize("kind", ["scaffold-similarity", "butina"])
def test_clusters_stay_together(bace: pl.DataFrame, kind: GroupKind) -> None:
    groups = split_groups(bace, kind, 0.4).tolist()
    assert set(groups) == set(range(max(groups) + 1))
    splits = assign_splits(bace, PrepareParams(split=kind)).splits
    assert len(set(zip(groups, splits, strict=True))) == len(set(groups))


def test_similar_scaffolds_are_one_group(bace: pl.DataFrame) -> None:
    cyclic = bace.filter(pl.col("scaffold") != "")
    groups = split_groups(cyclic, "scaffold-similarity", 0.4).tolist()
    scaffolds = cyclic["scaffold"].to_list()
    assert len(set(zip(scaffolds, groups, strict=True))) == len(set(scaffolds)) > 3 * len(set(groups))


def test_acyclic_molecules_are_clustered_by_themselves() -> None:
    smiles = ["CCCCCCO", "CCCCCCCO", "NCC(=O)O", "NCCC(=O)O", "CCc1ccccc1"]
    molecules = pl.DataFrame(
        {"smiles": smiles, "inchikey": list("abcde"), "scaffold": [""] * 4 + ["c1ccccc1"]}
    )
    alcohol, longer, glycine, alanine, benzene = split_groups(molecules, "scaffold-similarity", 0.4).tolist()
    assert alcohol == longer
    assert len({alcohol, glycine, benzene}) == 3
    assert alanine not in (alcohol, benzene)


def test_clusters_keep_the_test_set_away_from_training(bace: pl.DataFrame) -> None:
    def similarity(kind: SplitKind, seed: int) -> float:
        splits = assign_splits(bace, PrepareParams(split=kind, seed=seed)).splits
        return float(leakage_report(bace, splits, 0)["test"]["nearest_train_similarity"]["mean"])

    for seed in range(2):
        apart = similarity("random", seed) - similarity("scaffold-similarity", seed)
        assert apart > 0.1
        assert similarity("butina", seed) < similarity("random", seed) - 0.05


def test_more_than_can_be_clustered_is_refused(bace: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "CLUSTERING_LIMIT", 100)
    with pytest.raises(
        ParameterError, match=r"clusters similar scaffolds, at most 100 of them; these are \d+"
    ):
        assign_splits(bace, PrepareParams(split="scaffold-similarity"))
