"""Each check on right Dockerfiles and on named wrong ones."""

from dataclasses import replace

import checking
import pytest
from checking import check, failed, result

from shiplight import checklist

GO = "FROM golang:1.26 AS build\nWORKDIR /app\nCOPY go.mod main.go ./\nRUN CGO_ENABLED=0 go build -o /server .\n"
RUST = "FROM rust:1.88-bookworm AS build\nWORKDIR /app\nCOPY . .\nRUN cargo build --release\n"
FROM_BUILD = "COPY --from=build /app/target/release/app /app\n"
NODE = "FROM node:22-slim\nWORKDIR /app\nCOPY package.json ./\n"
PASSED, FAILED, NONE, UNSEEN = "passed", "failed", "does not apply", "could not be seen"

# check, what the case shows, the Dockerfile, the files beside it, the result, words of the evidence
CASES = [
    # separate-stages
    ("separate-stages", "two stages", GO + "FROM scratch\nCOPY --from=build /server /", {}, PASSED, "build"),
    ("separate-stages", "one stage", GO, {}, FAILED, "also compiles"),
    ("separate-stages", "the last stage stands on the builder", GO + "FROM build AS final\nUSER 1", {}, FAILED, "final"),
    ("separate-stages", "it compiles when it starts", 'FROM golang:1.26\nCMD ["go", "run", "."]', {}, FAILED, "compiles"),
    ("separate-stages", "a script only", "FROM python:3.13-slim\nCOPY a.py /", {}, NONE, "nothing is compiled"),
    ("separate-stages", "compiled and cleaned in one instruction", "FROM alpine:3.22\nRUN apk add --no-cache gcc && make && apk del gcc", {}, NONE, ""),
    ("separate-stages", "a front end built in the final stage", NODE + "RUN npm ci && npm run build", {}, FAILED, "compiles"),
    ("separate-stages", "echo of a compiler's name", "FROM alpine:3.22\nRUN echo go build", {}, NONE, ""),
    # dev-dependencies
    ("dev-dependencies", "npm --omit=dev", NODE + "RUN npm ci --omit=dev", {}, PASSED, "npm"),
    ("dev-dependencies", "npm ci", NODE + "RUN npm ci", {}, FAILED, "npm"),
    ("dev-dependencies", "NODE_ENV", NODE + "ENV NODE_ENV=production\nRUN npm ci", {}, PASSED, ""),
    ("dev-dependencies", "NODE_ENV too late", NODE + "RUN npm ci\nENV NODE_ENV=production", {}, FAILED, ""),
    ("dev-dependencies", "NODE_ENV for one command", NODE + "RUN NODE_ENV=production npm ci", {}, PASSED, ""),
    ("dev-dependencies", "pruned afterwards", NODE + "RUN npm ci && npm run build && npm prune --omit=dev", {}, PASSED, ""),
    ("dev-dependencies", "no dev dependencies in package.json", NODE + "RUN npm ci", {"package.json": '{"dependencies": {}}'}, PASSED, ""),
    ("dev-dependencies", "dev dependencies in package.json", NODE + "RUN npm ci", {"package.json": '{"devDependencies": {"a": "1"}}'}, FAILED, ""),
    ("dev-dependencies", "named packages are chosen", NODE + "RUN npm install express && npm install -g pnpm", {}, NONE, ""),
    ("dev-dependencies", "all of node_modules is copied", NODE.replace("slim", "slim AS build") + "RUN npm ci\nFROM node:22-slim\nCOPY --from=build /app/node_modules ./node_modules", {}, FAILED, ""),
    ("dev-dependencies", "the whole folder is copied", NODE.replace("slim", "slim AS build") + "RUN npm ci\nFROM node:22-slim\nCOPY --from=build /app /srv", {}, FAILED, ""),
    ("dev-dependencies", "only the bundle is copied", NODE.replace("slim", "slim AS build") + "RUN npm ci\nFROM node:22-slim\nCOPY --from=build /app/dist /srv", {}, PASSED, "do not ship"),
    ("dev-dependencies", "through three stages", NODE.replace("slim", "slim AS a") + "RUN yarn\nFROM scratch AS b\nCOPY --from=a /app /x\nFROM node:22-slim\nCOPY --from=b /x /y", {}, FAILED, "yarn"),
    ("dev-dependencies", "pnpm --prod", NODE + "RUN pnpm install --prod --frozen-lockfile", {}, PASSED, ""),
    ("dev-dependencies", "poetry", "FROM python:3.13-slim\nRUN poetry install", {}, FAILED, "poetry"),
    ("dev-dependencies", "poetry --only main", "FROM python:3.13-slim\nRUN poetry install --only main", {}, PASSED, ""),
    ("dev-dependencies", "uv sync", "FROM python:3.13-slim\nRUN uv sync --frozen", {}, FAILED, "uv"),
    ("dev-dependencies", "uv sync --no-dev", "FROM python:3.13-slim\nRUN uv sync --frozen --no-dev", {}, PASSED, ""),
    ("dev-dependencies", "UV_NO_DEV", "FROM python:3.13-slim\nENV UV_NO_DEV=1\nRUN uv sync", {}, PASSED, ""),
    ("dev-dependencies", "requirements-dev.txt", "FROM python:3.13-slim\nRUN pip install -r requirements-dev.txt", {}, FAILED, "pip"),
    ("dev-dependencies", "an extra called test", "FROM python:3.13-slim\nRUN pip install -e .[test]", {}, FAILED, "pip"),
    ("dev-dependencies", "requirements.txt", "FROM python:3.13-slim\nRUN pip install -r requirements.txt", {}, PASSED, ""),
    ("dev-dependencies", "composer", "FROM php:8.4-cli\nRUN composer install", {}, FAILED, "composer"),
    ("dev-dependencies", "composer --no-dev", "FROM php:8.4-cli\nRUN composer install --no-dev", {}, PASSED, ""),
    ("dev-dependencies", "bundle", "FROM ruby:3.4-slim\nRUN bundle install", {}, FAILED, "bundler"),
    ("dev-dependencies", "bundle config", "FROM ruby:3.4-slim\nRUN bundle config set --local without 'development test'\nRUN bundle install", {}, PASSED, ""),
    ("dev-dependencies", "a compiled language", GO, {}, NONE, ""),
    # smallest-base
    ("smallest-base", "scratch", GO + "FROM scratch\nCOPY --from=build /server /", {}, PASSED, "scratch"),
    ("smallest-base", "static on Debian", GO + "FROM debian:trixie-slim\nCOPY --from=build /server /", {}, FAILED, "static"),
    ("smallest-base", "static on Ubuntu", GO + "FROM ubuntu:24.04\nCOPY --from=build /server /", {}, FAILED, "static"),
    ("smallest-base", "static, but git is installed too", GO + "FROM debian:trixie-slim\nRUN apt-get install -y git\nCOPY --from=build /server /", {}, UNSEEN, "git"),
    ("smallest-base", "the toolchain", GO, {}, FAILED, "there to compile"),
    ("smallest-base", "a toolchain that may be meant as one", "FROM golang:1.26\nRUN go install x.dev/y@v1", {}, FAILED, ""),
    ("smallest-base", "nothing but a toolchain", "FROM golang:1.26\nRUN apt-get update", {}, UNSEEN, "meant as one"),
    ("smallest-base", "the full Python", "FROM python:3.13\nCOPY a.py /", {}, FAILED, "full variant"),
    ("smallest-base", "the slim Python", "FROM python:3.13-slim\nCOPY a.py /", {}, PASSED, ""),
    ("smallest-base", "a JDK to run a jar", "FROM eclipse-temurin:21\nCOPY a.jar /", {}, FAILED, ""),
    ("smallest-base", "a JRE", "FROM eclipse-temurin:21-jre\nCOPY a.jar /", {}, PASSED, ""),
    ("smallest-base", "glibc on slim", RUST + "FROM debian:bookworm-slim\n" + FROM_BUILD, {}, PASSED, ""),
    ("smallest-base", "glibc on the full Debian", RUST + "FROM debian:bookworm\n" + FROM_BUILD, {}, FAILED, "full"),
    ("smallest-base", "an image of one's own", "FROM registry.example.com/base:1\nCOPY a /", {}, UNSEEN, ""),
    # only-needed
    ("only-needed", "nothing but the program", GO + "FROM scratch\nCOPY --from=build /server /", {}, PASSED, ""),
    ("only-needed", "the compiler by FROM", GO, {}, FAILED, "Go toolchain"),
    ("only-needed", "the compiler by apt", "FROM python:3.13-slim\nRUN apt-get update && apt-get install -y --no-install-recommends gcc libffi-dev", {}, FAILED, "gcc and libffi-dev"),
    ("only-needed", "a pinned compiler by apk", "FROM python:3.13-alpine\nRUN apk add --no-cache build-base=0.5-r3", {}, FAILED, "build-base"),
    ("only-needed", "a compiler that goes again", "FROM python:3.13-slim\nRUN apt-get update && apt-get install -y gcc && apt-get purge -y gcc", {}, PASSED, ""),
    ("only-needed", "a compiler in another stage", "FROM python:3.13-slim AS b\nRUN apt-get install -y gcc\nFROM python:3.13-slim\nCOPY --from=b /x /x", {}, PASSED, ""),
    ("only-needed", "a compiler in a stage that the last stands on", "FROM python:3.13-slim AS b\nRUN apt-get install -y gcc\nFROM b\nCMD [\"x\"]", {}, FAILED, "gcc"),
    ("only-needed", "sources on top of the program", GO + "FROM alpine:3.22\nCOPY . /src\nCOPY --from=build /server /", {}, FAILED, "sources"),
    ("only-needed", "the builder's whole folder", GO + "FROM alpine:3.22\nCOPY --from=build /app /app", {}, FAILED, "sources"),
    ("only-needed", "a subfolder of the builder's", GO + "FROM alpine:3.22\nCOPY --from=build /app/templates /t", {}, PASSED, ""),
    ("only-needed", "tests by COPY . .", "FROM python:3.13-slim\nCOPY . .", {"tests/test_a.py": "", "app.py": ""}, FAILED, "tests"),
    ("only-needed", "tests ignored", "FROM python:3.13-slim\nCOPY . .", {"tests/a.py": "", "app.py": "", ".dockerignore": "tests"}, PASSED, ""),
    ("only-needed", "history by COPY . .", "FROM python:3.13-slim\nCOPY . .", {".git/HEAD": "", "app.py": ""}, FAILED, ".git"),
    ("only-needed", "a runtime library", "FROM python:3.13-slim\nRUN apt-get install -y libpq5 ffmpeg", {}, PASSED, ""),
    # stripped
    ("stripped", "go -s -w", GO.replace("build -o", "build -ldflags='-s -w' -o") + "FROM scratch\nCOPY --from=build /server /", {}, PASSED, ""),
    ("stripped", "go -s -w in a variable", GO.replace("WORKDIR", "ENV GOFLAGS=-ldflags=-w\nWORKDIR") + "FROM scratch\nCOPY --from=build /server /", {}, PASSED, ""),
    ("stripped", "go with other flags", GO.replace("build -o", "build -ldflags='-X main.v=1' -o") + "FROM scratch\nCOPY --from=build /server /", {}, FAILED, ""),
    ("stripped", "go, flags by an argument without value", "FROM golang:1.26\nARG FLAGS\nRUN go build -ldflags \"$FLAGS\" .", {}, UNSEEN, ""),
    ("stripped", "go, flags by an argument with one", "FROM golang:1.26\nARG FLAGS='-s -w'\nRUN go build -ldflags \"$FLAGS\" .", {}, PASSED, ""),
    ("stripped", "go", GO, {}, FAILED, ""),
    ("stripped", "strip", GO + "RUN strip /server", {}, PASSED, ""),
    ("stripped", "rust, Cargo.toml not here", RUST, {}, UNSEEN, ""),
    ("stripped", "rust, strip in Cargo.toml", RUST, {"Cargo.toml": "[profile.release]\nstrip = true"}, PASSED, ""),
    ("stripped", "rust, Cargo.toml without", RUST, {"Cargo.toml": "[package]\nname = 'a'"}, FAILED, ""),
    ("stripped", "rust, a debug build", RUST.replace(" --release", ""), {}, FAILED, ""),
    ("stripped", "rust, by variable", RUST.replace("WORKDIR", "ENV CARGO_PROFILE_RELEASE_STRIP=true\nWORKDIR"), {}, PASSED, ""),
    ("stripped", "cc", "FROM gcc:14\nRUN gcc -O2 -o a a.c", {}, FAILED, ""),
    ("stripped", "cc -s", "FROM gcc:14\nRUN gcc -O2 -s -o a a.c", {}, PASSED, ""),
    ("stripped", "make decides", "FROM gcc:14\nRUN make", {}, UNSEEN, ""),
    ("stripped", "a program that does not ship", GO + "FROM alpine:3.22\nCMD [\"sh\"]", {}, NONE, ""),
    ("stripped", "an interpreter", NODE, {}, NONE, ""),
    # cache-mounts
    ("cache-mounts", "with", NODE + "RUN --mount=type=cache,target=/root/.npm npm ci", {}, PASSED, ""),
    ("cache-mounts", "without", NODE + "RUN npm ci", {}, FAILED, "npm"),
    ("cache-mounts", "one of two", GO.replace("RUN", "RUN --mount=type=cache,target=/go/pkg/mod go mod download\nRUN"), {}, FAILED, "go"),
    ("cache-mounts", "a bind mount is none", NODE + "RUN --mount=type=bind,target=. npm ci", {}, FAILED, ""),
    ("cache-mounts", "a tool is no dependency", "FROM python:3.13-slim\nRUN pip install poetry==2.1 && npm install -g pnpm", {}, NONE, ""),
    ("cache-mounts", "wheels at hand need none", "FROM python:3.13-slim\nRUN pip install --no-index --find-links=/wheels app", {}, NONE, ""),
    ("cache-mounts", "in a stage that is not built", "FROM node:22 AS dev\nRUN npm ci\nFROM scratch\nCOPY a /", {}, NONE, ""),
    ("cache-mounts", "cargo-chef", "FROM rust:1.88-bookworm\nRUN cargo chef cook --release\nRUN cargo build --release", {}, PASSED, "cargo-chef"),
    ("cache-mounts", "nuget restored before", "FROM mcr.microsoft.com/dotnet/sdk:10.0\nRUN --mount=type=cache,target=/root/.nuget dotnet restore\nRUN dotnet publish --no-restore", {}, PASSED, ""),
    # scanned
    ("scanned", "nobody knows", GO, {}, UNSEEN, ""),
    ("scanned", "by a workflow", GO, {".github/workflows/ci.yml": "      - uses: aquasecurity/trivy-action@0.30\n"}, PASSED, "ci.yml"),
    ("scanned", "a scan of files is none of an image", GO, {".github/workflows/ci.yml": "run: trivy fs .\n"}, UNSEEN, ""),
    # reclaimable
    ("reclaimable", "wheels copied, then removed", "FROM python:3.13-slim AS b\nFROM python:3.13-slim\nCOPY --from=b /wheels /wheels\nRUN pip install --no-index /wheels/* && rm -rf /wheels", {}, FAILED, "/wheels"),
    ("reclaimable", "wheels mounted", "FROM python:3.13-slim AS b\nFROM python:3.13-slim\nRUN --mount=type=bind,from=b,source=/wheels,target=/wheels pip install --no-index /wheels/*", {}, PASSED, ""),
    ("reclaimable", "a list of names, removed", "FROM python:3.13-slim\nCOPY requirements.txt /tmp/\nRUN pip install --no-cache-dir -r /tmp/requirements.txt && rm /tmp/requirements.txt", {}, PASSED, ""),
    ("reclaimable", "a download, removed later", "FROM alpine:3.22\nRUN wget -O /tmp/a.tgz https://x/a\nRUN rm /tmp/a.tgz", {}, FAILED, "/tmp/a.tgz"),
    ("reclaimable", "a download, removed at once", "FROM alpine:3.22\nRUN wget -O /tmp/a.tgz https://x/a && rm /tmp/a.tgz", {}, PASSED, ""),
    ("reclaimable", "apt lists", "FROM debian:trixie-slim\nRUN apt-get update && apt-get install -y git", {}, FAILED, "apt's"),
    ("reclaimable", "apt lists removed", "FROM debian:trixie-slim\nRUN apt-get update && apt-get install -y git && rm -rf /var/lib/apt/lists/*", {}, PASSED, ""),
    ("reclaimable", "apt lists removed in another instruction", "FROM debian:trixie-slim\nRUN apt-get update && apt-get install -y git\nRUN rm -rf /var/lib/apt/lists/*", {}, FAILED, "apt's"),
    ("reclaimable", "apt lists in a cache mount", "FROM debian:trixie-slim\nRUN --mount=type=cache,target=/var/lib/apt --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y git", {}, PASSED, ""),
    ("reclaimable", "apt lists of a builder", "FROM debian:trixie AS b\nRUN apt-get update\nFROM scratch\nCOPY --from=b /x /x", {}, PASSED, ""),
    ("reclaimable", "apt in a here-document", "FROM debian:trixie-slim\nRUN <<EOF\napt-get update\napt-get install -y git\nEOF\n", {}, FAILED, "apt's"),
    ("reclaimable", "apk without an index", "FROM alpine:3.22\nRUN apk add --no-cache git", {}, PASSED, ""),
    ("reclaimable", "apk update", "FROM alpine:3.22\nRUN apk update && apk add git", {}, FAILED, "apk's"),
    ("reclaimable", "dnf", "FROM fedora:42\nRUN dnf install -y git", {}, FAILED, "dnf's"),
    ("reclaimable", "dnf cleaned", "FROM fedora:42\nRUN dnf install -y git && dnf clean all", {}, PASSED, ""),
    ("reclaimable", "pip's cache", "FROM python:3.13-slim\nRUN pip install flask", {}, FAILED, "pip's"),
    ("reclaimable", "pip without one", "FROM python:3.13-slim\nRUN pip install --no-cache-dir flask", {}, PASSED, ""),
    ("reclaimable", "pip without one, by variable", "FROM python:3.13-slim\nENV PIP_NO_CACHE_DIR=1\nRUN pip install flask", {}, PASSED, ""),
    ("reclaimable", "chown -R of what was copied", "FROM python:3.13-slim\nCOPY . /app\nRUN chown -R 1000 /app", {"a": ""}, FAILED, "chown -R"),
    ("reclaimable", "COPY --chown", "FROM python:3.13-slim\nCOPY --chown=1000 . /app\nRUN chown -R 1000 /data", {"a": ""}, PASSED, ""),
    ("reclaimable", "packages removed later", "FROM debian:trixie-slim\nRUN apt-get install -y gcc\nRUN apt-get purge -y gcc", {}, FAILED, "gcc"),
    # dockerignore
    ("dockerignore", "none", "FROM python:3.13-slim\nCOPY . .", {"app.py": ""}, FAILED, "no .dockerignore"),
    ("dockerignore", "one", "FROM python:3.13-slim\nCOPY . .", {"app.py": "", ".dockerignore": ".git"}, PASSED, ""),
    ("dockerignore", "one for this Dockerfile", "FROM python:3.13-slim\nCOPY . .", {"app.py": "", "Dockerfile.dockerignore": ".git"}, PASSED, ""),
    ("dockerignore", "nothing whole is copied", "FROM python:3.13-slim\nCOPY src /src", {"src/a.py": ""}, NONE, ""),
    ("dockerignore", "secrets get through", "FROM python:3.13-slim\nCOPY . .", {".env": "A=1", ".dockerignore": ".git"}, FAILED, ".env"),
    ("dockerignore", "history gets through", "FROM python:3.13-slim\nCOPY . .", {".git/HEAD": "", "a": "", ".dockerignore": "x"}, FAILED, ".git"),
    ("dockerignore", "history that the build asks", "FROM golang:1.26\nCOPY . .\nRUN git describe", {".git/HEAD": "", "a": "", ".dockerignore": "x"}, PASSED, ""),
    ("dockerignore", "node_modules would get through", NODE + "COPY . .", {"package.json": "{}", ".dockerignore": ".git"}, FAILED, "node_modules"),
    ("dockerignore", "all is ignored but some", "FROM python:3.13-slim\nCOPY . .", {".env": "", "src/a": "", ".dockerignore": "*\n!src"}, PASSED, ""),
    ("dockerignore", "the Dockerfile came alone", "FROM python:3.13-slim\nCOPY . .", {}, UNSEEN, ""),
    # user
    ("user", "a number", "FROM alpine:3.22\nUSER 10001:10001", {}, PASSED, "10001"),
    ("user", "a name", "FROM alpine:3.22\nUSER app", {}, PASSED, "a number"),
    ("user", "root by name", "FROM alpine:3.22\nUSER app\nUSER root", {}, FAILED, "root"),
    ("user", "root by number", "FROM alpine:3.22\nUSER 0:0", {}, FAILED, "root"),
    ("user", "none", "FROM alpine:3.22", {}, FAILED, "no USER"),
    ("user", "the base's own", "FROM gcr.io/distroless/static-debian13:nonroot", {}, PASSED, ""),
    ("user", "the base's own root", "FROM gcr.io/distroless/static-debian13", {}, FAILED, ""),
    ("user", "of an unknown base", "FROM registry.example.com/base:1", {}, UNSEEN, ""),
    ("user", "in a stage below", "FROM alpine:3.22 AS a\nUSER 5\nFROM a", {}, PASSED, "5"),
    ("user", "in another stage", "FROM alpine:3.22 AS a\nUSER 5\nFROM alpine:3.22\nCOPY --from=a /x /x", {}, FAILED, ""),
    ("user", "by an argument with a default", "FROM alpine:3.22\nARG APP=app\nUSER $APP", {}, PASSED, "app"),
    ("user", "by an argument without", "FROM alpine:3.22\nARG APP\nUSER $APP", {}, UNSEEN, ""),
    ("user", "by .NET's variable", "FROM mcr.microsoft.com/dotnet/aspnet:10.0\nUSER $APP_UID", {}, PASSED, "1654"),
    ("user", "a database steps down", "FROM postgres:17", {}, UNSEEN, ""),
    ("user", "gosu steps down", "FROM debian:trixie-slim\nRUN apt-get install -y gosu", {}, UNSEEN, "step down"),
    # signals
    ("signals", "exec form", 'FROM alpine:3.22\nENTRYPOINT ["/app"]\nCMD ["--port", "80"]', {}, PASSED, ""),
    ("signals", "CMD in shell form", "FROM alpine:3.22\nCMD /app --port $PORT", {}, FAILED, "shell form"),
    ("signals", "ENTRYPOINT in shell form", "FROM alpine:3.22\nENTRYPOINT /app", {}, FAILED, "shell form"),
    ("signals", "shell form that execs", "FROM alpine:3.22\nCMD exec /app --port $PORT", {}, PASSED, ""),
    ("signals", "single quotes are no JSON", "FROM alpine:3.22\nCMD ['/app']", {}, FAILED, "shell form"),
    ("signals", "npm start", NODE + 'CMD ["npm", "start"]', {}, FAILED, "npm"),
    ("signals", "npm run", NODE + 'CMD ["npm", "run", "serve"]', {}, FAILED, "npm"),
    ("signals", "npm below tini", NODE + 'ENTRYPOINT ["tini", "--"]\nCMD ["npm", "start"]', {}, FAILED, "npm"),
    ("signals", "npm below tini -g", NODE + 'ENTRYPOINT ["tini", "-g", "--"]\nCMD ["npm", "start"]', {}, PASSED, ""),
    ("signals", "npm below dumb-init", NODE + 'ENTRYPOINT ["dumb-init", "--"]\nCMD ["npm", "start"]', {}, PASSED, ""),
    ("signals", "node", NODE + 'CMD ["node", "a.js"]', {}, PASSED, ""),
    ("signals", "sh -c", 'FROM alpine:3.22\nCMD ["sh", "-c", "a && b"]', {}, UNSEEN, ""),
    ("signals", "sh -c exec", 'FROM alpine:3.22\nCMD ["sh", "-c", "a && exec b"]', {}, PASSED, ""),
    ("signals", "a script that execs", 'FROM alpine:3.22\nCOPY run.sh /\nENTRYPOINT ["/run.sh"]', {"run.sh": '#!/bin/sh\nexec "$@"\n'}, PASSED, ""),
    ("signals", "a script that does not", 'FROM alpine:3.22\nCOPY run.sh /\nENTRYPOINT ["/run.sh"]', {"run.sh": "#!/bin/sh\n/app\n"}, UNSEEN, "exec"),
    ("signals", "the base's", "FROM nginx:1.29", {}, NONE, ""),
    ("signals", "an ENTRYPOINT takes the CMD of its base away", 'FROM alpine:3.22 AS a\nCMD npm start\nFROM a\nENTRYPOINT ["/app"]', {}, PASSED, ""),
    # pinned-bases
    ("pinned-bases", "a version", "FROM node:22-slim", {}, PASSED, ""),
    ("pinned-bases", "no tag", "FROM node", {}, FAILED, "node"),
    ("pinned-bases", "latest", "FROM node:latest", {}, FAILED, ""),
    ("pinned-bases", "a tag without a version", "FROM nginx:alpine", {}, FAILED, ""),
    ("pinned-bases", "a digest", "FROM node@sha256:" + "a" * 64, {}, PASSED, ""),
    ("pinned-bases", "a port is no tag", "FROM localhost:5000/base", {}, FAILED, ""),
    ("pinned-bases", "a release by name", "FROM debian:trixie-slim", {}, PASSED, ""),
    ("pinned-bases", "a version in the name", "FROM gcr.io/distroless/cc-debian13", {}, PASSED, ""),
    ("pinned-bases", "by COPY --from", "FROM alpine:3.22\nCOPY --from=busybox /bin/sh /bin/", {}, FAILED, "busybox"),
    ("pinned-bases", "by a mount", "FROM alpine:3.22\nRUN --mount=from=busybox,target=/b /b/sh", {}, FAILED, "busybox"),
    ("pinned-bases", "a stage's name is no image", "FROM alpine:3.22 AS base\nFROM base", {}, PASSED, ""),
    ("pinned-bases", "of a stage that is not built", "FROM node AS dev\nFROM alpine:3.22", {}, PASSED, ""),
    ("pinned-bases", "an argument with a default", "ARG V=3.22\nFROM alpine:${V}", {}, PASSED, "alpine:3.22"),
    ("pinned-bases", "an argument without", "ARG V\nFROM alpine:${V}", {}, UNSEEN, "argument"),
    ("pinned-bases", "scratch alone", "FROM scratch\nCOPY a /", {}, NONE, ""),
    # supported-bases
    ("supported-bases", "supported", "FROM node:24-trixie-slim", {}, PASSED, "2026-11-25"),
    ("supported-bases", "a language that ended", "FROM python:3.8-slim", {}, FAILED, "python 3.8"),
    ("supported-bases", "a distribution that ended", "FROM alpine:3.15.4", {}, FAILED, "alpine 3.15"),
    ("supported-bases", "the suite of a language's image", "FROM ruby:3.4-slim-buster", {}, FAILED, "buster"),
    ("supported-bases", "in the builder", "FROM golang:1.23 AS b\nFROM scratch\nCOPY --from=b /a /a", {}, FAILED, "golang 1.23"),
    ("supported-bases", "an image that was given up", "FROM openjdk:17-slim", {}, FAILED, "openjdk"),
    ("supported-bases", "distroless on Debian 12", "FROM gcr.io/distroless/cc-debian12", {}, FAILED, "debian12"),
    ("supported-bases", "Debian with long term support", "FROM debian:bookworm-slim", {}, PASSED, ""),
    ("supported-bases", "unknown", "FROM registry.example.com/base:1", {}, UNSEEN, ""),
    # one-suite
    ("one-suite", "the same suite", RUST + "FROM debian:bookworm-slim\n" + FROM_BUILD, {}, PASSED, "fit"),
    ("one-suite", "a builder that is newer", RUST.replace("1.88-bookworm", "1.90-trixie") + "FROM debian:bookworm-slim\n" + FROM_BUILD, {}, FAILED, "2.41"),
    ("one-suite", "a builder that is older", RUST + "FROM debian:trixie-slim\n" + FROM_BUILD, {}, PASSED, ""),
    ("one-suite", "a builder that moved with its tag", RUST.replace("1.88-bookworm", "1.82") + "FROM debian:bookworm-slim\n" + FROM_BUILD, {}, PASSED, ""),
    ("one-suite", "a builder whose suite is unknown", RUST.replace("1.88-bookworm", "1") + "FROM debian:bookworm-slim\n" + FROM_BUILD, {}, UNSEEN, "suite"),
    ("one-suite", "glibc on musl", RUST + "FROM alpine:3.22\n" + FROM_BUILD, {}, FAILED, "musl"),
    ("one-suite", "glibc on nothing", RUST + "FROM scratch\n" + FROM_BUILD, {}, FAILED, "no C library"),
    ("one-suite", "a musl target on nothing", RUST.replace("--release", "--release --target x86_64-unknown-linux-musl") + "FROM scratch\n" + FROM_BUILD, {}, NONE, "static"),
    ("one-suite", "rust on alpine is static", RUST.replace("1.88-bookworm", "1.88-alpine3.22") + "FROM scratch\n" + FROM_BUILD, {}, NONE, "static"),
    ("one-suite", "libraries brought by hand", RUST + "FROM scratch\nCOPY --from=build /lib/x86_64-linux-gnu/libc.so.6 /lib/\n" + FROM_BUILD, {}, UNSEEN, "by hand"),
    ("one-suite", "static Go", GO + "FROM scratch\nCOPY --from=build /server /", {}, NONE, "static"),
    ("one-suite", "Go that may use C", GO.replace("CGO_ENABLED=0 ", "") + "FROM alpine:3.22\nCOPY --from=build /server /", {}, UNSEEN, "glibc"),
    ("one-suite", "Go on alpine has no C", GO.replace("CGO_ENABLED=0 ", "").replace("1.26", "1.26-alpine") + "FROM scratch\nCOPY --from=build /server /", {}, NONE, "static"),
    ("one-suite", "node_modules from glibc to musl", "FROM node:22 AS b\nRUN npm ci\nFROM node:22-alpine\nCOPY --from=b /app/node_modules /n", {}, UNSEEN, "machine code"),
    ("one-suite", "one stage", RUST, {}, NONE, ""),
    # production-last
    ("production-last", "a production stage", "FROM alpine:3.22 AS test\nFROM alpine:3.22 AS production", {}, PASSED, ""),
    ("production-last", "a test stage", "FROM alpine:3.22 AS production\nFROM production AS test", {}, FAILED, "test"),
    ("production-last", "a debug stage", "FROM alpine:3.22 AS a\nFROM a AS debug", {}, FAILED, "debug"),
    ("production-last", "a word with dev in it", "FROM alpine:3.22 AS a\nFROM a AS device-gateway", {}, PASSED, ""),
    ("production-last", "it runs tests", 'FROM alpine:3.22 AS a\nFROM a\nCMD ["pytest"]', {}, FAILED, "tests"),
    ("production-last", "one stage", "FROM alpine:3.22 AS dev", {}, NONE, ""),
    # secrets
    ("secrets", "none", "FROM alpine:3.22\nENV PORT=80 TOKENIZERS_PARALLELISM=false", {}, PASSED, ""),
    ("secrets", "in ENV", "FROM alpine:3.22\nENV DB_PASSWORD=hunter2", {}, FAILED, "ENV DB_PASSWORD"),
    ("secrets", "in ENV, the old form", "FROM alpine:3.22\nENV API_KEY abcdef123", {}, FAILED, "API_KEY"),
    ("secrets", "by an ARG", "FROM alpine:3.22\nARG NPM_TOKEN\nRUN echo $NPM_TOKEN", {}, FAILED, "ARG NPM_TOKEN"),
    ("secrets", "by a global ARG", "ARG GITHUB_TOKEN\nFROM alpine:3.22", {}, FAILED, "GITHUB_TOKEN"),
    ("secrets", "an empty one", 'FROM alpine:3.22\nENV DB_PASSWORD=""', {}, PASSED, ""),
    ("secrets", "a path to one", "FROM alpine:3.22\nENV DB_PASSWORD_FILE=/run/secrets/db", {}, PASSED, ""),
    ("secrets", "a placeholder", "FROM alpine:3.22\nENV SECRET_KEY=dummy-for-build", {}, PASSED, ""),
    ("secrets", "Rails' dummy", "FROM alpine:3.22\nENV SECRET_KEY_BASE_DUMMY=1", {}, PASSED, ""),
    ("secrets", "a mounted one", "FROM alpine:3.22\nRUN --mount=type=secret,id=npm_token npm ci", {}, PASSED, ""),
    ("secrets", "a file", "FROM alpine:3.22\nCOPY .env /app/", {}, FAILED, ".env"),
    ("secrets", "a key", "FROM alpine:3.22\nCOPY id_rsa /root/.ssh/", {}, FAILED, "id_rsa"),
    ("secrets", "an example file", "FROM alpine:3.22\nCOPY .env.example /app/", {}, PASSED, ""),
    ("secrets", "an .npmrc with a token", "FROM alpine:3.22\nCOPY .npmrc ./", {".npmrc": "//r/:_authToken=abc"}, FAILED, ".npmrc"),
    ("secrets", "an .npmrc without", "FROM alpine:3.22\nCOPY .npmrc ./", {".npmrc": "//r/:_authToken=${T}"}, PASSED, ""),
    ("secrets", "in an address", "FROM alpine:3.22\nRUN git clone https://me:s3cr3tw0rd@host/x", {}, FAILED, "address"),
    ("secrets", "an address with a variable", "FROM alpine:3.22\nRUN git clone https://me:$T@host/x", {}, PASSED, ""),
    ("secrets", "the usual database address", "FROM alpine:3.22\nENV DATABASE_URL=postgres://postgres:postgres@db/x", {}, PASSED, ""),
    ("secrets", "by its shape", "FROM alpine:3.22\nRUN aws configure set k AKIAIOSFODNN7EXAMPLQ", {}, FAILED, "AWS"),
    ("secrets", "a public key", "FROM alpine:3.22\nENV GPG_KEY=ABCDEF NEXT_PUBLIC_API_KEY=abc", {}, PASSED, ""),
    ("secrets", "in a stage that is not built", "FROM alpine:3.22 AS a\nARG NPM_TOKEN\nFROM alpine:3.22", {}, PASSED, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "files", "expected", "words"),
    [(name, text, files, expected, words) for name, _, text, files, expected, words in CASES],
    ids=[f"{name}: {shows}" for name, shows, *_ in CASES],
)
def test_a_check_tells_right_from_wrong(tmp_path, name, text, files, expected, words):
    outcome = result(check(tmp_path, text, files), name).outcome
    assert outcome.result == expected, outcome
    assert words in outcome.evidence
    if expected == FAILED:
        assert outcome.advice and outcome.places and all(place.line for place in outcome.places)


