// The stream of the server's events, found again by itself whenever it breaks.

const RETRY_MS = 1500;

/**
 * Listens from now on, while the page is seen: a browser gives a server few connections, and each stream takes one.
 * `told` gets every event. `found` is called when the server is there, at first and again after it was away, `lost` when
 * nobody answers any more, and `refused` when it answers but has no stream for us.
 */
export function listen({ told, found, lost, refused }) {
  let source = null;
  let timer = 0;
  let state = null;

  const become = (next, tell) => {
    if (state !== next) tell();
    state = next;
  };

  function open() {
    close();
    source = new EventSource("events");
    source.onopen = () => become("found", found);
    source.onmessage = (message) => told(JSON.parse(message.data));
    source.onerror = leave;
    source.addEventListener("stopping", leave);
  }

  async function leave() {
    close();
    timer = setTimeout(open, RETRY_MS);
    const answers = await fetch("livez").then(({ ok }) => ok, () => false);
    if (answers) become("refused", refused);
    else become("lost", lost);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
