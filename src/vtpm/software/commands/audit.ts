/** Command audit: TPM 2.0 Part 3, 21. */
import { mayChangeAudit, restartAudit } from '../audit.ts';
import type { Handlers } from '../handler.ts';
import { IMPLEMENTED } from '../implemented.ts';
import { refuse } from '../refusal.ts';

export const audit = {
  /** 21.2: either another hash, or another list. Codes that are unknown or fixed are passed over. */
  TPM2_SetCommandCodeAuditStatus(machine, { auditAlg, setList, clearList }) {
    const { permanent } = machine;
    if (auditAlg !== 'null' && auditAlg !== permanent.auditAlg) {
      if (setList.length > 0 || clearList.length > 0) refuse('VALUE', 'auditAlg');
      permanent.auditAlg = auditAlg;
      restartAudit(machine);
    } else {
      const audited = new Set(permanent.auditCommands);
      for (const code of setList) if (IMPLEMENTED.has(code) && mayChangeAudit(code, true)) audited.add(code);
      for (const code of clearList) if (mayChangeAudit(code, false)) audited.delete(code);
      permanent.auditCommands = [...audited].sort((a, b) => a - b);
    }
    machine.changed();
    return {};
  },
} satisfies Handlers;
