# hint: a layer keeps what its instruction leaves behind
FROM python:3.13-slim
COPY pip.conf /etc/pip.conf
RUN pip install --no-cache-dir shiplight-greeting
RUN rm /etc/pip.conf
CMD ["python", "-m", "shiplight_greeting"]
