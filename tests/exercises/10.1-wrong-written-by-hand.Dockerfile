# hint: pip leaves a folder
FROM python:3.13-slim
RUN mkdir /app && echo 'print("hello from a private package")' > /app/shiplight_greeting.py
ENV PYTHONPATH=/app
CMD ["python", "-m", "shiplight_greeting"]
