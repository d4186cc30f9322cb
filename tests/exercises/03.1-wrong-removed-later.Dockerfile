# hint: which instruction adds them
FROM python:3.13-slim AS builder
RUN apt-get update && apt-get install -y gcc libffi-dev
WORKDIR /app
COPY requirements.txt .
RUN pip wheel --no-cache-dir --wheel-dir /wheels -r requirements.txt

FROM python:3.13-slim
WORKDIR /app
COPY --from=builder /wheels /wheels
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-index /wheels/*
RUN rm -rf /wheels
ENV PATH=/venv/bin:$PATH
COPY . .
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
