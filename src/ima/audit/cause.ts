/** What there is to say about an operation and its cause. */

/**
 * `failure`: an access that appraisal does not allow (refused where `ima_appraise=enforce`, let through under `log` and
 * `fix`), a change that was refused, a measurement that is missing. `doubt`: the list no longer tells what was used.
 * `information`: as it should be.
 */
export type AuditWeight = 'failure' | 'doubt' | 'information';

export interface AuditCause {
  readonly weight: AuditWeight;
  /** In place of `weight` where the record says `res=1`. */
  readonly weightIfDone?: AuditWeight;
  readonly meaning: string;
  readonly repair: string;
}