@pytest.mark.parametrize("one", checklist.CHECKS, ids=lambda one: one.id)
def test_every_check_is_tried_on_a_right_and_on_two_wrong_dockerfiles(one):
    results = [expected for name, _, _, _, expected, _ in CASES if name == one.id]
    assert {PASSED, NONE} & set(results)
    assert one.id == "scanned" or results.count(FAILED) >= 2, "it can fail, and does"


def test_no_evidence_repeats_a_secret(tmp_path):
    lines = [
        "ENV DB_PASSWORD=hunter2secret A=1",
        "ENV API_KEY hunter2secret",
        "ARG TOKEN='hunter2secret'",
        "RUN PASSWORD=hunter2secret npm ci && git clone https://me:hunter2secret@host/x",
        "RUN curl -u me:hunter2secret https://x && mysql --password=hunter2secret",
        "CMD mysql --password hunter2secret -H 'Authorization: Bearer hunter2secret'",
    ]
    found = check(tmp_path, "FROM alpine\n" + "\n".join(lines))
    assert result(found, "secrets").outcome.result == FAILED
    assert "hunter2secret" not in str(found.to_list())


def test_images_of_windows_are_not_judged(tmp_path):
    found = check(tmp_path, "FROM mcr.microsoft.com/windows/servercore:ltsc2025\nCMD app.exe")
    assert {each.outcome.result for each in found.results} == {NONE}


