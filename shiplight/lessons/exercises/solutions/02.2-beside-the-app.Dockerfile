FROM node:22-alpine AS builder
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run bundle

FROM node:22-alpine
ENV NODE_ENV=production
COPY --from=builder /app/dist/server.cjs /srv/
EXPOSE 3000
USER node
CMD ["node", "/srv/server.cjs"]
