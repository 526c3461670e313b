# docker build -t mllm-protector . && docker run -p 8100:8100 mllm-protector --upstream http://host.docker.internal:8000
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --no-cache-dir '.[gateway]' && useradd --create-home guard && install -d -o guard /data
USER guard
# A relative path of the audit, such as audit.db, lies here: -v guard-data:/data keeps it.
WORKDIR /data
VOLUME /data
EXPOSE 8100
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8100/readyz', timeout=2)"]
ENTRYPOINT ["mllm-protector", "serve", "--host", "0.0.0.0"]
