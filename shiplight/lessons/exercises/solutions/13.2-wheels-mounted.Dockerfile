# shiplight: accept supported-bases because the course keeps the bases that it was measured with
FROM python:3.13-slim AS builder
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev
COPY requirements.txt /
RUN --mount=type=secret,id=token \
    --mount=type=cache,target=/root/.cache/pip \
    INDEX_TOKEN="$(cat /run/secrets/token)" pip wheel --wheel-dir /wheels -r /requirements.txt

FROM python:3.13-slim
WORKDIR /app
RUN --mount=type=bind,from=builder,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels /wheels/*
COPY main.py .
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
