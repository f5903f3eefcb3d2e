# Everything that .ci/run looks for: docker build -f docker/ci.Dockerfile -t edgekit-ci .
# It installs its Python packages by itself, in a fresh environment each time.
FROM debian:bookworm-slim
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        adb \
        binutils \
        ca-certificates \
        cmake \
        g++ \
        g++-aarch64-linux-gnu \
        gcc-aarch64-linux-gnu \
        git \
        junit4 \
        libc6-dev-arm64-cross \
        libstdc++6-arm64-cross \
        make \
        npm \
        openjdk-17-jdk-headless \
        openssh-client \
        openssh-server \
        python3 \
        python3-venv \
        qemu-user \
    && rm -rf /var/lib/apt/lists/*

ENV CI=true \
    ORT_DISABLE_TELEMETRY=1 \
    OMP_NUM_THREADS=1
WORKDIR /edgekit
CMD ["bash", ".ci/run"]