def test_what_is_said_of_support_depends_on_the_day(tmp_path):
    path = checking.write(tmp_path, "FROM node:22-alpine3.22")
    for day, expected in (("2026-11-25", PASSED), ("2027-05-02", FAILED)):
        subject = checklist.read_subject(path, today=checking.TODAY.fromisoformat(day))
        assert result(checklist.run(subject), "supported-bases").outcome.result == expected


def test_another_target_is_judged_by_itself(tmp_path):
    text = "FROM alpine:3.22 AS a\nUSER 5\nFROM alpine:3.22 AS b\nUSER root"
    assert "user" in failed(check(tmp_path, text))
    found = check(tmp_path, text, target="A")
    assert "user" not in failed(found)
    assert result(found, "production-last").outcome.result == NONE


def test_a_build_argument_decides(tmp_path):
    text = 'ARG BASE\nFROM ${BASE}\nUSER ${WHO}\nCMD ["a"]'
    assert result(check(tmp_path, text), "user").outcome.result == UNSEEN
    found = check(tmp_path, "ARG BASE\nFROM ${BASE}", build_args={"BASE": "alpine"})
    assert {"user", "pinned-bases"} <= failed(found)


def test_an_onbuild_of_a_stage_counts_where_it_runs(tmp_path):
    text = 'FROM alpine:3.22 AS a\nONBUILD USER 7\nFROM a\nCMD ["x"]'
    assert result(check(tmp_path, text), "user").outcome.result == PASSED
    assert result(check(tmp_path, text, target="a"), "user").outcome.result == FAILED


