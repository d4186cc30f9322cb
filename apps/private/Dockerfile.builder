# The file with the password stays in a stage that does not ship.
FROM python:3.13-slim AS builder
COPY pip.conf /etc/pip.conf
RUN pip install --no-cache-dir --target /packages shiplight-greeting

FROM python:3.13-slim
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
CMD ["python", "-m", "shiplight_greeting"]
