FROM python:3.13-slim AS builder
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=true \
    pip install --no-cache-dir --target /packages shiplight-greeting

FROM python:3.13-slim
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
CMD ["python", "-m", "shiplight_greeting"]
