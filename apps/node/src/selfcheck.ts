import { X509Certificate } from "node:crypto";
import { lookup } from "node:dns/promises";
import { mkdtemp, rmdir } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout } from "node:timers/promises";
import { getCACertificates } from "node:tls";

/** What this image still offers its program. Every app answers the same fields. */
export interface SelfCheck {
  /** How many authorities TLS trusts: those within the node program, and NODE_EXTRA_CA_CERTS. */
  ca_certificates: number;
  /** Whether the zone Europe/Paris loads. */
  time_zones: boolean;
  /** Whether something can be made in /tmp. */
  tmp_writable: boolean;
  /** 0 is root. */
  user_id: number;
  /** Whether the name localhost has an address. */
  resolves_localhost: boolean;
  /** Whether the container's host name has an address. */
  resolves_own_name: boolean;
}

export async function selfCheck(): Promise<SelfCheck> {
  return {
    ca_certificates: caCertificates(),
    time_zones: timeZones(),
    tmp_writable: await works(async () => rmdir(await mkdtemp("/tmp/selfcheck-"))),
    user_id: process.getuid?.() ?? -1,
    resolves_localhost: await works(() => resolve("localhost")),
    resolves_own_name: await works(() => resolve(hostname())),
  };
}

function caCertificates(): number {
  const trusted = getCACertificates("default").map((pem) => new X509Certificate(pem));
  return new Set(trusted.map((certificate) => certificate.fingerprint256)).size;
}

function timeZones(): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: "Europe/Paris" }).format() !== "";
  } catch {
    return false;
  }
}

async function resolve(name: string): Promise<unknown> {
  const late = setTimeout(2000, undefined, { ref: false }).then(() => {
    throw new Error(`${name}: no answer`);
  });
  return Promise.race([lookup(name), late]);
}

async function works(attempt: () => Promise<unknown>): Promise<boolean> {
  return attempt().then(
    () => true,
    () => false,
  );
}
