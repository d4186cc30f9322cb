# hint: besides the lock file
FROM python:3.13-slim AS builder
COPY requirements.txt src /app/
RUN pip install --no-cache-dir --target /deps -r /app/requirements.txt
RUN python -m zipapp /app -o /app.pyz

FROM python:3.13-slim
COPY --from=builder /deps /deps
COPY --from=builder /app.pyz /app.pyz
ENV PYTHONPATH=/deps
CMD ["python", "/app.pyz"]
