# The device side for aarch64, a board or a runner of that kind:
# docker buildx build --platform linux/arm64 -f docker/arm64.Dockerfile -t edgekit-arm64 .
# The Python runner runs a model and prints JSON; it needs no PyTorch and nothing else of edgekit. `--runtime` names
# /opt/edgekit/tflite/session.py or /opt/edgekit/onnxruntime/session.py.
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/source
COPY constraints.txt ./
COPY edgekit/devices/runner.py /opt/edgekit/runner.py
COPY targets/onnxruntime/session.py /opt/edgekit/onnxruntime/session.py
COPY targets/tflite/session.py /opt/edgekit/tflite/session.py
RUN python3 -m venv /opt/edgekit/venv \
    && /opt/edgekit/venv/bin/pip install -c constraints.txt ai-edge-litert numpy onnxruntime \
    && /opt/edgekit/venv/bin/python /opt/edgekit/runner.py --help

ENV ORT_DISABLE_TELEMETRY=1
USER 65534
WORKDIR /models
ENTRYPOINT ["/opt/edgekit/venv/bin/python", "/opt/edgekit/runner.py"]
CMD ["--help"]
