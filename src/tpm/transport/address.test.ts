import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TpmError } from '../errors.ts';
import { parseTpmAddress } from './address.ts';

test('names are those of tpm2-tools, with their defaults', () => {
  const names: readonly (readonly [string, object])[] = [
    ['device:/dev/tpm0', { kind: 'device', path: '/dev/tpm0' }],
    ['device', { kind: 'device', path: '/dev/tpmrm0' }],
    ['device:', { kind: 'device', path: '/dev/tpmrm0' }],
    ['swtpm:path=/run/a=b', { kind: 'swtpm', address: { path: '/run/a=b' } }],
    ['swtpm:host=::1,port=5000', { kind: 'swtpm', address: { host: '::1', port: 5000 } }],
    ['swtpm', { kind: 'swtpm', address: { host: '127.0.0.1', port: 2321 } }],
    ['mssim:port=1', { kind: 'mssim', host: '127.0.0.1', port: 1 }],
    ['software:/a:b,c', { kind: 'software', file: '/a:b,c' }],
  ];
  for (const [name, address] of names) assert.deepEqual(parseTpmAddress(name), address, name);
});

test('anything else is refused with the forms that there are', () => {
  const wrong = [
    '',
    'tpm',
    'software:',
    'software',
    'swtpm:path',
    'swtpm:path=',
    'swtpm:socket=/x',
    'mssim:port=65535',
  ];
  for (const name of [...wrong, 'mssim:port=0', 'mssim:port=1e3', 'mssim:port=-1', 'DEVICE:/dev/tpm0', 'tabrmd:']) {
    assert.throws(
      () => parseTpmAddress(name),
      (error) => error instanceof TpmError && error.code === 'tpm.argument' && /swtpm:path=/.test(error.advice ?? ''),
      name,
    );
  }
});
