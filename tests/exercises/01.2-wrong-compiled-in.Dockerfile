# hint: the task asks for another way
# Hardened: from scratch, with the pieces that a service may miss there, and nobody is root.
# What is mounted while building leaves no trace in any layer.
FROM golang:1.23 AS builder
WORKDIR /app
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags='-s -w' -o /out/server ./cmd/server
RUN mkdir -p -m 1777 /out/tmp && install -D -m 644 -t /out/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt

FROM scratch AS runtime
COPY --from=builder /out/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/server"]

# The same image with a shell, built only where it is asked for: --target debug
FROM runtime AS debug
COPY --from=busybox:musl /bin/ /bin/

FROM runtime AS production
