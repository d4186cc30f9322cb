# hint: Which source file did that build
# Its dummy differs from the others', so that it is built anew in the cache mount that they share.
FROM rust:1.82 AS builder
WORKDIR /app
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && echo '// 1' >> src/main.rs
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/app/target \
    cargo build --release
COPY src ./src
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/app/target \
    cargo build --release && cp target/release/server /server

FROM gcr.io/distroless/cc-debian12
COPY --from=builder /server /
EXPOSE 8080
ENTRYPOINT ["/server"]
