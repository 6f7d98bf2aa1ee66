"""`unimol2 data`: what is listed, and real tables downloaded from a loopback mirror."""

import gzip
import json
import shlex
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from unimol2_tasks.commands.data import data_app
from unimol2_tasks.datasets.catalogue import catalogue, find_dataset
from unimol2_tasks.errors import UserError

TABLES = {
    "compas-1d": "compas_1d/compas_1d.csv",
    "lipophilicity": "moleculenet/Lipophilicity.csv",
    "bbbp": "moleculenet/BBBP.csv",
    "bace": "moleculenet/bace.csv.gz",
    "hiv": "moleculenet/HIV.csv.gz",
}


@pytest.fixture(scope="module")
def mirror(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tables of shared/data under the paths of their upstream addresses."""
    root = tmp_path_factory.mktemp("mirror")
    for name, place in TABLES.items():
        source = shared_dir / "data" / place
        target = root / urlsplit(find_dataset(name).table.urls[0]).path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        target.write_bytes(gzip.decompress(content) if source.suffix == ".gz" else content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", TABLES)
def test_get_prints_the_table_and_how_to_prepare_it(mirror: str, tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(data_app, ["get", name, "--out", str(tmp_path), "--mirror", mirror])
    assert done.exit_code == 0, done.output
    table = Path(done.stdout.strip())
    dataset = find_dataset(name)
    assert table.parent == tmp_path / name
    assert table.stat().st_size == dataset.table.size
    command = next(line for line in done.stderr.splitlines() if line.startswith("unimol2 prepare"))
    assert shlex.split(command)[3] == str(table)
    assert dataset.licence in done.stderr
    assert dataset.doi in done.stderr


def test_list_shows_every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    shown = CliRunner().invoke(data_app, ["list"]).stdout
    for text in ("qm9", "133,885", "Hartree: homo, lumo, gap, zpve", "CC-BY-NC-SA", "bdb8bc7dea", "scaffold"):
        assert text in shown
    assert all(dataset.name in shown for dataset in catalogue())


def test_list_is_there_for_programs() -> None:
    listed = json.loads(CliRunner().invoke(data_app, ["list", "--json"]).stdout)
    assert [dataset["name"] for dataset in listed] == [dataset.name for dataset in catalogue()]
    assert all(len(dataset["table"]["sha256"]) == 64 for dataset in listed)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(data_app, ["get", "lipophilicty", "--out", str(tmp_path / "data")])
    assert isinstance(done.exception, UserError)
    assert "did you mean lipophilicity" in str(done.exception)
    assert not (tmp_path / "data").exists()
