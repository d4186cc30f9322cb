# The secret stays where BuildKit puts it, and a variable of this one command names the file.
FROM python:3.13-slim AS builder
RUN --mount=type=secret,id=pip \
    PIP_CONFIG_FILE=/run/secrets/pip pip install --no-cache-dir --target /packages shiplight-greeting

FROM python:3.13-slim
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
CMD ["python", "-m", "shiplight_greeting"]
