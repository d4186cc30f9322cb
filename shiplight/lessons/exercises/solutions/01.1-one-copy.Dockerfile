FROM golang:1.23 AS builder
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -ldflags='-s -w' -o /out/server ./cmd/server
RUN install -D -m 644 -t /out/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=builder --chown=10001:10001 /out/ /
USER 10001
EXPOSE 8080
ENTRYPOINT ["/server"]
