/** Moves to a part of the page and gives it the focus. The address's fragment names the host, so it is left alone. */
export function goTo(id: string): (event: Event) => void {
  return (event) => {
    event.preventDefault();
    const part = document.getElementById(id);
    part?.scrollIntoView({ block: 'start' });
    part?.focus({ preventScroll: true });
  };
}
