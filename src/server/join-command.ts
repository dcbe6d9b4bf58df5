/** The one line that enrols a machine. The token stands in the environment: arguments are read by every user. */
export function joinCommand(join: {
  readonly url: string;
  readonly fingerprint: string;
  readonly token: string;
}): string {
  return `ASSAY_JOIN_TOKEN=${join.token} assay agent run --server ${join.url} --fingerprint ${join.fingerprint}`;
}
