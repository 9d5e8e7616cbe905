// The server's event stream, with automatic reconnects.

const RETRY_MS = 1500;

/**
  * Subscribes while the page is visible: a browser has few connections per server, and each stream takes one. `told` is called
  * with every event, `found` when the server is reached, at first and after each reconnect, `lost` when it does not answer, and
  * `refused` when it answers but refuses the stream.
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
