# hint: besides the lock file
FROM python:3.13-slim AS builder
COPY . /app
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --target /deps -r /app/requirements.txt
RUN python -m zipapp /app/src -o /app.pyz

FROM python:3.13-slim
COPY --from=builder /deps /deps
COPY --from=builder /app.pyz /app.pyz
ENV PYTHONPATH=/deps
CMD ["python", "/app.pyz"]
