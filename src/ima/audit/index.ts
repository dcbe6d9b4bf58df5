/** What the integrity subsystem tells the audit log (records 1800 to 1807): read from every log, written, explained. */
export type { AuditCause, AuditWeight } from './cause.ts';
export { AUDIT_CAUSES, auditCause } from './causes.ts';
export { type AuditExplanation, explainRecord } from './explain.ts';
export {
  type AuditFind,
  type AuditRecord,
  type LostRecords,
  parseAuditLine,
  parseStamped,
  type UnreadableRecord,
} from './line.ts';
export { parseIntegrityRecord } from './parse.ts';
export { AuditReader, type LocatedFind } from './reader.ts';
export {
  type AuditStamp,
  type AuditTask,
  type EvmXattrRecord,
  type FileHashRecord,
  INTEGRITY_TYPES,
  type IntegrityRecord,
  type IntegrityType,
  integrityType,
  type OperationRecord,
  type OperationType,
  type PolicyRuleRecord,
  UNSET_ID,
} from './record.ts';
export { formatUntrusted, parseUntrusted } from './untrusted.ts';
export { formatAuditLogLine, formatIntegrityRecord, formatKernelMessage, formatStamped } from './write.ts';
