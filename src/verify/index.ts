/** The verifier: a pure function from evidence, reference and state to a verdict that explains itself. */
export { checkAkPublic } from './ak.ts';
export { judgeBootComponents } from './boot-components.ts';
export { EnrolmentRecordError, parseEnrolmentRecord, writeEnrolmentRecord } from './enrolment-record.ts';
export * from './findings.ts';
export { bindingOf, requestFor } from './request.ts';
export * from './types.ts';
export { verify } from './verify.ts';
