/** What a reference says of one measured file. */
import type { DenyRule, PendingFile, TaggedDigest } from './types.ts';

export type FileJudgement =
  /** Path and digest are approved together. `weak`: only by a digest of a broken algorithm (SHA-1, MD5). */
  | { readonly kind: 'approved'; readonly weak: boolean; readonly origin: string | undefined }
  /** A deny rule holds, whatever else approves it. */
  | { readonly kind: 'denied'; readonly rule: DenyRule }
  /** It was seen before and waits for a person. */
  | { readonly kind: 'pending'; readonly file: PendingFile; readonly expected: readonly TaggedDigest[] }
  /** The path is known with other content. */
  | { readonly kind: 'changed'; readonly expected: readonly TaggedDigest[]; readonly origin: string | undefined }
  /** The path is not known. `contentOf`: an approved path whose content this is; approval is by path and digest. */
  | { readonly kind: 'unknown'; readonly contentOf: string | undefined };
