import { AssayError } from '../bytes/index.ts';

/** A secret that cannot be had from where it should come. Never holds it, nor what stands in its place. */
export class SecretSourceError extends AssayError {
  readonly code = 'secret.source';
}
