# hint: a layer keeps what its instruction leaves behind
FROM python:3.13-slim AS builder
COPY pip.conf /etc/pip.conf
RUN pip install --no-cache-dir --target /packages shiplight-greeting && rm /etc/pip.conf

FROM python:3.13-slim
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
CMD ["python", "-m", "shiplight_greeting"]
