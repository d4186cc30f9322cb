FROM golang:1.23 AS builder
WORKDIR /app
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -ldflags='-s -w' -o server ./cmd/server
RUN for file in $(ldd server | grep -o '/lib[^ ]*'); do install -D "$file" "/out$file"; done

FROM alpine:3.22
COPY --from=builder /out/ /
COPY --from=builder /app/server /server
EXPOSE 8080
ENTRYPOINT ["/server"]
