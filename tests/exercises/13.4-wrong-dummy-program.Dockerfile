# hint: a service keeps running
# shiplight: accept supported-bases because the course keeps the article's base
FROM rust:1.82 AS builder
WORKDIR /app
COPY Cargo.toml Cargo.lock ./
RUN --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    mkdir src && echo 'fn main() {}' > src/main.rs && cargo build --release --locked
COPY src src
RUN --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    cargo build --release --locked

FROM gcr.io/distroless/cc-debian12
COPY --from=builder /app/target/release/server /server
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/server"]
