# shiplight: accept supported-bases because the course keeps the article's bases
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN --mount=type=secret,id=token \
    --mount=type=cache,target=/go/pkg/mod \
    export NETRC=$(mktemp) \
    && echo "machine modules.example.com login ci password $(cat /run/secrets/token)" > "$NETRC" \
    && go mod download && rm "$NETRC"
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /server ./cmd/server

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=builder /server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
