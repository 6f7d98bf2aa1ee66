"""Downloads of public files from servers that misbehave as real ones do."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from unimol2_tasks.datasets import download
from unimol2_tasks.datasets.catalogue import Geometries, PublicDataset, SourceFile, find_dataset
from unimol2_tasks.datasets.download import DownloadFailed, Patience, get_dataset
from unimol2_tasks.datasets.source_files import downloaded_files
from unimol2_tasks.errors import UserError
from unimol2_tasks.progress import Progress, listen

HURRIED = Patience(failures=3, first_wait=0.0)
TABLE = "/owner/name/commit/table.csv"
# Several chunks, no two alike.
CONTENT = b"".join(b"%07d\n" % number for number in range(150_000))


@dataclass
class PublicServer:
    """What it serves, how it misbehaves, and what it was asked.

    Attributes:
        files: Path to content.
        cut_after: Bytes of a body after which the connection is cut; one entry per request that is cut.
        refusals: Status codes with which the first requests are answered.
        ranges: Whether Range is understood.
        declares_length: Without it the end of the connection is the end of the body.
        asked: Path and Range of each request.
    """

    files: dict[str, bytes]
    cut_after: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    ranges: bool = True
    declares_length: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(server: PublicServer) -> Iterator[PublicServer]:
    """Run it on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Range"]))
            if server.refusals:
                self.send_error(server.refusals.pop(0))
            elif self.path not in server.files:
                self.send_error(404)
            else:
                self._send(server.files[self.path])

        def _send(self, content: bytes) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "") if server.ranges else None
            start = int(wanted[1]) if wanted else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if server.declares_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing between the results of the tests."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@pytest.fixture
def server() -> Iterator[PublicServer]:
    with serve(PublicServer({TABLE: CONTENT})) as running:
        yield running


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> PublicDataset:
    """A set of one file with the contents of the server, under the name `small`."""
    file = SourceFile(
        urls=(f"https://example.org{TABLE}",), size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    small = find_dataset("bbbp").model_copy(update={"name": "small", "table": file})
    monkeypatch.setattr(download, "find_dataset", {"small": small}.__getitem__)
    return small


def get(server: PublicServer, folder: Path) -> Path:
    return get_dataset("small", folder, mirror=server.url, patience=HURRIED)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "small").iterdir() if not path.name.startswith("."))


@pytest.mark.usefixtures("dataset")
def test_a_download_has_its_name_and_content_and_is_reported(server: PublicServer, tmp_path: Path) -> None:
    heard: list[Progress] = []
    with listen(heard.append):
        path = get(server, tmp_path)
    assert path == tmp_path / "small" / "table.csv"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["table.csv"]
    assert (heard[-1].done, heard[-1].total) == (len(CONTENT), len(CONTENT))
    assert len(heard) > 1


@pytest.mark.usefixtures("dataset")
def test_what_is_there_and_right_is_not_asked_for_again(server: PublicServer, tmp_path: Path) -> None:
    get(server, tmp_path)
    asked = list(server.asked)
    get(server, tmp_path)
    assert server.asked == asked


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("declares_length", [True, False])
def test_a_cut_connection_is_resumed_where_it_ended(
    server: PublicServer, tmp_path: Path, declares_length: bool
) -> None:
    server.cut_after, server.declares_length = [400_000, 300_000], declares_length
    assert get(server, tmp_path).read_bytes() == CONTENT
    offsets = [int(asked.removeprefix("bytes=").removesuffix("-")) for _, asked in server.asked[1:] if asked]
    assert len(offsets) == 2
    assert 0 < offsets[0] <= 400_000 < offsets[1] <= 700_000


@pytest.mark.usefixtures("dataset")
def test_an_interrupted_download_goes_on_at_the_next_call(server: PublicServer, tmp_path: Path) -> None:
    part = tmp_path / "small" / "table.csv.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:500_000])
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == [(TABLE, "bytes=500000-")]


