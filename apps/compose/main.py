"""A small HTTP service: reloaded while you edit it, tested, and shipped, by one Dockerfile."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    return {"ok": True}


@app.get("/")
async def hello(name: str = "world") -> dict[str, str]:
    return {"hello": name}
