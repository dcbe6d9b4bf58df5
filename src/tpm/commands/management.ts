/** Miscellaneous management (26), contexts (28), clock (29) and capabilities (30): TPM 2.0 Part 3. Fields carry the specification's names and order; `auth` is its `@`. */
import { uint32, uint64 } from '../codec.ts';
import { command } from '../command.ts';
import {
  TPM_CAP,
  TPM_CLOCK_ADJUST,
  TPM_HANDLE,
  TPMI_DH_CONTEXT,
  TPMI_DH_OBJECT,
  TPMI_DH_PERSISTENT,
  TPMI_RH_PLATFORM,
  TPMI_RH_PROVISION,
  TPMI_YES_NO,
  TPML_CC,
  TPMS_CAPABILITY_DATA,
  TPMS_CONTEXT,
  TPMS_TIME_INFO,
  TPMT_PUBLIC_PARMS,
} from '../structures.ts';

export const TPM2_PP_Commands = command({
  name: 'TPM2_PP_Commands',
  code: 0x12d,
  part3: '26.2',
  marks: ['nv'],
  handles: { auth: { type: TPMI_RH_PLATFORM, auth: 'user' } },
  parameters: { setList: TPML_CC, clearList: TPML_CC },
});
export const TPM2_SetAlgorithmSet = command({
  name: 'TPM2_SetAlgorithmSet',
  code: 0x13f,
  part3: '26.3',
  marks: ['nv'],
  handles: { authHandle: { type: TPMI_RH_PLATFORM, auth: 'user' } },
  parameters: { algorithmSet: uint32 },
});
export const TPM2_ContextSave = command({
  name: 'TPM2_ContextSave',
  code: 0x162,
  part3: '28.2',
  sessions: false,
  handles: { saveHandle: { type: TPMI_DH_CONTEXT } },
  response: { parameters: { context: TPMS_CONTEXT } },
});
export const TPM2_ContextLoad = command({
  name: 'TPM2_ContextLoad',
  code: 0x161,
  part3: '28.3',
  sessions: false,
  parameters: { context: TPMS_CONTEXT },
  response: { handles: { loadedHandle: TPM_HANDLE } },
});
export const TPM2_FlushContext = command({
  name: 'TPM2_FlushContext',
  code: 0x165,
  part3: '28.4',
  sessions: false,
  parameters: { flushHandle: TPMI_DH_CONTEXT },
});
export const TPM2_EvictControl = command({
  name: 'TPM2_EvictControl',
  code: 0x120,
  part3: '28.5',
  marks: ['nv'],
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' }, objectHandle: { type: TPMI_DH_OBJECT } },
  parameters: { persistentHandle: TPMI_DH_PERSISTENT },
});
export const TPM2_ReadClock = command({
  name: 'TPM2_ReadClock',
  code: 0x181,
  part3: '29.1',
  response: { parameters: { currentTime: TPMS_TIME_INFO } },
});
export const TPM2_ClockSet = command({
  name: 'TPM2_ClockSet',
  code: 0x128,
  part3: '29.2',
  marks: ['nv'],
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { newTime: uint64 },
});
export const TPM2_ClockRateAdjust = command({
  name: 'TPM2_ClockRateAdjust',
  code: 0x130,
  part3: '29.3',
  handles: { auth: { type: TPMI_RH_PROVISION, auth: 'user' } },
  parameters: { rateAdjust: TPM_CLOCK_ADJUST },
});
export const TPM2_GetCapability = command({
  name: 'TPM2_GetCapability',
  code: 0x17a,
  part3: '30.2',
  parameters: { capability: TPM_CAP, property: uint32, propertyCount: uint32 },
  response: { parameters: { moreData: TPMI_YES_NO, capabilityData: TPMS_CAPABILITY_DATA } },
});
export const TPM2_TestParms = command({
  name: 'TPM2_TestParms',
  code: 0x18a,
  part3: '30.3',
  parameters: { parameters: TPMT_PUBLIC_PARMS },
});
