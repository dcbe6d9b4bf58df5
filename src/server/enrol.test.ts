import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testAuthority } from '../../test/fleet/authority.ts';
import { attest, enrol, RefusedError, startService } from '../../test/fleet/service.ts';
import {
  ActivationRequestCodec,
  EnrolmentAnswerCodec,
  EnrolmentChallengeCodec,
  EnrolmentRequestCodec,
} from '../evidence/index.ts';
import { encode, TPMT_PUBLIC } from '../tpm/index.ts';

const refusedWith = (code: string) => (error: unknown) => {
  assert.ok(error instanceof RefusedError, String(error));
  assert.equal(error.code, code);
  return true;
};

test('an EK that leads to a configured root enrols; its assurance is the root’s', async () => {
  await using service = await startService();
  const { hostId } = await enrol(
    service.client,
    service.host({ name: 'web1' }),
    await service.server.joinToken({ label: '' }),
  );
  const viewer = await service.server.bearerToken('viewer', '');
  const host = (await service.client.json(`/api/hosts/${hostId}`, { token: viewer })) as Record<string, unknown>;
  assert.equal(host.assurance, 'hardware');
  assert.equal(host.measurer, 'kernel');
});

test('an EK of an unknown root is refused, a software TPM by its own code', async () => {
  await using service = await startService();
  const authority = testAuthority('Somebody');
  const join = () => service.server.joinToken({ label: '' });
  const device = service.host({ name: 'a', authority });
  await assert.rejects(enrol(service.client, device, await join()), refusedWith('ek.untrusted-root'));
  const software = service.host({ name: 'b', authority, tpmKind: 'software' });
  await assert.rejects(enrol(service.client, software, await join()), refusedWith('ek.software'));
});

test('demonstration: where the operator chose it, on loopback; never on another address', async () => {
  const listeners = [
    { kind: 'dashboard', address: '127.0.0.1', port: 0 },
    { kind: 'tls', address: '127.0.0.1', port: 0 },
  ] as const;
  const authority = testAuthority('Software TPM');
  await using local = await startService({ listeners });
  const host = local.host({ name: 'demo', authority, tpmKind: 'software', measurer: 'user-space' });
  const enrolled = await enrol(local.client, host, await local.server.joinToken({ label: '', demonstration: true }));
  const viewer = await local.server.bearerToken('viewer', '');
  const shown = (await local.client.json(`/api/hosts/${enrolled.hostId}`, { token: viewer })) as Record<
    string,
    unknown
  >;
  assert.equal(shown.assurance, 'demonstration');

  await using wide = await startService({ listeners: [listeners[0], { kind: 'tls', address: '0.0.0.0', port: 0 }] });
  const join = await wide.server.joinToken({ label: '', demonstration: true });
  const reached = wide.host({ name: 'demo', authority, tpmKind: 'software' });
  await assert.rejects(enrol(wide.client, reached, join), refusedWith('enrol.demonstration-refused'));
});

test('certificates: missing, malformed, expired, of another key, of an unknown template', async () => {
  await using service = await startService();
  const host = service.host({ name: 'web1' });
  const other = service.host({ name: 'web2' });
  const join = await service.server.joinToken({ label: '' });
  const refused = (overrides: Parameters<typeof enrol>[3], code: string, who = host) =>
    assert.rejects(enrol(service.client, who, join, overrides), refusedWith(code));
  await refused({ ekCertificates: [] }, 'ek.certificate-missing');
  await refused({ ekCertificates: [Buffer.from('no certificate')] }, 'ek.certificate-malformed');
  await refused({ ekPublic: encode(TPMT_PUBLIC, other.ekArea) }, 'ek.key-mismatch');
  const area = { ...host.ekArea, authPolicy: new Uint8Array(32) };
  await refused({ ekPublic: encode(TPMT_PUBLIC, area) }, 'ek.template-unknown');
  await refused({ ekPublic: Buffer.from([1, 2, 3]) }, 'ek.template-unknown');
  const past = Date.now() - 1000;
  const expired = service.host({ name: 'old', certificateDates: [past - 1000, past] });
  await refused({}, 'ek.certificate-expired', expired);
});

test('the AK’s public area is checked before a credential is made', async () => {
  await using service = await startService();
  const host = service.host({ name: 'web1' });
  const join = await service.server.joinToken({ label: '' });
  const { objectAttributes } = host.akArea;
  const cases = {
    'ak.unrestricted': { ...objectAttributes, restricted: false },
    'ak.not-signing': { ...objectAttributes, sign: false },
    'ak.decrypts': { ...objectAttributes, decrypt: true },
    'ak.not-fixed-tpm': { ...objectAttributes, fixedTPM: false },
    'ak.not-fixed-parent': { ...objectAttributes, fixedParent: false },
    'ak.foreign-origin': { ...objectAttributes, sensitiveDataOrigin: false },
  };
  for (const [code, attributes] of Object.entries(cases)) {
    const akPublic = encode(TPMT_PUBLIC, { ...host.akArea, objectAttributes: attributes });
    await assert.rejects(enrol(service.client, host, join, { akPublic }), refusedWith(code));
  }
  await assert.rejects(
    enrol(service.client, host, join, { akPublic: Buffer.from('junk') }),
    refusedWith('ak.malformed'),
  );
});

