import { Chain } from './chain.tsx';
import { ConnectionNotice } from './connection.tsx';
import { Demonstrating } from './demonstrating.tsx';
import { Enrol } from './enrol.tsx';
import { Evidence } from './evidence.tsx';
import { Files } from './files.tsx';
import { Findings } from './findings.tsx';
import { goTo } from './go-to.ts';
import { Header } from './header.tsx';
import { connection, host, hosts } from './live.ts';
import { Pcrs } from './pcrs.tsx';
import { Verdict } from './verdict.tsx';

export function App() {
  return (
    <>
      <button type="button" class="skip" onClick={goTo('verdict')}>
        Skip to the verdict
      </button>
      <Demonstrating />
      <Header />
      <ConnectionNotice />
      <main>
        <Content />
      </main>
    </>
  );
}

function Content() {
  const shown = host.value;
  if (shown !== undefined) return <Host />;
  if (hosts.value?.length === 0) return <NoHost />;
  return connection.value.state === 'connecting' || hosts.value !== undefined ? <Loading /> : null;
}

function Host() {
  const shown = host.value;
  if (shown === undefined) return null;
  return (
    <>
      <Verdict host={shown} />
      <Chain host={shown} />
      <div class="columns">
        <div class="column">
          <Findings host={shown} />
          <Evidence key={shown.id} host={shown} />
        </div>
        <div class="column">
          <Pcrs host={shown} />
          <Enrol />
        </div>
      </div>
      <Files key={shown.id} host={shown} />
    </>
  );
}

function Loading() {
  return (
    <div class="blank" role="status">
      <p>Asking the server …</p>
    </div>
  );
}

function NoHost() {
  return (
    <>
      <section class="blank" id="verdict" tabIndex={-1}>
        <h1>No host yet</h1>
        <p>A host appears here as soon as it has enrolled; this page follows by itself.</p>
      </section>
      <div class="columns">
        <Enrol />
      </div>
    </>
  );
}
