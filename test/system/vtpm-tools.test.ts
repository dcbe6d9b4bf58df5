/** tpm2-tools drive the software TPM as they would any other; every command is counted where it arrives. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { commandName, EK_PROFILES, marshalCommand, TPM_RC, TPM2_Startup } from '../../src/tpm/index.ts';
import { certificateAuthority, endorse, type ServedTpm, SoftwareTpm, serveTpm } from '../../src/vtpm/index.ts';
import { observed } from '../fixtures/observed-tpm.ts';
import { requires } from './requirements.ts';

const run = promisify(execFile);
const needed = requires('tpm2_quote');
const folder = mkdtempSync(join(tmpdir(), 'assay-vtpm-tools-'));
const arrived = new Map<string, number>();
const refused: string[] = [];
let served: ServedTpm;

before(async () => {
  const tpm = SoftwareTpm.manufacture();
  tpm.execute(marshalCommand(TPM2_Startup, { startupType: 'clear' }));
  await endorse(tpm, await certificateAuthority(join(folder, 'ca')));
  served = await serveTpm(
    observed(tpm, (command, response) => {
      const name = commandName(Buffer.from(command).readUInt32BE(6));
      arrived.set(name, (arrived.get(name) ?? 0) + 1);
      const rc = Buffer.from(response).readUInt32BE(6);
      // TPM_RC_RETRY: the first use of what the lockout protects, once it is noted; the tools' library asks again
      if (rc !== TPM_RC.SUCCESS && rc !== TPM_RC.RETRY) refused.push(`${name}: 0x${rc.toString(16)}`);
    }),
    { protocol: 'swtpm', unix: join(folder, 'socket') },
  );
});

after(async () => {
  await served.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs one tool in the test's folder, then flushes what it left: there is no resource manager. */
async function tool(line: string): Promise<string> {
  const [program = '', ...args] = line.split(' ');
  const env = { ...process.env, TPM2TOOLS_TCTI: served.address };
  const options = { cwd: folder, env, timeout: 20_000 };
  const { stdout } = await run(program, args, options);
  if (program !== 'tpm2_checkquote') await run('tpm2_flushcontext', ['-t'], options);
  return stdout;
}

async function tools(...lines: readonly string[]): Promise<void> {
  for (const line of lines) await tool(line);
}

const file = (name: string): string => join(folder, name);

/** That the TPM saw these, and refused nothing: a tool can succeed without asking it. */
function sawArriving(...names: readonly string[]): void {
  assert.deepEqual(refused.splice(0), []);
  for (const name of names) assert.ok((arrived.get(name) ?? 0) > 0, `${name} did not arrive`);
}

test('tpm2_getcap reads every capability', needed, async () => {
  for (const capability of (await tool('tpm2_getcap -l')).match(/[a-z][a-z-]+/g) ?? [])
    await tool(`tpm2_getcap ${capability}`);
  assert.match(await tool('tpm2_getcap properties-fixed'), /TPM2_PT_MANUFACTURER:\n {2}raw: 0x41535359/);
  assert.match(await tool('tpm2_getcap pcrs'), /sha256: \[ 0, 1, 2/);
  sawArriving('TPM2_GetCapability');
});

for (const [key, scheme] of [
  ['rsa', 'rsassa'],
  ['ecc', 'ecdsa'],
] as const) {
  for (const hash of ['sha256', 'sha384'] as const) {
    test(`tpm2_checkquote verifies a quote by ${scheme} over the ${hash} bank`, needed, async () => {
      await tools(
        'tpm2_createek -c ek.ctx -G rsa -u ek.pub',
        `tpm2_createak -C ek.ctx -c ak.ctx -G ${key} -g ${hash} -s ${scheme} -u ak.pub -n ak.name`,
        `tpm2_pcrextend 16:${hash}=${'5a'.repeat(hash === 'sha256' ? 32 : 48)}`,
        `tpm2_quote -c ak.ctx -l ${hash}:0,1,16 -q 00112233 -m q.msg -s q.sig -o q.pcrs -g ${hash} --scheme ${scheme}`,
        `tpm2_checkquote -u ak.pub -m q.msg -s q.sig -f q.pcrs -g ${hash} -q 00112233`,
      );
      sawArriving(
        'TPM2_CreatePrimary',
        'TPM2_Create',
        'TPM2_Load',
        'TPM2_PolicySecret',
        'TPM2_Quote',
        'TPM2_PCR_Extend',
      );
    });
  }
}

test('openssl verifies a quote by rsapss, which tpm2_checkquote 5.4 does not for any TPM', needed, async () => {
  await tools(
    'tpm2_createek -c ek.ctx -G rsa -u ek.pub',
    'tpm2_createak -C ek.ctx -c ak.ctx -G rsa -g sha256 -s rsapss -u ak.pem -f pem -n ak.name',
    'tpm2_quote -c ak.ctx -l sha256:0 -m q.msg -s q.sig -f plain -g sha256 --scheme rsapss',
  );
  const padding = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];
  const signature = ['-verify', file('ak.pem'), '-signature', file('q.sig'), file('q.msg')];
  const { stdout } = await run('openssl', ['dgst', '-sha256', ...padding, ...signature]);
  assert.match(stdout, /Verified OK/);
  sawArriving('TPM2_Quote');
});

