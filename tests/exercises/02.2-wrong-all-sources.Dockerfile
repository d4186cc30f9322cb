# hint: adds more than the bundle
FROM node:22-alpine AS builder
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run bundle

FROM node:22-alpine
WORKDIR /app
ENV NODE_ENV=production
COPY --from=builder /app/src ./src
COPY --from=builder /app/dist/server.cjs ./
EXPOSE 3000
USER node
CMD ["node", "server.cjs"]
