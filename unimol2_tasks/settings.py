"""What the plugin reads from its surroundings: Prefect settings under `PREFECT_INTEGRATIONS_UNIMOL2_*`.

As for every Prefect setting they come from the environment, `.env`, `prefect.toml` (table
`integrations.unimol2`), `pyproject.toml` (`tool.prefect.integrations.unimol2`) or the active profile. They
say how work is done here, never what comes out: nothing of this counts for an artifact's digest.
"""

from pathlib import Path
from typing import Annotated

from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl


def _ends_with_slash(url: HttpUrl) -> HttpUrl:
    return url if str(url).endswith("/") else HttpUrl(f"{url}/")


def _none_if_empty(name: str | None) -> str | None:
    # What a Prefect variable that does not exist becomes in `prefect.yaml`.
    return name or None


class Unimol2Settings(PrefectBaseSettings):
    """Settings of the machine, or of the work pool, on which flows and tasks run."""

    model_config = build_settings_config(("integrations", "unimol2"))

    cache: Path = Field(
        Path(".unimol2/cache"), description="Folder for verified copies of artifacts that lie on S3."
    )
    retries: int = Field(
        3, ge=0, le=50, description="How often a task is tried again after an error that may pass by itself."
    )
    retry_seconds: float = Field(
        10.0,
        gt=0,
        description="Pause before the first retry; each further one is twice as long, and jittered.",
    )
    progress_seconds: float = Field(
        2.0, ge=0, description="At least so long between two updates of a progress artifact."
    )
    gpu_limit: Annotated[str | None, BeforeValidator(_none_if_empty)] = Field(
        None,
        description="Global concurrency limit of which a local training holds a slot; none: no limit.",
    )
    gpu_wait_seconds: float | None = Field(
        None, gt=0, description="How long training waits for a slot before it is tried again; none: for ever."
    )
    docs_url: Annotated[HttpUrl, AfterValidator(_ends_with_slash)] | None = Field(
        None, description="Where the pages of `docs/` are served; Prefect's UI links to them from the blocks."
    )


def settings() -> Unimol2Settings:
    """The settings as they are now.

    Raises:
        pydantic.ValidationError: One is impossible; names it.
    """
    return Unimol2Settings()
