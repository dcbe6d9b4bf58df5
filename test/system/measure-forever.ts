/** Lists new names without end, many at once, until it is killed. Arguments: swtpm's socket, the lists' folder, a prefix. */
import { MeasurementLog, tpmExtender } from '../../src/agent/index.ts';
import { digest } from '../../src/bytes/index.ts';
import { openTransport, TpmClient } from '../../src/tpm/index.ts';

const [socket = '', folder = '', prefix = ''] = process.argv.slice(2);
const tpm = new TpmClient(await openTransport({ kind: 'swtpm', address: { path: socket } }));
const log = await MeasurementLog.open(folder, tpmExtender(tpm, 'swtpm'));
for (let count = 0; ; ) {
  const names = Array.from({ length: 20 }, () => Buffer.from(`/run/${prefix}/${count++}`));
  await log.add(names.map((path) => ({ path, sha256: digest('sha256', path) })));
  process.stdout.write('.');
}
