# hint: value does it get in the stage that compiles
ARG VERSION=1.4

FROM --platform=$BUILDPLATFORM golang:1.23 AS builder
ARG VERSION
ARG TARGETARCH
WORKDIR /app
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOARCH=arm64 go build -ldflags="-s -w -X main.version=$VERSION" -o /out/says .

FROM scratch
COPY --from=builder /out/says /says
ENTRYPOINT ["/says"]
