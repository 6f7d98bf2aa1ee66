"""`params.yaml` as typed models: unknown keys and impossible values are refused by name.

Each section of the file is one model here. They are read once, at the door (command line, Prefect
flow), and travel as frozen values; nothing deeper reads a file of settings.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from unimol2_tasks.errors import ParameterError

SplitKind = Literal["random", "scaffold", "scaffold-similarity", "butina", "stratified", "column", "file"]


class Section(BaseModel):
    """One section of `params.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PrepareParams(Section):
    """From a table of molecules to a dataset."""

    seed: int = Field(0, ge=0, description="Seeds conformers and splits.")
    standardise: Literal["none", "clean", "parent"] = Field(
        "clean",
        description="none: as given; clean: RDKit clean-up; parent: largest fragment, neutralised.",
    )
    tautomer: bool = Field(False, description="Bring every molecule into RDKit's canonical tautomer.")
    remove_isotopes: bool = Field(False, description="Forget isotope labels.")
    remove_stereo: bool = Field(False, description="Forget stereochemistry.")
    coordinates: Literal["generate", "keep", "keep-else-generate"] = Field(
        "generate", description="keep: those of the SDF or LMDB file; molecules without are rejected."
    )
    conformers: int = Field(10, ge=1, le=100, description="3D conformers per molecule (the paper: 10).")
    prune_rmsd: float = Field(
        0.1,
        ge=0,
        description="Å: of relaxed conformers closer than this the one of lower energy stays; 0: all.",
    )
    conformer_timeout: float = Field(60.0, gt=0, description="Seconds after which one molecule is given up.")
    max_atoms: int = Field(256, ge=1, le=1024, description="Heavy atoms above which a molecule is rejected.")
    duplicates: Literal["inchikey", "skeleton"] = Field(
        "inchikey", description="skeleton: also stereoisomers and isotopes (InChIKey's first block) are one."
    )
    duplicate_labels: Literal["mean", "median", "first", "drop-conflicting"] = Field(
        "mean", description="What merged duplicates keep; drop-conflicting rejects them all."
    )
    label_tolerance: float = Field(
        0.0, ge=0, description="Labels of duplicates conflict where they differ by more."
    )
    split: SplitKind = Field("scaffold", description="How train, valid and test are separated.")
    split_column: str | None = Field(None, description="For split=column: holds train, valid or test.")
    split_file: str | None = Field(None, description="For split=file: CSV of id and split.")
    split_label: str | None = Field(
        None, description="For split=stratified: by whose quantiles; none: the only one."
    )
    split_similarity: float = Field(
        0.4,
        gt=0,
        lt=1,
        description="Tanimoto similarity from which molecules or scaffolds are kept together.",
    )
    folds: int | None = Field(
        None, ge=3, le=100, description="Cross-validation folds; the first tests, the second validates."
    )
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="Share of molecules for validation.")
    test_fraction: float = Field(0.1, ge=0, lt=1, description="Share of molecules for the final test.")
    shard_rows: int = Field(50_000, ge=1, description="Molecules per Parquet shard.")
    unit_rows: int = Field(2048, ge=1, description="Input rows per unit of work: what a restart may redo.")
    workers: int | None = Field(None, ge=1, description="Processes; none: one per available core.")

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction + test_fraction must be below 1")
        return self

    @model_validator(mode="after")
    def _say_where_splits_come_from(self) -> Self:
        for kind, key in (("column", "split_column"), ("file", "split_file")):
            if (self.split == kind) != (getattr(self, key) is not None):
                raise ValueError(f"split={kind} and {key} belong together; give both or neither")
        if self.folds is not None and self.split in ("column", "file"):
            raise ValueError(f"folds are for splits that are made here; with split={self.split} leave it out")
        return self


class ModelParams(Section):
    """The network: a preset, or a preset with some dimensions changed."""

    preset: Literal["tiny", "42M", "84M", "164M", "310M", "570M", "1.1B"] = Field(
        "tiny", description="A size of the paper, or tiny for a laptop."
    )
    blocks: int | None = Field(None, ge=1, description="Transformer blocks.")
    atom_dim: int | None = Field(None, ge=16, description="Width of the atom track.")
    heads: int | None = Field(
        None, ge=1, description="Attention heads; atom_dim / heads is the head's width."
    )
    ffn_dim: int | None = Field(None, ge=1, description="Hidden width of the atom feed-forward.")
    pair_dim: int | None = Field(None, ge=1, description="Width of the pair track.")
    pair_hidden_dim: int | None = Field(None, ge=1, description="Hidden width of the pair updates.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Residual dropout.")
    attention_dropout: float | None = Field(None, ge=0, lt=1, description="Dropout of attention weights.")
    pair_dropout: float | None = Field(None, ge=0, lt=1, description="Row dropout of the pair track.")
    length_rule: Literal["own", "padded"] | None = Field(
        None, description="own: independent of the batch; padded: as the released code."
    )
    initialisation: Literal["layerwise", "released"] | None = Field(None, description="How weights start.")

    def overrides(self) -> dict[str, Any]:
        """The dimensions that differ from the preset."""
        return self.model_dump(exclude={"preset"}, exclude_none=True)


class TrainingParams(Section):
    """What pretraining and fine-tuning have in common. Adam's values are the paper's."""

    seed: int = Field(0, ge=0, description="Seeds weights, order, corruption and dropout.")
    batch_size: int = Field(1024, ge=1, description="Molecules per optimiser step, over all ranks.")
    micro_batch_size: int | None = Field(
        None, ge=1, description="Molecules per forward pass and rank; none: the whole share of a rank."
    )
    learning_rate: float = Field(1e-4, gt=0, description="Peak learning rate.")
    betas: tuple[float, float] = Field((0.9, 0.99), description="Adam's moment decay rates.")
    eps: float = Field(1e-6, gt=0, description="Adam's epsilon.")
    weight_decay: float = Field(1e-4, ge=0, description="Decoupled weight decay.")
    clip: float = Field(1.0, ge=0, description="Gradient norm at which gradients are clipped; 0: never.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Number format of training.")
    zero_stage: Literal[0, 1, 2, 3] = Field(0, description="DeepSpeed ZeRO stage.")
    offload_optimizer: bool = Field(
        False, description="Keep Adam's state in the CPU's memory (needs a GPU and ZeRO 1 to 3)."
    )
    checkpoint_activations: bool = Field(
        False, description="Run each block again in the backward pass instead of keeping its activations."
    )
    compile: bool = Field(False, description="Compile the blocks with torch.compile.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Publish, and validate, a moving average of the weights that keeps this share per step; "
        "none: the weights themselves.",
    )
    max_skipped_steps: int = Field(
        10,
        ge=0,
        description="Skipped steps in a row (their gradient was not finite) after which training stops.",
    )
    ranks: int = Field(1, ge=1, description="Training processes, over all nodes (one per GPU).")
    threads: int | None = Field(None, ge=1, description="CPU threads per rank; none: cores / ranks.")
    loader_workers: int = Field(
        0, ge=0, description="Processes per rank that make batches ahead; 0: each when it is needed."
    )
    log_every: int = Field(10, ge=1, description="Steps between points of the training curve.")
    checkpoint_every: int = Field(1000, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(
        3, ge=1, description="How many of the newest checkpoints stay, besides the best one."
    )
    tensorboard: str | None = Field(
        None, description="Folder for TensorBoard's files, one folder in it per run; none: not written."
    )
    peak_tflops: float | None = Field(
        None,
        gt=0,
        description="What one device can do at this precision, for the share of it in the log; "
        "none: known for common GPUs.",
    )
    deepspeed: dict[str, Any] = Field(
        default_factory=dict, description="Merged into the generated DeepSpeed configuration."
    )

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        if self.batch_size % self.ranks:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of ranks {self.ranks}")
        share = self.batch_size // self.ranks
        if self.micro_batch_size and share % self.micro_batch_size:
            raise ValueError(
                f"batch_size / ranks = {share} is not a multiple of micro_batch_size {self.micro_batch_size}"
            )
        return self

    @property
    def micro_batch(self) -> int:
        """Molecules per forward pass of one rank."""
        return self.micro_batch_size or self.batch_size // self.ranks

    @property
    def accumulation(self) -> int:
        """Forward passes per optimiser step."""
        return self.batch_size // self.ranks // self.micro_batch


class PretrainParams(TrainingParams):
    """Masked-atom prediction and coordinate denoising (Uni-Mol2, section 3.3)."""

    steps: int = Field(10_000, ge=1, description="Optimiser steps.")
    warmup_steps: int = Field(1000, ge=0, description="Steps of linear warm-up (the paper: 100,000).")
    validate_every: int = Field(1000, ge=1, description="Steps between validations.")
    validation_molecules: int = Field(2048, ge=1, description="Size of the fixed validation set.")
    mask_probability: float = Field(0.15, gt=0, lt=1, description="Share of atoms whose element is hidden.")
    noise: Literal["gaussian", "uniform"] = Field(
        "gaussian",
        description="gaussian: on all atoms (paper); uniform: on the masked share (released code).",
    )
    noise_scale: float = Field(0.2, ge=0, description="Å: std of gaussian, half-width of uniform noise.")
    conformer: Literal["random", "lowest"] = Field(
        "random", description="Which stored conformer a visit sees; lowest: always that of lowest energy."
    )
    feature_drop: float = Field(0.5, ge=0, le=1, description="Probability of hiding all graph features.")
    flat_probability: float = Field(
        0.5, ge=0, le=1, description="Probability of 2D coordinates where features are kept (released code)."
    )
    scaffold_temperature: float | None = Field(
        None,
        gt=0,
        description="Draw molecules by softmax(scaffold's share / this); the paper: 0.005; "
        "none: each once per epoch.",
    )
    atom_weight: float = Field(1.0, ge=0, description="Weight of the masked-atom loss.")
    coordinate_weight: float = Field(1.0, ge=0, description="Weight of the coordinate loss.")
    distance_weight: float = Field(1.0, ge=0, description="Weight of the pair distance loss.")


class FinetuneParams(TrainingParams):
    """Property prediction on a labelled dataset."""

    batch_size: int = Field(32, ge=1, description="Molecules per optimiser step, over all ranks.")
    epochs: int = Field(60, ge=1, description="Passes over the training split.")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of the steps that warm up.")
    targets: tuple[str, ...] = Field((), description="Label columns to learn; empty: all.")
    task: Literal["auto", "regression", "binary"] = Field(
        "auto", description="auto: binary where a label holds only 0 and 1."
    )
    regression_loss: Literal["smooth_l1", "l1", "mse"] = Field(
        "smooth_l1", description="smooth_l1 as released; on scaled targets."
    )
    head_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of the property head.")
    validate_every_epochs: int = Field(1, ge=1, description="Epochs between validations.")
    patience: int = Field(0, ge=0, description="Validations without improvement before stopping; 0: never.")


class EvaluateParams(Section):
    """Metrics, baselines and the report."""

    seed: int = Field(0, ge=0, description="Seeds bootstrap and random forest.")
    split: Literal["train", "valid", "test"] = Field("test", description="The part that is judged.")
    bootstrap: int = Field(200, ge=0, description="Resamples for 95 % intervals; 0: none.")
    worst: int = Field(6, ge=0, description="Worst predictions drawn in the report.")


class PredictParams(Section):
    """Prediction and embedding of any table."""

    batch_size: int = Field(128, ge=1, description="Molecules per forward pass, at most.")
    threads: int | None = Field(None, ge=1, description="CPU threads; none: all cores.")


class SupervisionParams(Section):
    """How the processes of training are watched."""

    grace_seconds: float = Field(
        20.0, gt=0, description="Time for an emergency checkpoint (Prefect gives 30)."
    )
    hang_seconds: float = Field(900.0, gt=0, description="Without a step for so long, training is restarted.")
    max_restarts: int = Field(2, ge=0, description="Restarts after a crash or a hang.")


Word = Annotated[str, StringConstraints(pattern=r"^[^\s'\"\\]+$")]
Variables = dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], str]


class SlurmParams(Section):
    """What Slurm is asked for; what is left out has the cluster's default."""

    partition: Word | None = Field(None, description="Partition.")
    account: Word | None = Field(None, description="Account that is charged.")
    qos: Word | None = Field(None, description="Quality of service.")
    constraint: Word | None = Field(None, description="Features that the nodes must have.")
    cpus: int | None = Field(None, ge=1, description="CPU cores per node.")
    memory: Word | None = Field(None, description="Memory per node, such as 200G; 0: all of it.")
    setup: tuple[str, ...] = Field(
        (), description="Shell lines to run before training, such as module load cuda."
    )
    options: tuple[Annotated[str, StringConstraints(pattern=r"^--?[A-Za-z][^\r\n]*$")], ...] = Field(
        (), description="Further options of sbatch, one each, such as --exclusive."
    )


class KubernetesParams(Section):
    """What the pods are made of."""

    namespace: Word = Field("default", description="Namespace of job and service.")
    image: Word | None = Field(None, description="Image with this very version of the package installed.")
    volume_claim: Word | None = Field(
        None, description="Persistent volume claim (ReadWriteMany) that holds run folder and dataset."
    )
    mount_path: Path | None = Field(
        None, description="Where the claim is mounted, in the pods as well as where the command runs."
    )
    service_account: Word | None = Field(None, description="Service account of the pods.")
    secret: Word | None = Field(None, description="Secret whose keys become environment variables.")
    gpu_resource: Word = Field("nvidia.com/gpu", description="Name under which nodes offer their GPUs.")
    cpu: Word | None = Field(None, description="CPU cores per pod.")
    memory: Word | None = Field(None, description="Memory per pod, such as 200Gi.")
    shared_memory: Word = Field("8Gi", description="Size of /dev/shm, which counts as memory of the pod.")
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels that the nodes must have."
    )
    tolerations: tuple[dict[str, Any], ...] = Field(
        (), description="Taints that the pods bear, as in a pod's specification."
    )


class LaunchParams(Section):
    """Where the ranks of training run; prediction always runs on this machine."""

    launcher: Literal["local", "slurm", "kubernetes"] = Field(
        "local", description="local: on this machine; slurm: as a batch job; kubernetes: as an indexed job."
    )
    nodes: int = Field(1, ge=1, description="Nodes, among which the ranks are shared out evenly.")
    gpus_per_node: int | None = Field(
        None, ge=0, description="GPUs to ask for on each node; none: one per rank; 0: train on CPUs."
    )
    time_limit: float | None = Field(
        None, gt=0, description="Hours after which a launch is stopped, and the next one goes on."
    )
    environment: Variables = Field(
        default_factory=dict, description="Environment variables of the ranks; no place for secrets."
    )
    poll_seconds: float = Field(15.0, gt=0, description="Seconds between questions to Slurm or Kubernetes.")
    slurm: SlurmParams = Field(SlurmParams(), description="For launcher slurm.")
    kubernetes: KubernetesParams = Field(KubernetesParams(), description="For launcher kubernetes.")

    @model_validator(mode="after")
    def _say_what_the_launcher_needs(self) -> Self:
        if self.launcher == "local" and self.nodes > 1:
            raise ValueError(f"nodes={self.nodes} needs launcher slurm or kubernetes; local is one machine")
        if self.launcher == "kubernetes":
            needed = ("image", "volume_claim", "mount_path")
            missing = [name for name in needed if getattr(self.kubernetes, name) is None]
            if missing:
                raise ValueError(f"launcher kubernetes needs kubernetes.{', kubernetes.'.join(missing)}")
        return self

    def ranks_per_node(self, ranks: int) -> int:
        """The ranks of each node.

        Raises:
            ParameterError: The ranks cannot be shared out evenly, or a node would have more than GPUs.
        """
        if ranks % self.nodes:
            raise ParameterError(f"ranks={ranks} is not a multiple of launch.nodes={self.nodes}")
        share = ranks // self.nodes
        if self.gpus_per_node and share > self.gpus_per_node:
            raise ParameterError(
                f"{share} ranks per node share launch.gpus_per_node={self.gpus_per_node} GPUs; "
                "have at most one rank per GPU"
            )
        return share

    def gpus(self, ranks: int) -> int:
        """GPUs to ask for on each node."""
        return self.ranks_per_node(ranks) if self.gpus_per_node is None else self.gpus_per_node


class Params(Section):
    """The whole of `params.yaml`."""

    prepare: PrepareParams = PrepareParams()
    model: ModelParams = ModelParams()
    pretrain: PretrainParams = PretrainParams()
    finetune: FinetuneParams = FinetuneParams()
    evaluate: EvaluateParams = EvaluateParams()
    predict: PredictParams = PredictParams()
    supervision: SupervisionParams = SupervisionParams()
    launch: LaunchParams = LaunchParams()


def load_params(path: Path | None = None, assignments: Sequence[str] = ()) -> Params:
    """Read parameters.

    Args:
        path: A YAML file; none: `params.yaml` of the working folder if it is there, else the defaults.
        assignments: `section.key=value` each, applied on top of the file.

    Raises:
        ParameterError: The file cannot be read, or a key or value is refused; names file and key.
    """
    file = path or Path("params.yaml")
    values: dict[str, Any] = {}
    sources = []
    if path is not None or file.is_file():
        values = _read_yaml(file)
        sources.append(str(file))
    for assignment in assignments:
        _assign(values, assignment)
    if assignments:
        sources.append("--set")
    return parse_params(values, " with ".join(sources) or "parameters")


def parse_params(values: dict[str, Any], source: str = "parameters") -> Params:
    """Turn plain values into parameters, or name every refused key.

    Raises:
        ParameterError: A key is unknown or a value impossible.
    """
    # A section without a key is None in YAML, and means its defaults.
    given = {section: {} if content is None else content for section, content in values.items()}
    try:
        return Params.model_validate(given)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ParameterError(f"{source}: " + "; ".join(lines)) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{path}: no such parameter file; give --params FILE") from None
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: not a YAML file: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ParameterError(
            f"{path}: expected sections ({', '.join(Params.model_fields)}), got a {type(values).__name__}"
        )
    return values


def _assign(values: dict[str, Any], assignment: str) -> None:
    path, separator, text = assignment.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ParameterError(f"--set {assignment}: expected section.key=value")
    for key in keys[:-1]:
        if values.get(key) is None:
            values[key] = {}
        inner = values[key]
        if not isinstance(inner, dict):
            raise ParameterError(f"--set {assignment}: {key} is a value, not a section")
        values = inner
    try:
        values[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ParameterError(f"--set {assignment}: cannot read the value {text!r}") from None


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "(all)"
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']}, got {problem['input']!r:.80}"
    known = _known_keys(location[:-1])
    close = difflib.get_close_matches(location[-1], known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"{key}: unknown key; {hint}"


def _known_keys(location: Sequence[str]) -> list[str]:
    model: Any = Params
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
