import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SysError } from './error.ts';
import { parsePkcs11Uri } from './pkcs11-uri.ts';

test('the attributes of a URI are taken apart and decoded', () => {
  // The first example of RFC 7512, 3, with an id, and the query of its last.
  const uri = parsePkcs11Uri(
    'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;object=my-sign-key;type=private;id=%69%95%3E%00' +
      '?pin-source=file:/etc/token&module-path=/mnt/libmypkcs11.so.1',
  );
  assert.equal(uri.token, 'The Software PKCS#11 Softtoken');
  assert.equal(uri.object, 'my-sign-key');
  assert.deepEqual(uri.id, Buffer.from('69953e00', 'hex'));
  assert.equal(uri.pinSource, 'file:/etc/token');
  assert.equal(uri.modulePath, '/mnt/libmypkcs11.so.1');
  assert.equal(parsePkcs11Uri('pkcs11:slot-id=7').slotId, 7);
});

test('what cannot be followed is refused without showing the PIN', () => {
  const refusals = [
    'http://token',
    'pkcs11:colour=red',
    'pkcs11:token=a;token=b',
    'pkcs11:token',
    'pkcs11:token=%4',
    'pkcs11:slot-id=first',
    'pkcs11:token=a?pin-value=123456%zz',
    'pkcs11:token=a?123456',
  ];
  for (const uri of refusals) {
    assert.throws(
      () => parsePkcs11Uri(uri),
      (error) => error instanceof SysError && error.code === 'sys.token' && !error.message.includes('123456'),
      uri,
    );
  }
});

test('any text gives a URI or a SysError', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'pkcs1:;=?&%41aid-') }), (text) => {
      try {
        parsePkcs11Uri(`pkcs11:${text}`);
      } catch (error) {
        assert.ok(error instanceof SysError);
      }
    }),
    { numRuns: 300 },
  );
});
