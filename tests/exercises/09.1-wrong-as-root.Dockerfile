# hint: user 0 is root
FROM node:22-slim AS builder
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run bundle
RUN install -D -t /out/usr/local/bin /usr/local/bin/node \
    && install -D -m 644 -t /out/app dist/server.cjs \
    && for file in $(ldd /usr/local/bin/node | grep -o '/lib[^ ]*'); do \
    install -D "$file" "/out$(echo "$file" | sed 's|^/lib/\(.*/\)|/usr/lib/\1|')"; done

FROM gcr.io/distroless/static-debian12
COPY --from=builder /out/ /
ENV NODE_ENV=production
EXPOSE 3000
ENTRYPOINT ["node", "/app/server.cjs"]
