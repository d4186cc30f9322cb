# shiplight: accept supported-bases because the course keeps the bases that it was measured with
FROM node:22 AS builder
RUN strip -o /node /usr/local/bin/node
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run bundle

FROM gcr.io/distroless/cc-debian12
COPY --from=builder /node /usr/local/bin/node
COPY --from=builder /app/dist/server.cjs /app/
USER 65532:65532
ENV NODE_ENV=production
EXPOSE 3000
ENTRYPOINT ["node", "/app/server.cjs"]
