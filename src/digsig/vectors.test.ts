/**
 * Known answers from evmctl 1.4 (Debian 12): `ima_sign -a sha256 -k KEY` over the file "label\\n", format 1 with `--rsa`;
 * certificates from OpenSSL 3.0. evmctl names the RSA certificate's key by SHA-1 over its public key, because the key
 * file holds no certificate: OpenSSL's SKID is the same.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digest, fromHex, toHex } from '../bytes/index.ts';
import { formatKeyId, Keyring, parseSignature, readPublicKeys, verifySignature } from './index.ts';

const EC_CERTIFICATE = Buffer.from(
  'MIIBfzCCASWgAwIBAgIUNffvjsMtL2raiz+07J+AQ8gHbR0wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJdmVjdG9yLWVjMCAXDTI2' +
    'MTEyMzIzMTMzNloYDzIwNTQwNDEwMjMxMzM2WjAUMRIwEAYDVQQDDAl2ZWN0b3ItZWMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC' +
    'AASiSATYDZODwORWY8NcvLWHtaDvtKvkykFEqeZDx/Mve0Id/q/Ut8RePldxxqNygm73+j2NNee4v3pI3IWnMEiUo1MwUTAdBgNV' +
    'HQ4EFgQUFTxktNLk6DxK8jkQHELvIUqoLJ0wHwYDVR0jBBgwFoAUFTxktNLk6DxK8jkQHELvIUqoLJ0wDwYDVR0TAQH/BAUwAwEB' +
    '/zAKBggqhkjOPQQDAgNIADBFAiEAmDGqjZBnY/JgMUeHmnQEjsxt3M+axQso9eLQYCEEywkCIGjvBFGQSJpvuYnciozp+fmbFElL' +
    'z6y46fpwU46FH/SU',
  'base64',
);
const RSA_CERTIFICATE = Buffer.from(
  'MIICCDCCAXGgAwIBAgIUBrj4VpIYBwQgo88/ibeQaVu8DBMwDQYJKoZIhvcNAQELBQAwFTETMBEGA1UEAwwKdmVjdG9yLXJzYTAg' +
    'Fw0yNjExMjMyMzEzMzZaGA8yMDU0MDQxMDIzMTMzNlowFTETMBEGA1UEAwwKdmVjdG9yLXJzYTCBnzANBgkqhkiG9w0BAQEFAAOB' +
    'jQAwgYkCgYEAvOcvwYkm4ZJTCNECXTgOZc4w2/vFfL1Cc1OCSKgcsAZO6WAJ2WiQrKhU/YWgLaC1GQNXPzX7meo+JOkMwkpD766F' +
    'fwRXf1/JOknSP+VVj/l7hwsuB5YjjFtfEbBoaLxvC/EsD023M4tTk7uNiNCwCZsjQhgHn9HB5OToVs9cIe0CAwEAAaNTMFEwHQYD' +
    'VR0OBBYEFLnYBBGH6cp2W2uWXEtLEVp8rf+lMB8GA1UdIwQYMBaAFLnYBBGH6cp2W2uWXEtLEVp8rf+lMA8GA1UdEwEB/wQFMAMB' +
    'Af8wDQYJKoZIhvcNAQELBQADgYEAdKS/s1oJLnr6x2COuOo1zu5Ny7gyT/cOqVFtVvhnokKjD+NFz+iB9EfFeke/Bd7cobm8WlKQ' +
    'jGOxeit2hl3kz5IBoDFDETjwlgF7aySKR8N3xm+Wm1W2wcF4S/LQbhHmxlpvPP6d3NPXYc3fverg/8+mIF4vU7/X2wAEBGj6X9Y=',
  'base64',
);
const ECDSA = fromHex(
  '0302044aa82c9d0047304502201ab06c72950d5f1e1d3fea5bbe081ed1300b02318fb805395f740f1061602b93022100ac86' +
    '83641bdb0876a4605bae519cae9a13fed74b303a39d8e8a70ed2755c6f24',
);
const RSA = fromHex(
  '0302047cadffa50080773becd264bb965006175904e7688a3761bb60f6d633c8b981b5dc2456ad6ddcad6f274a3ecfc28d11' +
    'dbd424902378b665de4d5f11f693caa27f91525c6106e11337e4520143346e14d72981bb8b3d766ff1ff1a9aa68a05ca927f' +
    '7a790c9ee1c42e863497abf68e60f79175a664600c1be14a342b63d435dbedd14ff0186ae9',
);
const RSA_V1 = fromHex(
  '0301a0c8046b000112a47d5714e711fc01040058470edb22476e777e6c316edbdbc46caa21eebaf215cc8a04fcc516eab0a4' +
    '8a1c272e6e4971773263a4c7a4530f45f6cd1e65971f62892f559326adfebbaff8eb2adfc261d29e9357841ef6c9fb2d5a31' +
    'd8a2a214a7526a4c53bd313a15585b5ce17074651b3d58bafb6847c6b7ddb3c4491758df04cf9e680a2d3fbe2b0604',
);

const FILE_DIGEST = digest('sha256', Buffer.from('label\n'));
const keyring = new Keyring(
  [EC_CERTIFICATE, RSA_CERTIFICATE].flatMap((der) => readPublicKeys(der, { source: 'vector' })),
);

test('a certificate gives name, key id, size and dates', () => {
  const [ec, rsa] = [...keyring];
  assert.ok(ec !== undefined && rsa !== undefined);
  assert.deepEqual(
    [ec.name, formatKeyId(ec.keyId), ec.kind, ec.bits, ec.keyIdV1],
    ['CN=vector-ec', '4aa82c9d', 'ec', 256, undefined],
  );
  assert.deepEqual([rsa.name, formatKeyId(rsa.keyId), rsa.kind, rsa.bits], ['CN=vector-rsa', '7cadffa5', 'rsa', 1024]);
  assert.equal(toHex(rsa.keyIdV1 ?? Buffer.alloc(0)), '12a47d5714e711fc');
  assert.equal(ec.notBefore?.toISOString(), '2026-11-23T23:13:36.000Z');
});

for (const [name, xattr, version, length] of [
  ['ECDSA', ECDSA, 2, 71],
  ['RSA', RSA, 2, 128],
  ['RSA in format 1', RSA_V1, 1, 128],
] as const) {
  test(`evmctl's ${name} signature parses and verifies, over its own digest alone`, () => {
    const header = parseSignature(xattr.subarray(1), 1);
    assert.equal(header.version, version);
    assert.equal(header.signature.length, length);
    const by = (fileDigest: Uint8Array) =>
      verifySignature(keyring, header, { algorithm: 'sha256', digest: fileDigest, type: 3 });
    assert.equal(by(FILE_DIGEST).valid, true);
    assert.deepEqual(
      { ...by(digest('sha256', Buffer.from('other'))), key: undefined },
      {
        valid: false,
        fault: 'invalid-signature',
        key: undefined,
      },
    );
  });
}
