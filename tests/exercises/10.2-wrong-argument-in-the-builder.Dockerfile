# hint: shows the build arguments of a RUN
FROM python:3.13-slim AS builder
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
RUN pip install --no-cache-dir --target /packages shiplight-greeting

FROM python:3.13-slim
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
CMD ["python", "-m", "shiplight_greeting"]
