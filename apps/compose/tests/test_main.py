"""Asks the service what a client would ask."""

from fastapi.testclient import TestClient
from main import app

client = TestClient(app)


def test_it_is_healthy():
    assert client.get("/healthz").json() == {"ok": True}


def test_it_greets():
    assert client.get("/", params={"name": "Ada"}).json() == {"hello": "Ada"}
