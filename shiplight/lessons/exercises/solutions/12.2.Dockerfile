FROM python:3.13-slim AS builder
COPY requirements.txt /
RUN pip install --no-cache-dir --target /deps -r /requirements.txt
COPY src /src
RUN python -m zipapp /src -o /app.pyz

FROM builder AS test
COPY tests /tests
RUN PYTHONPATH=/deps:/src python -m unittest discover /tests

FROM python:3.13-slim
COPY --from=builder /deps /deps
COPY --from=test /app.pyz /app.pyz
ENV PYTHONPATH=/deps
CMD ["python", "/app.pyz"]
