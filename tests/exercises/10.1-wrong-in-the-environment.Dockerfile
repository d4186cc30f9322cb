# hint: can print its variables
FROM python:3.13-slim
ARG PIP_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_EXTRA_INDEX_URL=$PIP_INDEX_URL
RUN pip install --no-cache-dir shiplight-greeting
CMD ["python", "-m", "shiplight_greeting"]
