"""Published geometries: fetched one by one, resumed, joined, verified."""

import hashlib
import io
import tarfile
from pathlib import Path

import httpx
import pytest

from unimol2_tasks.datasets.catalogue import Geometries
from unimol2_tasks.datasets.geometries import (
    download_geometries,
    join_archive,
    read_geometries,
    table_ids,
)
from unimol2_tasks.datasets.transfer import DownloadFailed, Patience
from unimol2_tasks.errors import TableError, UserError

TEXTS = {f"m{number}": f"1\nmolecule {number}\nO 0.0 0.0 {number}.0\n" for number in range(5)}
WHOLE = "".join(TEXTS.values()).encode()
WANTED = Geometries(
    url="https://example.org/xyz/{id}.xyz",
    file="geometries.xyz",
    size=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
)


class Server:
    """Serves the files, fails the first `failures` requests, and breaks down after `limit` answers."""

    def __init__(self, failures: int = 0, limit: int = 100, texts: dict[str, str] = TEXTS) -> None:
        self.failures, self.limit, self.texts = failures, limit, texts
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.failures:
            self.failures -= 1
            return httpx.Response(503)
        if len(self.asked) >= self.limit:
            raise httpx.ConnectError("gone")
        name = Path(request.url.path).stem
        self.asked.append(name)
        return httpx.Response(200, text=self.texts[name])


def fetch(server: Server, target: Path, wanted: Geometries = WANTED) -> None:
    with httpx.Client(transport=httpx.MockTransport(server.answer)) as client:
        patience = Patience(failures=3, first_wait=0.0)
        download_geometries(client, wanted, list(TEXTS), target, None, patience)


def test_files_are_joined_in_the_order_of_the_table(tmp_path: Path) -> None:
    target = tmp_path / "geometries.xyz"
    fetch(Server(failures=2), target)
    assert target.read_bytes() == WHOLE
    assert list(read_geometries(target)) == list(TEXTS.values())


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path) -> None:
    target = tmp_path / "geometries.xyz"
    with pytest.raises(DownloadFailed, match=r"m3\.xyz.*run the same command again"):
        fetch(Server(limit=3), target)
    with (tmp_path / "geometries.xyz.part").open("ab") as part:
        part.write(b"1\nhalf of ano")
    server = Server()
    fetch(server, target)
    assert server.asked == ["m3", "m4"]
    assert target.read_bytes() == WHOLE


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_last_line_that_is_torn_is_no_whole_molecule(tmp_path: Path, newline: str) -> None:
    texts = {name: text.replace("\n", newline) for name, text in TEXTS.items()}
    whole = "".join(texts.values()).encode()
    wanted = WANTED.model_copy(update={"sha256": hashlib.sha256(whole).hexdigest()})
    target = tmp_path / "geometries.xyz"
    # All its lines and atoms are there, but the last number may go on.
    torn = "".join(texts[name] for name in ("m0", "m1", "m2")).encode()[: -len(newline) - 1]
    (tmp_path / "geometries.xyz.part").write_bytes(torn)
    server = Server(texts=texts)
    fetch(server, target, wanted)
    assert server.asked == ["m2", "m3", "m4"]
    assert target.read_bytes() == whole


def test_what_is_there_is_not_fetched_again_and_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "geometries.xyz"
    target.write_bytes(WHOLE)
    fetch(Server(limit=0), target)
    target.write_text("mine")
    with pytest.raises(UserError, match="move it away"):
        fetch(Server(), target)
    assert target.read_text() == "mine"


def test_other_geometries_than_the_catalogue_names_are_refused(tmp_path: Path) -> None:
    other = WANTED.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(DownloadFailed, match="expected sha256 000"):
        fetch(Server(), tmp_path / "geometries.xyz", other)
    assert list(tmp_path.iterdir()) == []


def archive(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in reversed(names):
            member = tarfile.TarInfo(f"xyz/{name}.xyz")
            member.size = len(TEXTS[name])
            tar.addfile(member, io.BytesIO(TEXTS[name].encode()))
    return path


def test_an_archive_is_joined_whatever_its_order(tmp_path: Path) -> None:
    target = tmp_path / "joined.xyz"
    assert join_archive(WANTED, list(TEXTS), archive(tmp_path / "all.tar.gz", list(TEXTS)), target)
    assert target.read_bytes() == WHOLE


def test_an_archive_that_lacks_a_molecule_is_not_the_one(tmp_path: Path) -> None:
    target = tmp_path / "joined.xyz"
    assert not join_archive(WANTED, list(TEXTS), archive(tmp_path / "few.tar.gz", ["m0", "m1"]), target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [("1\nname\n", "molecule 1: the file ends within it"), ("C 0 0 0\n", "expected its number of atoms")],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        list(read_geometries(path))


def test_ids_are_those_of_the_table(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,value\n007,1\n8,2\n")
    assert table_ids(table, "id") == ["007", "8"]
