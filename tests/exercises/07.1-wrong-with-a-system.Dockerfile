# hint: what does your last FROM name
FROM golang:1.23 AS builder
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    GOTOOLCHAIN=go1.26.8 CGO_ENABLED=0 go build -ldflags='-s -w' -o /server ./cmd/server

FROM debian:bookworm-slim
COPY --from=builder /server /server
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
EXPOSE 8080
ENTRYPOINT ["/server"]
