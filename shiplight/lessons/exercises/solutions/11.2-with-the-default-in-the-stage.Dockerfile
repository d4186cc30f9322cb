FROM --platform=$BUILDPLATFORM golang:1.23 AS builder
ARG VERSION=1.4
ARG TARGETPLATFORM
WORKDIR /app
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOARCH=${TARGETPLATFORM##*/} go build -ldflags="-s -w -X main.version=$VERSION" -o /out/says .

FROM scratch
COPY --from=builder /out/says /says
ENTRYPOINT ["/says"]
