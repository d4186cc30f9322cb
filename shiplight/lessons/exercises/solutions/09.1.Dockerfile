FROM node:22-slim AS builder
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run bundle
RUN install -D -t /out/usr/local/bin /usr/local/bin/node \
    && install -D -m 644 -t /out/app dist/server.cjs \
    && ldd /usr/local/bin/node | grep -o '/lib/[^ ]*' | xargs install -D -t /out/usr/lib/x86_64-linux-gnu \
    && install -D -t /out/lib64 /lib64/ld-linux-x86-64.so.2

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=builder /out/ /
ENV NODE_ENV=production
EXPOSE 3000
ENTRYPOINT ["node", "/app/server.cjs"]
