# hint: this line of its output
FROM python:3.13-slim AS builder
COPY requirements-pure.txt .
RUN pip install --no-cache-dir --target /packages -r requirements-pure.txt

FROM gcr.io/distroless/python3-debian13:nonroot
WORKDIR /app
COPY --from=builder /packages /packages
COPY main.py .
EXPOSE 8000
CMD ["-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
