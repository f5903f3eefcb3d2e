# The tool on x86-64: docker build -f docker/export.Dockerfile -t edgekit .
# PyTorch's CPU build is enough: name an index that has it with --build-arg PIP_EXTRA_INDEX_URL=...
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY edgekit edgekit
COPY models models
COPY targets targets
RUN python3 -m venv /opt/edgekit \
    && /opt/edgekit/bin/pip install -c constraints.txt . \
    && /opt/edgekit/bin/edgekit doctor

# ONNX Runtime's telemetry is on unless it is told otherwise; one thread, because torch's threads lose on small networks.
ENV PATH=/opt/edgekit/bin:$PATH \
    ORT_DISABLE_TELEMETRY=1 \
    OMP_NUM_THREADS=1 \
    EDGEKIT_CACHE=/models/.cache
WORKDIR /models
ENTRYPOINT ["edgekit"]
CMD ["--help"]
