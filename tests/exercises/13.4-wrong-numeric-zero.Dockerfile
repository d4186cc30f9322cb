# hint: which USER does the stage
# shiplight: accept supported-bases because the course keeps the article's base
FROM rust:1.82 AS builder
ARG TARGETARCH
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=shiplight-rust-static-$TARGETARCH,target=/target,sharing=locked \
    export CARGO_TARGET_DIR=/target CARGO_PROFILE_RELEASE_STRIP=symbols \
        RUSTFLAGS='-C target-feature=+crt-static' TRIPLE=$(uname -m)-unknown-linux-gnu \
    && cargo clean --release --package server --target $TRIPLE \
    && cargo build --release --locked --target $TRIPLE \
    && install -D -t /out /target/$TRIPLE/release/server
RUN install -D -m 644 -t /out/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=builder /out/ /
USER 0:0
EXPOSE 8080
ENTRYPOINT ["/server"]