def test_a_dockerfile_in_a_folder_of_its_own_finds_its_context_above(tmp_path):
    (tmp_path / "docker").mkdir()
    (tmp_path / "app.py").write_text("")
    (tmp_path / ".dockerignore").write_text(".git")
    path = checking.write(tmp_path / "docker", "FROM alpine:3.22\nCOPY app.py /\nCOPY . /all")
    subject = checklist.read_subject(path)
    assert subject.context.resolve() == tmp_path.resolve()
    assert result(checklist.run(subject), "dockerignore").outcome.result == PASSED


# --- comments that accept -----------------------------------------------------------------------

ROOT = "FROM alpine:3.22\n{}RUN apk update && apk add git\n{}USER root\n"


def test_a_comment_at_the_top_accepts_for_the_whole_file(tmp_path):
    found = check(
        tmp_path, "# shiplight: accept user because it needs port 80\n" + ROOT.format("", "")
    )
    assert result(found, "user").accepted == "it needs port 80" and not found.remarks
    assert failed(found) == {"reclaimable"}


def test_a_comment_above_an_instruction_accepts_it_there(tmp_path):
    text = ROOT.format("", "# shiplight: accept user because it needs port 80\n")
    assert "user" not in failed(check(tmp_path, text))
    misplaced = ROOT.format("# shiplight: accept user because it needs port 80\n", "")
    found = check(tmp_path, misplaced)
    assert "user" in failed(found) and "did not fail" in found.remarks[0]


