/** The dashboard's cookie. */

/** Browsers send a host's cookies to each of its ports: the name says whose it is. */
export function cookieName(port: number): string {
  return `assay-${port}`;
}

/** Out of reach for scripts, and not sent with what another site starts. */
export function sessionCookie(port: number, token: string, lifetimeMs: number): string {
  return `${cookieName(port)}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${Math.floor(lifetimeMs / 1000)}`;
}

export function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const [key, value] = pair.split('=', 2);
    if (key?.trim() === name) return value?.trim();
  }
  return undefined;
}
