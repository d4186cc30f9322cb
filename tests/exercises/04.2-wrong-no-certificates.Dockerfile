# hint: where is it in the builder
FROM rust:1.82 AS builder
ARG TARGETARCH
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=shiplight-rust-static-$TARGETARCH,target=/target,sharing=locked \
    export CARGO_TARGET_DIR=/target CARGO_PROFILE_RELEASE_STRIP=symbols RUSTFLAGS='-C target-feature=+crt-static' \
        TRIPLE=$(uname -m)-unknown-linux-gnu \
    && cargo clean --release --package server --target $TRIPLE \
    && cargo build --release --locked --target $TRIPLE \
    && cp /target/$TRIPLE/release/server /server

FROM scratch
COPY --from=builder /server /
EXPOSE 8080
ENTRYPOINT ["/server"]
