# hint: read its last line of output again
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w -linkmode=external -extldflags=-Wl,--no-as-needed,-lstdc++' -o server ./cmd/server

FROM gcr.io/distroless/base-debian12
COPY --from=builder /usr/lib/x86_64-linux-gnu/libstdc++.so.6 /usr/lib/x86_64-linux-gnu/
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
