/** Names in certificates (RFC 5280, 4.1.2.4). */
import { AttributeTypeAndValue, AttributeValue, Name, RelativeDistinguishedName } from '@peculiar/asn1-x509';

/** A common name, or attributes as [object identifier, text], outermost first; without any it is the empty name. */
export type DistinguishedName = string | readonly (readonly [type: string, text: string])[];

const COMMON_NAME = '2.5.4.3';

/** Every attribute is a relative name of its own, as UTF8String. */
export function encodeName(name: DistinguishedName): Name {
  const attributes = typeof name === 'string' ? [[COMMON_NAME, name] as const] : name;
  return new Name(
    attributes.map(([type, text]) => {
      const value = new AttributeValue({ utf8String: text });
      return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })]);
    }),
  );
}
