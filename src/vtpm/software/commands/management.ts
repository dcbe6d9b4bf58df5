/** Miscellaneous management: TPM 2.0 Part 3, 26. */
import { COMMANDS, type CommandName } from '../../../tpm/index.ts';
import type { Handlers } from '../handler.ts';

/** Where Part 3 has TPM_RH_PLATFORM+{PP}: they may be made to need physical presence. */
const PRESENCE: readonly CommandName[] = [
  'TPM2_NV_UndefineSpaceSpecial',
  'TPM2_EvictControl',
  'TPM2_HierarchyControl',
  'TPM2_NV_UndefineSpace',
  'TPM2_ChangeEPS',
  'TPM2_ChangePPS',
  'TPM2_Clear',
  'TPM2_ClearControl',
  'TPM2_ClockSet',
  'TPM2_HierarchyChangeAuth',
  'TPM2_NV_DefineSpace',
  'TPM2_PCR_Allocate',
  'TPM2_PCR_SetAuthPolicy',
  'TPM2_SetPrimaryPolicy',
  'TPM2_ClockRateAdjust',
  'TPM2_CreatePrimary',
  'TPM2_NV_GlobalWriteLock',
  'TPM2_SetCommandCodeAuditStatus',
  'TPM2_CreateLoaded',
];
const PRESENCE_CODES: ReadonlySet<number> = new Set(PRESENCE.map((name) => COMMANDS[name].code));

export const management = {
  /** 26.2: this command itself always needs it. Codes of other commands are passed over. */
  TPM2_PP_Commands(machine, { setList, clearList }) {
    const listed = new Set(machine.permanent.ppCommands);
    for (const code of setList) if (PRESENCE_CODES.has(code)) listed.add(code);
    for (const code of clearList) if (PRESENCE_CODES.has(code)) listed.delete(code);
    machine.permanent.ppCommands = [...listed].sort((a, b) => a - b);
    machine.changed();
    return {};
  },

  /** 26.3: all algorithms are there whatever is set (libtpms' way). */
  TPM2_SetAlgorithmSet(machine, { algorithmSet }) {
    machine.permanent.algorithmSet = algorithmSet;
    machine.changed();
    return {};
  },
} satisfies Handlers;
