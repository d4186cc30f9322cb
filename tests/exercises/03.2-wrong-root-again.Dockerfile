# hint: user 0 is root
FROM python:3.13-slim AS builder
COPY requirements-pure.txt .
RUN pip install --no-cache-dir --target /packages -r requirements-pure.txt

FROM gcr.io/distroless/python3-debian13:nonroot
WORKDIR /app
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
COPY main.py .
USER root
EXPOSE 8000
CMD ["-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
