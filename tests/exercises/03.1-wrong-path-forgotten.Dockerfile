# hint: this line of its output
FROM python:3.13-slim AS builder
RUN apt-get update && apt-get install -y gcc libffi-dev
WORKDIR /app
COPY requirements.txt .
RUN pip wheel --no-cache-dir --wheel-dir /wheels -r requirements.txt
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-index /wheels/*

FROM python:3.13-slim
WORKDIR /app
COPY --from=builder /venv /venv
COPY . .
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
