# hint: which base does your last FROM name
FROM python:3.13-slim AS builder
COPY requirements-pure.txt .
RUN pip install --no-cache-dir --target /packages -r requirements-pure.txt

FROM python:3.13-slim
WORKDIR /app
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
COPY main.py .
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
