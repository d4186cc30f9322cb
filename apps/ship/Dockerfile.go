# Not fit to ship: this builds a Go service that works, and nearly everything else is wrong.
# The context is apps/go. TOKEN opens a server of private modules.
FROM golang:1.23
ARG TOKEN
WORKDIR /app
COPY . .
RUN echo "machine modules.example.com login ci password $TOKEN" > /root/.netrc
RUN go mod download
RUN go build -o server ./cmd/server
RUN rm /root/.netrc
EXPOSE 8080
CMD ./server
