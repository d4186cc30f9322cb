"""A word is searched for in an image, in an exported cache and on the engine's own disk."""

import json
from dataclasses import replace

import factories
import pytest
import results
from factories import directory, file, whiteout

from shiplight import engine
from shiplight.charts import trace_charts
from shiplight.errors import UsageError
from shiplight.image import read_image
from shiplight.inspection import Found, Traces, measuring, search, search_engine, search_folder

WORD = "t0ken-of-ann"
URL = f"http://ann:{WORD}@host/simple"
HISTORY = [
    {"created_by": "COPY pip.conf /etc/pip.conf # buildkit"},
    {"created_by": f"ENV INDEX={URL}", "empty_layer": True},
    {"created_by": f"RUN |1 INDEX={URL} /bin/sh -c pip install x # buildkit"},
    {"created_by": "RUN /bin/sh -c rm /etc/pip.conf # buildkit"},
    {"created_by": "CMD", "comment": WORD, "empty_layer": True},
]
IMAGE = factories.Image(
    [
        [directory("etc"), file("etc/pip.conf", URL.encode())],
        [file("app", b"clean"), file("log", WORD.encode())],
        [whiteout("etc/pip.conf")],
    ],
    name="shiplight/lab1/private:arg",
    config={
        "Env": [f"INDEX={URL}", "PATH=/bin", f"{WORD}=1"],
        "Cmd": ["app"],
        "Entrypoint": ["serve", "--index", URL],
        "Healthcheck": {"Test": ["CMD", "ask", URL, WORD]},
        "Labels": {"org.example.index": URL, f"of.{WORD}": "yes", "vendor": "clean"},
    },
    history=HISTORY,
)
FOUND = (
    Found("environment", "INDEX"),
    Found("environment", WORD),
    Found("configuration", "config.Entrypoint"),
    Found("configuration", "config.Labels.org.example.index"),
    Found("configuration", f"config.Labels.of.{WORD}"),
    Found("configuration", "config.Healthcheck.Test"),
    Found("history", f"ENV INDEX={URL}"),
    Found("history", f"RUN |1 INDEX={URL} /bin/sh -c pip install x # buildkit"),
    Found("history", "CMD"),
    Found("hidden file", "/etc/pip.conf"),
    Found("file", "/log"),
)


@pytest.fixture(params=["legacy", "oci"])
def exported(request, monkeypatch):
    """An engine that exports one image, in the one or the other layout."""
    if request.param == "legacy":
        archive = factories.legacy(IMAGE)
    else:
        archive = factories.oci(IMAGE, packing="gzip")

    def export(client, name, path):
        path.write_bytes(archive)
        return read_image(iter([archive]))

    monkeypatch.setattr(measuring, "export", export)
    monkeypatch.setattr(engine, "setting", lambda client, bases: results.SETTING)


def test_every_place_in_an_image_is_found_each_of_its_kind(exported):
    traces = search(object(), IMAGE.name, WORD)
    assert traces.found == FOUND and traces.layers == 3 and traces
    assert traces.kinds() == ["environment", "configuration", "history", "hidden file", "file"]
    assert Traces.from_dict(json.loads(json.dumps(traces.to_dict()))) == traces


def test_an_image_without_the_word_has_no_traces_and_no_word_is_refused(exported):
    traces = search(object(), IMAGE.name, "another word")
    assert not traces and traces.layers == 3
    with pytest.raises(UsageError, match="nothing to search for"):
        search(object(), IMAGE.name, "")


def test_an_exported_cache_is_searched_in_its_layers_and_its_documents(tmp_path):
    for path, data in factories.oci_files(IMAGE, packing="gzip").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    found = search_folder(object(), tmp_path, WORD)
    assert {"/etc/pip.conf", "/log"} <= set(found)
    assert [name for name in found if name[0] != "/"] == [factories.sha256(IMAGE.config_json)]
    assert search_folder(object(), tmp_path, "another word") == []


def test_the_engines_disk_is_searched_where_it_changed_also_in_layers_of_before(
    tmp_path, monkeypatch
):
    """A build writes its context into a layer that an earlier one has made."""
    for layer in ("a" * 64, "0123456789abcdefghijklmno"):
        (tmp_path / "overlay2" / layer / "diff" / "etc").mkdir(parents=True)
        (tmp_path / "overlay2" / layer / "diff" / "etc" / "pip.conf").write_text(URL)
    (tmp_path / "repositories.json").write_text(WORD)
    (tmp_path / "clean.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("repositories.json")
    monkeypatch.setattr(engine, "data_folder", lambda client: tmp_path)
    expected = ["overlay2/…/diff/etc/pip.conf", "repositories.json"]
    before = (tmp_path / "repositories.json").lstat().st_ctime
    assert search_engine(object(), WORD, since=0) == expected
    assert search_engine(object(), "another word", since=0) == []
    assert search_engine(object(), WORD, since=before + 1000) == []


def test_a_disk_that_cannot_be_seen_is_unknown_and_not_clean(monkeypatch):
    monkeypatch.setattr(engine, "data_folder", lambda client: None)
    assert search_engine(object(), WORD, since=0) is None


TRACES = Traces("shiplight/lab1/private:arg", 3, FOUND, results.SETTING)
CLEAN = replace(TRACES, image="shiplight/lab1/private:secret", found=())


def test_the_table_of_places_has_a_row_for_an_image_without_any():
    table = trace_charts.places(TRACES, CLEAN)
    assert list(table["image"]) == ["private/arg"] * len(FOUND) + ["private/secret"]
    assert table["found"].isna().sum() == 1 and table["where"].iloc[0] == "INDEX"


def test_the_chart_counts_images_with_the_word_and_draws_no_bar_for_the_others():
    figure = trace_charts.leaks(TRACES, CLEAN, names=["an argument", "a mount"])
    assert results.title_of(figure) == "1 of 2 images contain the token"
    assert list(figure.data[0].x) == [len(FOUND), 0]
    shown = results.texts(figure)
    assert "11: environment, configuration, history, hidden file, file" in shown and "none" in shown
