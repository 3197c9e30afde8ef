# heapline in an image: built from the lock file, run by a user who is not root.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/heapline
COPY requirements/runtime.lock requirements/
RUN /opt/heapline/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.lock
COPY . .
RUN /opt/heapline/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --system --create-home --uid 10001 heapline \
 && install -d -o heapline -g heapline /var/lib/heapline
COPY --from=build /opt/heapline /opt/heapline
ENV PATH=/opt/heapline/bin:$PATH HEAPLINE_STATE__DIRECTORY=/var/lib/heapline
USER heapline
VOLUME /var/lib/heapline
# Good for `run` and `serve`; a container that only forwards has no port to ask, and turns it off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["heapline"]
CMD ["--help"]