test('SHA-1 alone is never enough', async () => {
  await using service = await startService();
  const join = await service.server.joinToken({ label: '' });
  const host = service.host({ name: 'old' });
  const refused = enrol(service.client, host, join, { bank: 'sha1', availableBanks: ['sha1'] });
  await assert.rejects(refused, refusedWith('enrol.bank-weak'));
});

test('what enrolment fixed does not change: not the AK, not the measurer, not the kind of TPM, not the board', async () => {
  await using service = await startService();
  const join = () => service.server.joinToken({ label: '', demonstration: true });
  const host = service.host({ name: 'web1' });
  await enrol(service.client, host, await join());
  const { akPublic } = service.host({ name: 'web1' });
  await assert.rejects(enrol(service.client, host, await join(), { akPublic }), refusedWith('enrol.identity-changed'));
  await assert.rejects(
    enrol(service.client, host, await join(), { measurer: 'user-space' }),
    refusedWith('enrol.downgrade'),
  );
  await assert.rejects(
    enrol(service.client, host, await join(), { hostName: 'web2' }),
    refusedWith('enrol.identity-changed'),
  );
  const stronger = { bank: 'sha384', availableBanks: ['sha384'] } as const;
  await assert.rejects(enrol(service.client, host, await join(), stronger), refusedWith('enrol.identity-changed'));
  const software = service.host({ name: 'web1', tpmKind: 'software', authority: testAuthority('Software') });
  await assert.rejects(enrol(service.client, software, await join()), refusedWith('enrol.downgrade'));
  const board = service.host({ name: 'web1' });
  await assert.rejects(enrol(service.client, board, await join()), refusedWith('enrol.identity-changed'));
});

test('the same host enrols again: same identity, new token, the old one out of force', async () => {
  await using service = await startService();
  const host = service.host({ name: 'web1' });
  const first = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  const second = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  assert.equal(second.hostId, first.hostId);
  await assert.rejects(
    attest(service.client, first.token, host.evidence(first.challenge)),
    refusedWith('token.invalid'),
  );
  host.measure('/usr/bin/true', 'true');
  await attest(service.client, second.token, host.evidence(second.challenge));
});

test('a join token enrols one machine; the machine may ask again for an answer that it lost', async () => {
  await using service = await startService();
  const { client } = service;
  const host = service.host({ name: 'web1' });
  const join = await service.server.joinToken({ label: '' });
  const begin = EnrolmentRequestCodec.encode(host.enrolment());
  const challenge = await client.cbor('/api/agent/enrol', join, begin, EnrolmentChallengeCodec);
  const body = ActivationRequestCodec.encode({
    enrolmentId: challenge.enrolmentId,
    credential: host.activate(challenge),
  });
  const lost = await client.cbor('/api/agent/activate', undefined, body, EnrolmentAnswerCodec);
  const again = await client.cbor('/api/agent/activate', undefined, body, EnrolmentAnswerCodec);
  assert.equal(again.hostId, lost.hostId);
  assert.notEqual(again.token, lost.token);
  await assert.rejects(enrol(client, service.host({ name: 'web2' }), join), refusedWith('token.used'));
});

test('a wrong credential ends the enrolment', async () => {
  await using service = await startService();
  const { client } = service;
  const host = service.host({ name: 'web1' });
  const begin = EnrolmentRequestCodec.encode(host.enrolment());
  const challenge = await client.cbor(
    '/api/agent/enrol',
    await service.server.joinToken({ label: '' }),
    begin,
    EnrolmentChallengeCodec,
  );
  const send = (credential: Uint8Array) =>
    client.cbor(
      '/api/agent/activate',
      undefined,
      ActivationRequestCodec.encode({ enrolmentId: challenge.enrolmentId, credential }),
      EnrolmentAnswerCodec,
    );
  await assert.rejects(send(new Uint8Array(32)), refusedWith('enrol.activation-failed'));
  await assert.rejects(send(host.activate(challenge)), refusedWith('enrol.unknown'));
});

test('a removed host is unknown at once, and may enrol anew', async () => {
  await using service = await startService();
  const host = service.host({ name: 'web1' });
  const admin = await service.server.bearerToken('admin', '');
  const { hostId, token, challenge } = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  await service.client.json(`/api/hosts/${hostId}`, { method: 'DELETE', token: admin });
  await assert.rejects(attest(service.client, token, host.evidence(challenge)), refusedWith('token.invalid'));
  const again = await enrol(service.client, host, await service.server.joinToken({ label: '' }));
  assert.equal(again.hostId, hostId);
});
