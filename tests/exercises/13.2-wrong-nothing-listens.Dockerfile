# hint: a service keeps running
# shiplight: accept supported-bases because the course keeps the bases that it was measured with
FROM debian:trixie-slim AS builder
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev python3-dev python3-venv
# The environment that ships never gets pip: the pip of another one fills it.
RUN python3 -m venv /tools && python3 -m venv --without-pip /venv
COPY requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    /tools/bin/pip --python /venv/bin/python install -r /requirements.txt

FROM gcr.io/distroless/python3-debian13:nonroot
WORKDIR /app
COPY --from=builder /venv /venv
COPY main.py .
EXPOSE 8000
ENTRYPOINT ["/venv/bin/python", "main.py"]
