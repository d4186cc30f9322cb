FROM --platform=$BUILDPLATFORM golang:1.23 AS source
WORKDIR /app
COPY . .

FROM source AS tested
RUN --mount=type=cache,target=/root/.cache/go-build go run . > /tested

FROM source AS builder
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=bind,from=tested,source=/tested,target=/tested \
    CGO_ENABLED=0 GOARCH=${TARGETPLATFORM#*/} go build -ldflags='-s -w' -o /out/says .

FROM scratch
COPY --from=builder /out/says /says
ENTRYPOINT ["/says"]
