"""What every section of `params.yaml` is made of."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of `params.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