test('keys are created, loaded, used, certified, made persistent and evicted', needed, async () => {
  writeFileSync(file('message'), 'sign me\n');
  await tools(
    'tpm2_createprimary -C o -g sha256 -G ecc -c primary.ctx',
    'tpm2_create -C primary.ctx -g sha256 -G rsa -u key.pub -r key.priv',
    'tpm2_load -C primary.ctx -u key.pub -r key.priv -c key.ctx',
    'tpm2_readpublic -c key.ctx',
    'tpm2_sign -c key.ctx -g sha256 -o signature message',
    'tpm2_verifysignature -c key.ctx -g sha256 -m message -s signature',
    'tpm2_create -C primary.ctx -g sha256 -G ecc:ecdsa -u ecc.pub -r ecc.priv',
    'tpm2_load -C primary.ctx -u ecc.pub -r ecc.priv -c ecc.ctx',
    'tpm2_sign -c ecc.ctx -g sha256 -o signature message',
    'tpm2_verifysignature -c ecc.ctx -g sha256 -m message -s signature',
    'tpm2_certify -c key.ctx -C ecc.ctx -g sha256 -o certified -s certified.sig',
    'tpm2_loadexternal -C o -u key.pub -c external.ctx',
    'tpm2_evictcontrol -C o -c primary.ctx 0x81000001',
    'tpm2_readpublic -c 0x81000001',
    'tpm2_evictcontrol -C o -c 0x81000001',
    'tpm2_create -C primary.ctx -G hmac -u h.pub -r h.priv',
    'tpm2_load -C primary.ctx -u h.pub -r h.priv -c h.ctx',
    'tpm2_hmac -c h.ctx message',
    'tpm2_create -C primary.ctx -G rsa2048 -u d.pub -r d.priv',
    'tpm2_load -C primary.ctx -u d.pub -r d.priv -c d.ctx',
    'tpm2_rsaencrypt -c d.ctx -o encrypted message',
    'tpm2_rsadecrypt -c d.ctx -o decrypted encrypted',
  );
  assert.equal(readFileSync(file('decrypted'), 'utf8'), 'sign me\n');
  sawArriving(
    'TPM2_ContextSave',
    'TPM2_ContextLoad',
    'TPM2_EvictControl',
    'TPM2_Sign',
    'TPM2_VerifySignature',
    'TPM2_Certify',
  );
});

test('a secret is sealed to PCRs and unsealed with their policy', needed, async () => {
  writeFileSync(file('secret'), 'sealed');
  await tools(
    'tpm2_createprimary -C o -g sha256 -G ecc -c primary.ctx',
    'tpm2_startauthsession -S trial.ctx',
    'tpm2_policypcr -S trial.ctx -l sha256:0,16 -L policy',
    'tpm2_flushcontext trial.ctx',
    'tpm2_create -C primary.ctx -i secret -L policy -u sealed.pub -r sealed.priv',
    'tpm2_load -C primary.ctx -u sealed.pub -r sealed.priv -c sealed.ctx',
  );
  assert.equal(await tool('tpm2_unseal -c sealed.ctx -p pcr:sha256:0,16'), 'sealed');
  await tool('tpm2_pcrevent 16 secret');
  await assert.rejects(tool('tpm2_unseal -c sealed.ctx -p pcr:sha256:0,16'), /policy/i);
  assert.deepEqual(refused.splice(0), ['TPM2_Unseal: 0x99d']);
  await tool('tpm2_flushcontext -l');
  await tool('tpm2_pcrreset 16');
  sawArriving('TPM2_PolicyPCR', 'TPM2_Unseal', 'TPM2_PCR_Event', 'TPM2_PCR_Reset');
});

test(
  'NV indices are defined, written, read, locked by attributes and undefined; EK certificates are read',
  needed,
  async () => {
    writeFileSync(file('data'), '12345678');
    await tools(
      'tpm2_nvdefine 0x1500016 -C o -s 32 -a ownerread|ownerwrite|authread|authwrite',
      'tpm2_nvwrite 0x1500016 -C o -i data',
      'tpm2_nvreadpublic',
      'tpm2_nvdefine 0x1500017 -C o -s 8 -a ownerread|ownerwrite|nt=counter',
      'tpm2_nvincrement 0x1500017 -C o',
      'tpm2_nvread 0x1500017 -C o -s 8',
    );
    assert.equal(await tool('tpm2_nvread 0x1500016 -C o -s 8'), '12345678');
    await tools('tpm2_nvundefine 0x1500016 -C o', 'tpm2_nvundefine 0x1500017 -C o');
    for (const { certificateIndex } of [EK_PROFILES.rsa2048, EK_PROFILES.p256]) {
      await tool(`tpm2_nvread 0x${certificateIndex.toString(16)} -o certificate.der`);
      const issuer = await run('openssl', [
        'x509',
        '-inform',
        'der',
        '-in',
        file('certificate.der'),
        '-noout',
        '-issuer',
      ]);
      assert.match(issuer.stdout, /not a hardware TPM/);
    }
    await tools('tpm2_getekcertificate -o rsa.der -o ecc.der');
    sawArriving('TPM2_NV_DefineSpace', 'TPM2_NV_Write', 'TPM2_NV_Read', 'TPM2_NV_Increment', 'TPM2_NV_UndefineSpace');
  },
);

