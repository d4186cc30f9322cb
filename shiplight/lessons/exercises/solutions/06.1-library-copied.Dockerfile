FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w -linkmode=external -extldflags=-Wl,--no-as-needed,-lstdc++' -o server ./cmd/server

FROM gcr.io/distroless/base-debian12
COPY --from=builder /lib/*-linux-gnu/libgcc_s.so.1 /usr/lib/*-linux-gnu/libstdc++.so.6 /usr/lib/
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
