# hint: whose C library has that loader
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w' -o server ./cmd/server

FROM alpine:3.22
COPY --from=builder /lib/x86_64-linux-gnu/libc.so.6 /lib/
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
