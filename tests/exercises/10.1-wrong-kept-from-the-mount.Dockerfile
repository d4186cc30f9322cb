# hint: a layer keeps what its instruction leaves behind
FROM python:3.13-slim
RUN --mount=type=secret,id=pip cp /run/secrets/pip /etc/pip.conf \
    && pip install --no-cache-dir shiplight-greeting
CMD ["python", "-m", "shiplight_greeting"]
