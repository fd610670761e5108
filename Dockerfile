# t0dspy: the program server, the retrain job, and (with compose.airgapped.yaml) the embedded gateway and ClickHouse.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

# A virtual environment, because the Python of the base image may be managed by its distribution.
RUN python3 -m venv /opt/t0dspy
COPY pyproject.toml constraints.txt /src/
# Install the dependencies first, because they change rarely and take long; then t0dspy itself.
RUN cd /src && mkdir -p toolkit/t0dspy toolkit/chdb_http toolkit/localkit && touch toolkit/t0dspy/__init__.py README.md LICENSE \
    && /opt/t0dspy/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --constraint /src/constraints.txt '/src[embedded,retrain]'
COPY README.md LICENSE /src/
COPY toolkit /src/toolkit
RUN /opt/t0dspy/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --force-reinstall /src

# If your programs need other packages than DSPy, build an image FROM this one, or install them here.

RUN useradd --uid 10001 --create-home t0dspy && mkdir -p /app /data && chown t0dspy /app /data
ENV PATH=/opt/t0dspy/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 HOME=/tmp
USER t0dspy
WORKDIR /app
ENTRYPOINT ["t0dspy"]
CMD ["--help"]
