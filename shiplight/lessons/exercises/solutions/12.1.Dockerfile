FROM python:3.13-slim AS builder
COPY requirements.txt /
RUN pip install --no-cache-dir --target /deps -r /requirements.txt
COPY src /src
RUN python -m zipapp /src -o /app.pyz

FROM python:3.13-slim
COPY --from=builder /deps /deps
COPY --from=builder /app.pyz /app.pyz
ENV PYTHONPATH=/deps
CMD ["python", "/app.pyz"]
