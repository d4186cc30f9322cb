# hint: without a toolchain
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w -linkmode=external -extldflags=-Wl,--no-as-needed,-lstdc++' -o server ./cmd/server

FROM builder
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
