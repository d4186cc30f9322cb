# hint: this line of its output
FROM debian:trixie-slim AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libffi-dev python3-dev python3-venv
# The environment that ships never gets pip: the pip of another one fills it.
RUN python3 -m venv /tools && python3 -m venv --without-pip /venv
COPY requirements.txt .
RUN /tools/bin/pip --python /venv/bin/python install --no-cache-dir -r requirements.txt

FROM gcr.io/distroless/python3-debian13:nonroot
WORKDIR /app
COPY --from=builder /venv /environment
COPY main.py .
EXPOSE 8000
ENTRYPOINT ["/venv/bin/python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
