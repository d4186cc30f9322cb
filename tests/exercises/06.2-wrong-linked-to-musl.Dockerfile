# hint: lacks
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w' -o server ./cmd/server

FROM alpine:3.22
RUN mkdir -p /lib64 && ln -s /lib/ld-musl-x86_64.so.1 /lib64/ld-linux-x86-64.so.2
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