def test_a_comment_within_an_instruction_accepts_it(tmp_path):
    text = "FROM alpine:3.22\nUSER 5\nRUN apk update && \\\n  # shiplight: accept reclaimable because it is small\n  apk add git\n"
    assert failed(check(tmp_path, text)) == set()


def test_one_place_may_be_accepted_and_another_not(tmp_path):
    text = (
        "FROM alpine:3.22\nUSER 5\n# shiplight: accept reclaimable because it is small\n"
        "RUN apk update\nRUN apk update && apk add git\n"
    )
    found = result(check(tmp_path, text), "reclaimable")
    assert found.counts and [bool(p.accepted) for p in found.outcome.places] == [True, False]


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("# shiplight: accept usr because I say so", "no check usr; did you mean user?"),
        ("# shiplight: accept user", "because REASON"),
        ("# shiplight: ignore user", "because REASON"),
        ("# shiplight: accept user, nonsense because I say so", "no check nonsense"),
    ],
)
def test_a_comment_that_does_not_work_is_told(tmp_path, comment, said):
    assert any(said in remark for remark in check(tmp_path, f"{comment}\nFROM alpine:3.22").remarks)


def test_a_here_document_is_no_comment(tmp_path):
    text = "FROM alpine:3.22\nCOPY <<EOF /a\n# shiplight: accept user because no\nEOF\nUSER root\n"
    found = check(tmp_path, text)
    assert "user" in failed(found) and not found.remarks


def test_a_result_says_where(tmp_path):
    found = check(tmp_path, "FROM alpine:3.22\nRUN apk update && \\\n    apk add git\n")
    place = result(found, "reclaimable").outcome.places[0]
    assert (place.line, place.end_line) == (2, 3) and place.instruction.startswith("RUN apk update")
    assert replace(place, found="").to_dict("Dockerfile")["file"] == "Dockerfile"
