# anywidth in an image of one file: a static binary with the models inside.
#
#   docker build --tag anywidth .                      the server
#   docker build --tag anywidth-load --target load .   the load generator
#
# deploy/docker/build.sh does both with whatever client is there, and without a registry where there is none. For arm64 as
# well, without emulation:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example/anywidth --push .
#
# The binaries contain the list of their dependencies, which Trivy, Syft, Grype and cargo-audit read (cargo-auditable).

# Where the binaries come from: the stages that build them, or `prebuilt`, which take them from target/static, where
# deploy/docker/binaries.sh has put them.
ARG BINARIES=built

# Compiles on the building machine's architecture for the image's.
FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS built-server
WORKDIR /src
RUN cargo install --quiet --locked --version 0.7.7 cargo-auditable
ENV AUDITABLE=1
ARG TARGETARCH
# First the dependencies, which take most of the time, from the manifests alone: this layer holds until one of those changes.
COPY deploy/docker/cross.sh deploy/docker/
COPY Cargo.toml Cargo.lock ./
COPY loadgen/Cargo.toml loadgen/
COPY tests/browser/Cargo.toml tests/browser/
RUN mkdir -p src loadgen/src tests/browser/src benches \
    && touch src/lib.rs loadgen/src/lib.rs tests/browser/src/lib.rs \
    && for main in src/main.rs loadgen/src/main.rs benches/instructions.rs benches/latency.rs; do echo 'fn main() {}' > $main; done \
    && deploy/docker/cross.sh "$TARGETARCH" cargo build --release --locked --package anywidth \
    && deploy/docker/cross.sh "$TARGETARCH" cargo clean --release --package anywidth
COPY build.rs ./
COPY models models
COPY samples samples
COPY deploy/docker/binaries.sh deploy/docker/
COPY src src
RUN deploy/docker/cross.sh "$TARGETARCH" deploy/docker/binaries.sh /out anywidth

FROM built-server AS built-load
COPY loadgen loadgen
# As the script does it.
RUN deploy/docker/cross.sh "$TARGETARCH" deploy/docker/binaries.sh /out anywidth-load --features anywidth/server

FROM scratch AS prebuilt-server
COPY target/static/anywidth /out/

FROM scratch AS prebuilt-load
COPY target/static/anywidth-load /out/

FROM ${BINARIES}-server AS server-binary
FROM ${BINARIES}-load AS load-binary

FROM scratch AS load
COPY --from=load-binary /out/anywidth-load /anywidth-load
COPY samples /samples
USER 65532:65532
ENTRYPOINT ["/anywidth-load"]
LABEL org.opencontainers.image.title="anywidth-load" \
      org.opencontainers.image.description="Open-loop load for anywidth" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM scratch AS server
COPY --from=server-binary /out/anywidth /anywidth
USER 65532:65532
# Within the 10 seconds that `docker stop` gives: 2 in which balancers see that this one goes, 7 to finish.
ENV ANYWIDTH_HOST=0.0.0.0 \
    ANYWIDTH_PORT=8080 \
    ANYWIDTH_DRAIN_WAIT_MS=2000 \
    ANYWIDTH_DRAIN_TIMEOUT_MS=7000
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s --start-period=30s --retries=3 CMD ["/anywidth", "healthcheck"]
ENTRYPOINT ["/anywidth"]
CMD ["serve"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="anywidth" \
      org.opencontainers.image.description="An inference server for Any-Width Networks: one file, one copy of the weights, every width" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
