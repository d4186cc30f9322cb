# hint: tells rustc how to link
FROM rust:1.82 AS builder
ARG TARGETARCH
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=shiplight-rust-target-$TARGETARCH,target=/target,sharing=locked \
    export CARGO_TARGET_DIR=/target \
    && cargo clean --release --package server \
    && cargo build --release --locked \
    && cp /target/release/server /server

FROM scratch
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=builder /server /
EXPOSE 8080
ENTRYPOINT ["/server"]