@pytest.mark.usefixtures("dataset")
def test_a_server_that_ignores_range_is_read_from_the_start(server: PublicServer, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [400_000]
    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("dataset")
def test_a_server_that_never_gets_to_the_end_is_given_up(server: PublicServer, tmp_path: Path) -> None:
    server.ranges, server.cut_after = False, [400_000] * 100
    with pytest.raises(DownloadFailed, match=r"table\.csv: gave up after 3 failures.* of 1,200,000 bytes"):
        get(server, tmp_path)
    assert names(tmp_path) == ["table.csv.part"]


@pytest.mark.usefixtures("dataset")
def test_passing_errors_are_tried_again(server: PublicServer, tmp_path: Path) -> None:
    server.refusals = [503, 429]
    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("dataset")
def test_a_lasting_error_is_not(server: PublicServer, tmp_path: Path) -> None:
    server.refusals = [403] * 3
    with pytest.raises(DownloadFailed, match=rf"{server.url}.*HTTP 403"):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_wrong_bytes_are_refused_and_removed(
    server: PublicServer, dataset: PublicDataset, tmp_path: Path
) -> None:
    wrong = CONTENT[:-1] + b"x"
    server.files[TABLE] = wrong
    with pytest.raises(DownloadFailed) as caught:
        get(server, tmp_path)
    for text in (server.url + TABLE, dataset.table.sha256, hashlib.sha256(wrong).hexdigest()):
        assert text in str(caught.value)
    assert names(tmp_path) == []
    server.files[TABLE] = CONTENT
    assert get(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("content", "left", "reason"),
    [(CONTENT + b"more", 0, "more than the 1,200,000 bytes"), (CONTENT[:1000], 2000, "shorter than")],
    ids=["longer", "shorter than what is there"],
)
def test_another_length_is_another_file(
    server: PublicServer, tmp_path: Path, content: bytes, left: int, reason: str
) -> None:
    server.files[TABLE] = content
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "table.csv.part").write_bytes(CONTENT[:left])
    with pytest.raises(DownloadFailed, match=reason):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_the_next_address_is_tried(
    server: PublicServer, dataset: PublicDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = ("https://gone.org/table.csv", *dataset.table.urls)
    moved = dataset.model_copy(update={"table": dataset.table.model_copy(update={"urls": urls})})
    monkeypatch.setattr(download, "find_dataset", {"small": moved}.__getitem__)
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/table.csv", TABLE]


@pytest.mark.usefixtures("dataset")
def test_a_file_that_somebody_changed_is_not_replaced(server: PublicServer, tmp_path: Path) -> None:
    get(server, tmp_path).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"table\.csv: is not the file that the catalogue names"):
        get(server, tmp_path)
    assert (tmp_path / "small" / "table.csv").read_text(encoding="utf-8") == "mine"


@pytest.mark.usefixtures("dataset")
def test_two_downloads_do_not_write_to_one_file(server: PublicServer, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    with FileLock(tmp_path / "small" / ".lock"), pytest.raises(UserError, match="under way"):
        get(server, tmp_path)


@pytest.mark.usefixtures("dataset")
def test_impossible_folders_and_mirrors_are_refused(server: PublicServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another --out"):
        get(server, tmp_path / "file")
    with pytest.raises(UserError, match="--mirror localhost:80: expected http"):
        get_dataset("small", tmp_path, mirror="localhost:80")


def test_real_sets_come_with_their_extras(shared_dir: Path, tmp_path: Path) -> None:
    biogen = find_dataset("biogen-adme")
    source = shared_dir / "data" / "biogen_adme"
    files = {
        urlsplit(file.urls[0]).path: (folder / file.filename).read_bytes()
        for folder, some in ((source, [biogen.table]), (source / "source_splits", biogen.extras))
        for file in some
    }
    with serve(PublicServer(files)) as server:
        table = get_dataset("biogen-adme", tmp_path, mirror=server.url)
    assert table.name == "ADME_public_set_3521.csv"
    assert {path.name for path in table.parent.glob("*.csv")} == {
        table.name, *(file.filename for file in biogen.extras)
    }  # fmt: skip


def test_only_who_wants_molecules_has_them_made(
    tmp_path: Path, dataset: PublicDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"m1": b"1\nhelium\nHe 0 0 0\n", "m2": b"1\nneon\nNe 0 0 0\n"}
    table, whole = b"id,gap\nm1,1\nm2,2\n", b"".join(texts.values())
    file = dataset.table.model_copy(update={"size": len(table), "sha256": hashlib.sha256(table).hexdigest()})
    geometries = Geometries(
        url="https://example.org/{id}.xyz",
        file="all.xyz",
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
    )
    published = dataset.model_copy(
        update={"table": file, "geometries": geometries, "id_column": "id", "targets": ()}
    )
    monkeypatch.setattr(download, "find_dataset", {"small": published}.__getitem__)
    server = PublicServer({TABLE: table, **{f"/{name}.xyz": text for name, text in texts.items()}})
    with serve(server):
        assert get(server, tmp_path / "wanted").name == "small.sdf"

        def refused(*_: object) -> NoReturn:
            raise AssertionError("bonds of geometries that nobody asked for")

        monkeypatch.setattr(download, "write_sdf", refused)
        files = downloaded_files(published, tmp_path / "not wanted", server.url)
    assert files.geometries is not None
    assert files.geometries.read_bytes() == whole
    assert names(tmp_path / "not wanted") == ["all.xyz", "table.csv"]
