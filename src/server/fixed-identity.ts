/** What enrolment fixed stays fixed: an administrator can remove a host, nobody can change one silently. */
import { ServerError } from './error.ts';
import { findEnrolmentByAk, findEnrolmentByEk, findEnrolmentByName, type StoredEnrolment } from './store/enrolments.ts';
import type { PendingEnrolment } from './store/schema.ts';
import type { Db } from './store/store.ts';

/**
 * Compares an enrolment that asks to be made with those that stand: of the same TPM, key and name.
 * @throws {ServerError} `enrol.downgrade`, `enrol.identity-changed`
 */
export async function refuseChangedIdentity(db: Db, pending: PendingEnrolment): Promise<void> {
  const standing = [
    await findEnrolmentByName(db, pending.name),
    await findEnrolmentByEk(db, pending.ekId),
    await findEnrolmentByAk(db, pending.akName),
  ];
  for (const enrolment of standing) if (enrolment !== undefined) refuseChange(enrolment, pending);
}

function refuseChange(standing: StoredEnrolment, pending: PendingEnrolment): void {
  if (standing.assurance === 'hardware' && pending.assurance !== 'hardware') {
    throw new ServerError('enrol.downgrade', `${pending.name} is enrolled with a hardware TPM and now shows another`);
  }
  if (standing.measurer === 'kernel' && pending.measurer !== 'kernel') {
    throw new ServerError(
      'enrol.downgrade',
      `${pending.name} is enrolled with kernel measurement and now measures in user space`,
    );
  }
  const changed = differenceOf(standing, pending);
  if (changed !== undefined) {
    throw new ServerError('enrol.identity-changed', `${pending.name} is enrolled already, with another ${changed}`);
  }
}

function differenceOf(standing: StoredEnrolment, pending: PendingEnrolment): string | undefined {
  if (standing.ekId !== pending.ekId) return 'endorsement key';
  if (standing.akName !== pending.akName) return 'attestation key';
  if (standing.name !== pending.name) return `name (${standing.name})`;
  if (standing.assurance !== pending.assurance) return 'kind of TPM';
  if (standing.measurer !== pending.measurer) return 'measurer';
  if (standing.selection.bank !== pending.selection.bank) return 'PCR bank';
  return undefined;
}
