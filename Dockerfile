# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS builder
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends g++ make pkg-config libcurl4-openssl-dev libssl-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# The caches stay out of the image, so the program is copied out of them.
RUN --mount=type=cache,id=millrace-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=millrace-target,target=/build/target,sharing=locked \
    cargo build --release --locked --package millrace --features oidc \
 && install -D target/release/millrace /out/millrace

FROM debian:bookworm-slim
# libcurl4, libssl3 and zlib1g: librdkafka links them; ca-certificates: TLS to services with public certificates.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libcurl4 libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --create-home --home-dir /var/lib/millrace --shell /usr/sbin/nologin millrace
COPY --from=builder /out/millrace /usr/local/bin/millrace
USER 10001:10001
# Where millrace.toml is found. The shipped one sets batches for throughput; the environment wins over it.
WORKDIR /var/lib/millrace
COPY millrace.toml .
# Loopback, the default, would be out of reach from outside the container.
ENV HTTP_ADDR=0.0.0.0
EXPOSE 8080
ENTRYPOINT ["millrace"]
CMD ["run"]
