# hint: not what has to run it
FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 GOOS=linux go build -ldflags='-s -w' -o server ./cmd/server

FROM alpine:3.22
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
