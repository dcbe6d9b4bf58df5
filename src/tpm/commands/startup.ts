/** Start-up and self-test (9 and 10): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint32 } from '../codec.ts';
import { command } from '../command.ts';
import { TPM_SU, TPM2B_MAX_BUFFER, TPMI_YES_NO, TPML_ALG } from '../structures.ts';

export const TPM2_Startup = command({
  name: 'TPM2_Startup',
  code: 0x144,
  part3: '9.3',
  marks: ['nv'],
  sessions: false,
  parameters: { startupType: TPM_SU },
});
export const TPM2_Shutdown = command({
  name: 'TPM2_Shutdown',
  code: 0x145,
  part3: '9.4',
  marks: ['nv'],
  parameters: { shutdownType: TPM_SU },
});
export const TPM2_SelfTest = command({
  name: 'TPM2_SelfTest',
  code: 0x143,
  part3: '10.2',
  marks: ['nv'],
  parameters: { fullTest: TPMI_YES_NO },
});
export const TPM2_IncrementalSelfTest = command({
  name: 'TPM2_IncrementalSelfTest',
  code: 0x142,
  part3: '10.3',
  marks: ['nv'],
  parameters: { toTest: TPML_ALG },
  response: { parameters: { toDoList: TPML_ALG } },
});
export const TPM2_GetTestResult = command({
  name: 'TPM2_GetTestResult',
  code: 0x17c,
  part3: '10.4',
  response: { parameters: { outData: TPM2B_MAX_BUFFER, testResult: uint32 } },
});
