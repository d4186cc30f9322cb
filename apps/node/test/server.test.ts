import { expect, test } from "vitest";
import { server } from "../src/server.js";

const app = server({ level: "silent" });

async function ask(path: string) {
  const answer = await app.inject(path);
  return { status: answer.statusCode, body: answer.json() };
}

test("it is healthy", async () => {
  expect(await ask("/healthz")).toEqual({ status: 200, body: { ok: true } });
});

test("it says what it is", async () => {
  const { body } = await ask("/");
  expect(body).toMatchObject({ app: "shiplight", language: "node", version: process.version });
});

test("it says what works", async () => {
  const { body } = await ask("/selfcheck");
  expect(body).toEqual({
    ca_certificates: expect.any(Number),
    time_zones: true,
    tmp_writable: true,
    user_id: process.getuid?.(),
    resolves_localhost: true,
    resolves_own_name: expect.any(Boolean),
  });
  expect(body.ca_certificates).toBeGreaterThan(50);
});

test("it does not know other paths", async () => {
  expect((await ask("/other")).status).toBe(404);
});
