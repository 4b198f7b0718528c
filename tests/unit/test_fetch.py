"""Fetching weights: from an address, from the hub, checked; nothing is left where that fails."""

import hashlib
import http.server
import json
import re
import threading

import pytest

from twostage import fetch as fetch_module
from twostage.fetch import fetch, fetch_repository, main
from twostage.provenance import provenance_path

DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.pt"
    path.write_bytes(b"weights")
    return path


def run(**options):
    return main([json.dumps({key: str(value) for key, value in options.items()})])


def test_a_file_is_fetched_and_its_digest_printed(source, tmp_path, capsys):
    output = tmp_path / "weights/fetched.pt"
    assert run(path=output, url=source.as_uri(), sha256=DIGEST) == 0
    assert output.read_bytes() == b"weights"
    assert DIGEST in capsys.readouterr().out
    assert json.loads(provenance_path(output).read_text())["source"] == source.as_uri()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "{source}", "sha256": "0" * 64}, rf"sha256 is {DIGEST}; expected {'0' * 64}"),
        ({"url": "{source}.absent"}, "could not be fetched .*No such file.*; put the file at .*fetched.pt by hand"),
        ({}, "fetched.pt: no such file, and the configuration names no place to fetch it from; put it there, or add"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_leaves_nothing(source, tmp_path, capsys, options, message):
    folder = tmp_path / "weights"
    options = {key: value.format(source=source.as_uri()) for key, value in options.items()}
    assert run(path=folder / "fetched.pt", **options) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error
    assert not folder.exists() or not list(folder.iterdir())


class Faulty(http.server.BaseHTTPRequestHandler):
    """Announces 100 bytes and sends ``weights``, nothing, or nothing for as long as the other side waits."""

    def do_GET(self):
        kind = self.path.strip("/")
        self.send_response(200)
        if kind != "chunked":
            self.send_header("Content-Length", "0" if kind == "empty" else "7" if kind == "whole" else "100")
        self.end_headers()
        if kind in ("whole", "short", "silent"):
            self.wfile.write(b"weights")
            self.wfile.flush()
        if kind == "silent":
            self.rfile.read(1)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("short", "7 bytes came of 100 announced"),
        ("empty", "the file is empty"),
        ("chunked", "the file is empty"),
        ("silent", "timed out"),
    ],
)
def test_a_source_that_fails_is_one_line_and_leaves_nothing(address, tmp_path, capsys, monkeypatch, kind, reason):
    monkeypatch.setattr(fetch_module, "TIMEOUT_S", 0.2)
    assert run(path=tmp_path / "x.pt", url=f"{address}/{kind}") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {address}/{kind} could not be fetched ({reason}); put the file at")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_a_killed_attempt_left_is_removed_and_a_living_one_let_be(address, tmp_path):
    dead, living, other = (tmp_path / name for name in (".x.pt.0a.tmp", ".x.pt.0b.tmp", ".y.pt.0c.tmp"))
    for path in (dead, living, other):
        path.write_bytes(b"half")
    with open(living, "r+b") as stream:
        fetch_module._lock(stream)
        fetch(tmp_path / "x.pt", url=f"{address}/whole", sha256=DIGEST)
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"} == {living.name, other.name}


def test_the_hub_is_asked_for_the_pinned_revision(source, tmp_path, monkeypatch):
    asked = []

    def download(repo, file, revision):
        asked.append((repo, file, revision))
        return str(source)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    fetch(tmp_path / "x.pt", repo="someone/va-vae", revision="abc", file="x.pt", sha256=DIGEST)
    assert asked == [("someone/va-vae", "x.pt", "abc")]


def test_a_hub_out_of_reach_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise ConnectionError("no route to host\nand a long explanation")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(OSError, match=r"^a/b/x.pt at revision c could not be fetched \(no route to host\); put the"):
        fetch(tmp_path / "x.pt", repo="a/b", revision="c", file="x.pt")


def test_a_repository_is_fetched_at_a_revision_and_listed(tmp_path, monkeypatch):
    def snapshot(repo, revision, local_dir):
        if repo == "someone/gated":
            raise OSError("401 Client Error\nmore")
        (local_dir / "vae").mkdir(parents=True)
        (local_dir / "vae/config.json").write_text("{}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    output = tmp_path / "flux/fetched.json"
    assert run(path=output, repo="someone/flux", revision="abc") == 0
    files = {"vae/config.json": 2}
    assert json.loads(output.read_text()) == {"repo": "someone/flux", "revision": "abc", "files": files}
    with pytest.raises(
        OSError, match=r"someone/gated at revision abc could not be fetched \(401 Client Error\); fetch"
    ):
        fetch_repository(tmp_path / "gated/fetched.json", repo="someone/gated", revision="abc")
    assert not (tmp_path / "gated/fetched.json").exists()
