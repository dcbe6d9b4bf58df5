import { visiblePieces } from './visible.ts';

/** Text of a host's making, each unseen character shown as its escape, apart from text that is spelled like one. */
export function Visible({ text }: { readonly text: string }) {
  return (
    <bdi>
      {visiblePieces(text).map((piece, i) =>
        piece.escaped ? (
          <span key={i} class="escape" title="a character that cannot be seen, written out">
            {piece.text}
          </span>
        ) : (
          piece.text
        ),
      )}
    </bdi>
  );
}

/** A path: each name isolated, so that right-to-left letters in one cannot move another; lines break after a slash. */
export function Path({ path }: { readonly path: string }) {
  const names = path.split('/');
  return (
    <span class="path" dir="ltr">
      {names.map((name, i) => (
        <span key={i}>
          {i > 0 && '/'}
          {i > 1 && <wbr />}
          <Visible text={name} />
        </span>
      ))}
    </span>
  );
}
