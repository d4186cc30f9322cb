# hint: value does it get in the stage that compiles
FROM --platform=$BUILDPLATFORM golang:1.23 AS builder
WORKDIR /app
COPY . .
ARG TARGETARCH
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -ldflags='-s -w' -o /out/says .

FROM scratch
COPY --from=builder /out/says /says
ENTRYPOINT ["/says"]
