"""From curves of models to a law and its report; the models are folders whose curves follow a known law."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unimol2_model import ModelConfig, UniMol2ForPretraining
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import UserError
from unimol2_tasks.planning.prediction import LawScope
from unimol2_tasks.scaling.law import ScalingLaw
from unimol2_tasks.stages import scaling
from unimol2_tasks.stages.scaling_results import report as study_report
from unimol2_tasks.stages.scaling_results.law_files import read_fit, read_points, read_replicas
from unimol2_tasks.stages.scaling_results.tables import study_tables
from unimol2_tasks.training.network import write_config
from unimol2_tasks.training.size import count_parameters

LAW = ScalingLaw(0.08, -0.5, 12.0, -0.4, 0.3, -0.1)
SIZES = {"small": 0.04, "middle": 0.08, "large": 0.15, "larger": 0.26}
STEPS = range(0, 4001, 250)
UNTRAINED = 12.0
TINY = ModelConfig.preset("tiny")
PRETRAIN = {"batch_size": 64, "steps": 4000, "learning_rate": 1e-4, "warmup_steps": 100, "log_every": 10}


def publish_model(
    out: Path,
    millions: float,
    factor: float = 1.0,
    measured: Sequence[int] = STEPS,
    parents: dict[str, str] | None = None,
    config: ModelConfig = TINY,
    **pretrain: Any,
) -> str:
    """A model of which only the curve and the size are there."""
    store = Store()
    rng = np.random.default_rng(int(1000 * millions))
    with store.draft(str(out)) as draft:
        with (draft / "curve.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["step", "valid/loss"])
            for step in measured:
                if step <= 1:
                    writer.writerow([step, UNTRAINED])
                    continue
                loss = LAW.predict(millions, step) * factor * np.exp(0.003 * rng.normal())
                writer.writerow([step, float(loss)])
        (draft / "metrics.json").write_text(json.dumps({"parameters": millions * 1e6}))
        write_config(draft, config)
        recipe = Recipe(
            "model", {"pretrain": PRETRAIN | pretrain}, {"dataset": "sha256:one"} | (parents or {})
        )
        return store.publish(draft, str(out), recipe).uri


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    sizes = {**SIZES, "largest": 0.5, "spoilt": 0.5}
    return {
        name: publish_model(folder / name, millions, factor=2.0 if name == "spoilt" else 1.0)
        for name, millions in sizes.items()
    }


@pytest.fixture(scope="module")
def fitted(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(models, ["largest"], tmp_path_factory.mktemp("law"))


def fit(models: dict[str, str], held_out: list[str], folder: Path, **settings: Any) -> Path:
    inputs = scaling.ScalingInputs(
        models=[models[name] for name in SIZES],
        held_out=[models[name] for name in held_out],
        **{"skip_steps": 1000, "starts": 4, "bootstrap": 10, **settings},
    )
    return Path(scaling.run(inputs, str(folder / "law")).uri)


def test_the_largest_is_predicted_from_the_smaller_ones(fitted: Path, models: dict[str, str]) -> None:
    value = read_fit(fitted)
    judged = value["held_out"][models["largest"]]
    assert judged["rmae"] < 0.01
    assert (judged["n"], judged["from_step"], judged["millions"]) == (2, 3750, 0.5)
    assert value["sizes"] == list(SIZES.values())
    assert value["steps"] == [1250, 4000]
    assert value["batch_size"] == 64
    assert [one["constants"] for one in value["alternatives"]] == [6, 5, 4, 0]
    assert set(value["intervals"]) == set("abcdef")


def test_what_is_held_out_never_enters_the_fit(fitted: Path, models: dict[str, str], tmp_path: Path) -> None:
    other = fit(models, ["spoilt"], tmp_path)
    assert read_fit(other)["constants"] == read_fit(fitted)["constants"]
    assert read_replicas(other) == read_replicas(fitted)
    assert read_fit(other)["extrapolations"] == read_fit(fitted)["extrapolations"]
    assert read_fit(other)["held_out"][models["spoilt"]]["rmae"] > 0.4


def test_every_loss_but_the_untrained_is_in_the_table_with_its_part(fitted: Path) -> None:
    parts: dict[str, int] = {}
    for point in read_points(fitted):
        parts[point.part] = parts.get(point.part, 0) + 1
        assert 0 < point.lower < point.upper
    assert parts == {"skipped": 4 * 4, "fit": 4 * 12, "held out": 14, "test": 2}


def test_the_untrained_network_has_no_part_in_a_fit_that_skips_nothing(tmp_path: Path) -> None:
    """Training validates before its first step and after it, whatever `validate_every` says."""
    laws = {}
    for name, first in (("with", [0, 1]), ("without", [])):
        models = {
            size: publish_model(tmp_path / name / size, millions, measured=[*first, *STEPS[1:]])
            for size, millions in SIZES.items()
        }
        laws[name] = read_fit(fit(models, [], tmp_path / name, skip_steps=0, bootstrap=0))
    assert laws["with"]["constants"] == laws["without"]["constants"]
    assert laws["with"]["steps"] == [250, 4000]
    assert laws["with"]["metrics"]["rmae"] < 0.01


def test_a_finished_fit_is_found_again(fitted: Path, models: dict[str, str]) -> None:
    before = (fitted / "law.json").stat().st_mtime_ns
    assert fit(models, ["largest"], fitted.parent) == fitted
    assert (fitted / "law.json").stat().st_mtime_ns == before


def test_the_blocks_alone_can_be_what_is_counted(tmp_path: Path) -> None:
    shapes = [{"atom_dim": 16 * n, "ffn_dim": 16 * n, "heads": n, "pair_dim": 8 * n} for n in (1, 2, 3, 4)]
    configs = [ModelConfig.from_dict(TINY.to_dict() | shape) for shape in shapes]
    places = [tmp_path / str(number) for number in range(len(configs))]
    models = [
        publish_model(place, count_parameters(config) / 1e6, config=config)
        for place, config in zip(places, configs, strict=True)
    ]
    inputs = scaling.ScalingInputs(models, counted="blocks", skip_steps=1000, starts=4, bootstrap=0)
    law = Path(scaling.run(inputs, str(tmp_path / "law")).uri)
    blocks = [
        sum(
            weight.numel()
            for name, weight in UniMol2ForPretraining(config).named_parameters()
            if ".blocks." in name
        )
        for config in configs
    ]
    assert read_fit(law)["sizes"] == [count / 1e6 for count in blocks]
    assert LawScope.of_fit(read_fit(law)).counted == "blocks"
    tables = {table.title: table for table in study_tables(read_fit(law))}
    assert "millions of parameters of the blocks" in tables["L(M, S, C) = a·M^b + c·S^d + e·C^f"].note


def test_a_model_is_not_fitted_and_held_out(models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="small is given twice; a model is either fitted or held out"):
        fit(models, ["small"], tmp_path)


def test_a_model_is_known_again_by_another_address(models: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(models["small"])
    with pytest.raises(UserError, match=r"alias is given twice, as .*small too; a model is either"):
        fit({**models, "alias": str(tmp_path / "alias")}, ["alias"], tmp_path)


@pytest.mark.parametrize(
    ("key", "usual", "other"),
    [
        ("batch_size", 64, 128),
        ("steps", 4000, 8000),
        ("learning_rate", 1e-4, 2e-4),
        ("warmup_steps", 100, 0),
        ("weight_decay", 1e-4, 0.0),
        ("ema_decay", None, 0.999),
        ("precision", "fp32", "bf16"),
        ("validation_molecules", 2048, 256),
        ("mask_probability", 0.15, 0.3),
        ("noise", "gaussian", "uniform"),
        ("conformer", "random", "lowest"),
        ("feature_drop", 0.5, 0.0),
        ("flat_probability", 0.5, 0.0),
        ("scaffold_temperature", None, 0.005),
        ("distance_weight", 1.0, 10.0),
    ],
)
def test_a_model_that_was_trained_unlike_the_others_is_refused(
    models: dict[str, str], tmp_path: Path, key: str, usual: object, other: object
) -> None:
    odd = publish_model(tmp_path / "odd", 0.5, **{key: other})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"small was .* {key} {usual}, but .*odd with {key} {other};"):
        fit({**models, "odd": odd}, ["odd"], tmp_path)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"parents": {"dataset": "sha256:two"}}, "dataset sha256:one, but .* dataset sha256:two"),
        ({"parents": {"model": "sha256:warm"}}, "starting weights None, but .* starting weights sha256:warm"),
        ({"config": replace(TINY, dropout=0.3)}, r"dropout 0\.1, but .* dropout 0\.3"),
    ],
)
def test_so_is_one_of_other_data_other_weights_or_another_kind_of_network(
    models: dict[str, str], tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    odd = publish_model(tmp_path / "odd", 0.5, **other)
    with pytest.raises(UserError, match=said):
        fit({**models, "odd": odd}, ["odd"], tmp_path)


def test_what_does_not_change_the_loss_may_differ(models: dict[str, str], tmp_path: Path) -> None:
    elsewhere: dict[str, Any] = {
        "log_every": 1,
        "ranks": 8,
        "zero_stage": 2,
        "checkpoint_every": 5,
        "seed": 3,
    }
    other = publish_model(tmp_path / "other", 0.5, **elsewhere)
    assert read_fit(fit({**models, "other": other}, ["other"], tmp_path))["held_out"]


def test_a_held_out_model_without_losses_is_refused_by_name(models: dict[str, str], tmp_path: Path) -> None:
    silent = publish_model(tmp_path / "silent", 0.5, measured=[0])
    with pytest.raises(UserError, match=r"silent has no validation losses"):
        fit({**models, "silent": silent}, ["silent"], tmp_path)


def test_a_test_beyond_the_curve_says_where_the_curve_ends(models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no loss after step 4000 \(its last is 4000\)"):
        fit(models, ["largest"], tmp_path, test_from_step=4000)


def test_a_law_is_fitted_though_the_smallest_were_measured_at_their_end_only(
    models: dict[str, str], tmp_path: Path
) -> None:
    once = [
        publish_model(tmp_path / f"{name}-{seed}", SIZES[name], measured=[4000], seed=seed)
        for name in ("small", "middle")
        for seed in range(3)
    ]
    inputs = scaling.ScalingInputs(
        [*once, models["large"], models["larger"]], [models["largest"]], starts=4, bootstrap=5
    )
    value = read_fit(Path(scaling.run(inputs, str(tmp_path / "law")).uri))
    assert value["held_out"][models["largest"]]["rmae"] < 0.05
    assert [one["predicted"] for one in value["extrapolations"]] == [SIZES["larger"]]


def test_a_fit_that_skips_all_says_where_the_curves_end(models: dict[str, str], tmp_path: Path) -> None:
    message = r"small has no loss after step 4000 \(its last is 4000\); give a smaller --skip-steps"
    with pytest.raises(UserError, match=message):
        fit(models, [], tmp_path, skip_steps=4000)


def test_sizes_that_differ_in_the_fourth_digit_have_two_names(models: dict[str, str], tmp_path: Path) -> None:
    close = [publish_model(tmp_path / str(size), size) for size in (1.308, 1.312)]
    inputs = scaling.ScalingInputs([models["small"], models["large"], close[0]], [close[1]], bootstrap=0)
    law = scaling.run(inputs, str(tmp_path / "law"))
    report = Path(study_report.run(law.uri, str(tmp_path / "report")).uri)
    figure = (report / "curves.svg").read_text()
    for name in (">0.04M<", ">0.15M<", ">1.308M<", ">1.312M, held out<"):
        assert name in figure
    tables = (report / "study.md").read_text()
    assert "from 0.04M to 1.308M parameters" in tables
    assert "| 1.312M | 3,750 |" in tables


def test_a_fit_without_resamples_has_no_intervals(models: dict[str, str], tmp_path: Path) -> None:
    law = fit(models, [], tmp_path, bootstrap=0)
    assert read_fit(law)["intervals"] == {}
    assert read_replicas(law) == []
    report = Path(study_report.run(str(law), str(tmp_path / "report")).uri)
    assert "held-out.svg" not in {path.name for path in report.iterdir()}


def test_the_report_is_one_page_with_figures_and_tables_beside_it(fitted: Path, tmp_path: Path) -> None:
    report = Path(study_report.run(str(fitted), str(tmp_path / "report")).uri)
    figures = {path.name for path in report.glob("*.svg")}
    assert figures == {"curves.svg", "curves-log.svg", "held-out.svg", "predicted-over-actual.svg"}
    for text in ("Losses, and the law", "0.04M", "0.26M", "0.5M, held out", "Dots: measured."):
        assert text in (report / "curves.svg").read_text()
    page = (report / "study.html").read_text()
    assert page.count("<svg") == len(figures)
    assert "<script" not in page
    assert "src=" not in page
    tables = (report / "study.md").read_text()
    for text in ("| 0.5M | 3,750 | 2 |", "a·M^b + c·S^d + e·C^f", "0.04M, 0.08M", "95 % interval"):
        assert text in tables
        assert text.strip("| ").split(" |")[0] in page
    scores = json.loads((report / "metrics.json").read_text())["held-out sizes"]
    assert scores["a·M^b + c·S^d + e·C^f"]["rmae"] < 0.01


def test_the_same_law_gives_the_same_bytes(fitted: Path, tmp_path: Path) -> None:
    first, second = (study_report.run(str(fitted), str(tmp_path / name)) for name in ("a", "b"))
    assert first.digest == second.digest
