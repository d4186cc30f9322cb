import Fastify from "fastify";
import { pino, type LoggerOptions } from "pino";
import { selfCheck } from "./selfcheck.js";

/** The service, not listening yet. */
export function server(options: LoggerOptions = {}) {
  const app = Fastify({ loggerInstance: pino(options) });
  app.get("/healthz", { logLevel: "warn" }, () => ({ ok: true }));
  app.get("/", () => ({
    app: "shiplight",
    language: "node",
    version: process.version,
    platform: `${process.platform}/${process.arch}`,
  }));
  app.get("/selfcheck", selfCheck);
  return app;
}
