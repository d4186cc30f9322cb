# hint: which files of the largest layer
# shiplight: accept supported-bases because the course keeps the bases that it was measured with
FROM node:22-alpine AS deps
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=token \
    --mount=type=cache,target=/root/.npm \
    export NPM_CONFIG_USERCONFIG=$(mktemp) \
    && echo "//packages.example.com/:_authToken=$(cat /run/secrets/token)" > "$NPM_CONFIG_USERCONFIG" \
    && npm ci && rm "$NPM_CONFIG_USERCONFIG"

FROM node:22-alpine AS builder
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY . .
RUN npm run build

FROM node:22-alpine
WORKDIR /app
ENV NODE_ENV=production
COPY --from=deps /app/node_modules ./node_modules
COPY --from=builder /app/dist ./dist
COPY package.json ./
USER node
EXPOSE 3000
CMD ["node", "dist/index.js"]
