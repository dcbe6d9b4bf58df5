/** The scripts of tpm2-tools 5.4 that say nothing of a TPM, and why. Every other one passes on the software TPM. */
export const NEEDS_NO_TPM: ReadonlyMap<string, string> = new Map([
  ['X509certutil.sh', 'makes certificates with OpenSSL alone'],
  ['eventlog.sh', 'reads event logs'],
  ['getekcertificate.sh', 'asks a certificate service on the internet, and skips itself without'],
  ['rc_decode.sh', 'decodes numbers'],
  ['toggle_options.sh', 'compares the tools’ sources with their manual pages'],
]);
