"""Where Prefect's UI finds the documentation and the logo of the blocks."""

from pydantic import HttpUrl

from unimol2_tasks.settings import settings

LOGO = "logo.png"


def page(path: str) -> HttpUrl | None:
    """The address of a page of `docs/`; None where the setting `docs_url` does not say where it is served."""
    root = settings().docs_url
    return None if root is None else HttpUrl(f"{root}{path}")
