# shiplight: accept supported-bases because the course keeps the article's bases
FROM rust:1.82 AS builder
WORKDIR /app
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs
RUN --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    cargo build --release --locked
COPY src ./src
RUN --mount=type=cache,id=shiplight-rust-registry,target=/usr/local/cargo/registry \
    touch src/main.rs && CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked \
    && cp target/release/server /server

FROM gcr.io/distroless/cc-debian12
COPY --from=builder /server /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/server"]
