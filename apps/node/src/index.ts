// A small HTTP service that can say what still works in the image it runs in.
import { server } from "./server.js";

const app = server();
const port = Number(process.env.PORT ?? 3000);

function fail(error: unknown): void {
  app.log.error(error);
  process.exitCode = 1;
}

// Requests that run may finish, but not for ever: whoever stops a container waits.
function stop(): void {
  setTimeout(() => process.exit(), 800).unref();
  app.close().then(() => app.log.info("stopped"), fail);
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);
app.listen({ host: "0.0.0.0", port }).catch(fail);