test('a credential is made and activated with the endorsement policy', needed, async () => {
  writeFileSync(file('credential'), 'only for this TPM');
  await tools(
    'tpm2_createek -c ek.ctx -G rsa -u ek.pub',
    'tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name',
  );
  const name = readFileSync(file('ak.name')).toString('hex');
  await tools(
    `tpm2_makecredential -e ek.pub -s credential -n ${name} -o blob`,
    'tpm2_startauthsession --policy-session -S policy.ctx',
    'tpm2_policysecret -S policy.ctx -c e',
    'tpm2_activatecredential -c ak.ctx -C ek.ctx -i blob -o activated -P session:policy.ctx',
    'tpm2_flushcontext policy.ctx',
  );
  assert.equal(readFileSync(file('activated'), 'utf8'), 'only for this TPM');
  sawArriving('TPM2_MakeCredential', 'TPM2_ActivateCredential', 'TPM2_StartAuthSession');
});

test('policies of policies, authorized policies, passwords, salted and bound sessions, clocks', needed, async () => {
  await run('openssl', [
    'genpkey',
    '-algorithm',
    'RSA',
    '-pkeyopt',
    'rsa_keygen_bits:2048',
    '-out',
    file('authority.pem'),
  ]);
  await run('openssl', ['pkey', '-in', file('authority.pem'), '-pubout', '-out', file('authority.pub')]);
  await tools(
    'tpm2_createprimary -C o -g sha256 -G ecc -c primary.ctx',
    'tpm2_startauthsession -S s.ctx',
    'tpm2_policypcr -S s.ctx -l sha256:0 -L p1',
    'tpm2_flushcontext s.ctx',
    'tpm2_startauthsession -S s.ctx',
    'tpm2_policyauthvalue -S s.ctx -L p2',
    'tpm2_flushcontext s.ctx',
    'tpm2_startauthsession --policy-session -S s.ctx',
    'tpm2_policypcr -S s.ctx -l sha256:0',
    'tpm2_policyor -S s.ctx -L p3 sha256:p1,p2',
    'tpm2_flushcontext s.ctx',
    'tpm2_loadexternal -G rsa -C o -u authority.pub -c authority.ctx -n authority.name',
  );
  await run('openssl', ['dgst', '-sha256', '-sign', file('authority.pem'), '-out', file('p1.sig'), file('p1')]);
  await tools(
    'tpm2_verifysignature -c authority.ctx -g sha256 -m p1 -s p1.sig -t ticket -f rsassa',
    'tpm2_startauthsession --policy-session -S s.ctx',
    'tpm2_policypcr -S s.ctx -l sha256:0',
    'tpm2_policyauthorize -S s.ctx -i p1 -n authority.name -t ticket -L p4',
    'tpm2_flushcontext s.ctx',
    'tpm2_changeauth -c o secret',
    'tpm2_startauthsession --hmac-session -c primary.ctx -S s.ctx',
    'tpm2_createprimary -C o -P session:s.ctx+secret -c p.ctx',
    'tpm2_flushcontext s.ctx',
    'tpm2_changeauth -c o -p secret',
    'tpm2_readclock',
    'tpm2_gettime -c key.ctx -g sha256 -q 00 --attestation time -o time.sig',
    'tpm2_hash -g sha256 -C o -t ticket p1',
    'tpm2_getrandom --hex 16',
    'tpm2_selftest -f',
    'tpm2_clear',
    'tpm2_shutdown',
  );
  sawArriving(
    'TPM2_PolicyOR',
    'TPM2_PolicyAuthorize',
    'TPM2_LoadExternal',
    'TPM2_HierarchyChangeAuth',
    'TPM2_Clear',
    'TPM2_GetTime',
  );
});

test('the simulator’s protocol serves the same tools', needed, async () => {
  const tpm = SoftwareTpm.manufacture();
  const mssim = await serveTpm(tpm, { protocol: 'mssim', tcp: { port: 0 } });
  try {
    const options = { env: { ...process.env, TPM2TOOLS_TCTI: mssim.address }, timeout: 20_000 };
    await run('tpm2_startup', ['-c'], options);
    const { stdout } = await run('tpm2_getrandom', ['--hex', '8'], options);
    assert.match(stdout, /^[0-9a-f]{16}$/);
  } finally {
    await mssim.close();
  }
});
