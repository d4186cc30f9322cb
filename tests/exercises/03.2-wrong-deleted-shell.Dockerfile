# hint: which base does your last FROM name
FROM python:3.13-slim
WORKDIR /app
COPY requirements-pure.txt .
RUN pip install --no-cache-dir --target /packages -r requirements-pure.txt
ENV PYTHONPATH=/packages
COPY main.py .
RUN rm -rf /usr/local/lib/python3.13/site-packages/pip* && rm -f /bin/sh /bin/bash /usr/bin/sh
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0"]
