// Plays a burst against the server: light load, more than full width can answer, light load again. Requests leave on a schedule,
// bounded by the browser's connections and by its own speed. Images that the browser does not send are counted separately from
// those that the server misses. Must not know the page.

/** A browser opens six connections per server and the live view takes one; further requests would queue in the browser. */
export const CONNECTIONS = 5;
/** Peak load, in multiples of the server's full-width capacity. */
const LOAD = 2;
/** The stages of light load. */
const CALM = { seconds: 2, perSecond: 15, images: 1 };
const STORM_SECONDS = 4;
const RETURN = { ...CALM, seconds: 3 };
/** Maximum request rate at the peak; higher loads send several images per request. */
const MOST_PER_SECOND = 150;
const MOST_IMAGES = 64;
const BUDGET_MS = { least: 25, most: 100 };
const TICK_MS = 10;

/** The browser is too slow if a tick takes longer than this, or if its own part of a request exceeds this share of the budget. */
const LATE_TICK_MS = 40;
const LATE_SHARE = 0.5;

/** Plans a burst for a model of `/profile` that forces the server to narrow. */
export function plan({ capacity_at_full_width: capacity, steps }, workers, maxFiles) {
  const fullMs = steps.at(-1).latency_us[0][1] / 1000 / workers;
  const mostImages = Math.min(MOST_IMAGES, maxFiles);
  // Only if the images on all connections take full width LOAD budgets is there a need to narrow.
  const held = (CONNECTIONS * mostImages * fullMs) / LOAD;
  const budgetMs = Math.round(Math.min(Math.max(held, BUDGET_MS.least), BUDGET_MS.most));
  const toFill = (LOAD * budgetMs) / fullMs / CONNECTIONS;
  const toOffer = (LOAD * capacity) / MOST_PER_SECOND;
  const images = Math.round(Math.min(Math.max(toFill, toOffer, 1), mostImages));
  const perSecond = Math.min(Math.max((LOAD * capacity) / images, 1), MOST_PER_SECOND);
  return { budgetMs, stages: [CALM, { seconds: STORM_SECONDS, perSecond, images }, RETURN] };
}

/**
  * A tally of images. The first four are outcomes of images sent. `held` and `behind` are planned images that were not sent:
  * because all connections were busy, or because the browser could not keep up.
 */
const empty = () => ({ inTime: 0, late: 0, refused: 0, failed: 0, held: 0, behind: 0, widths: new Map() });

/**
  * Plays a plan. `send(images)` sends one request and returns its answer, or throws. `told` is called with the growing tally.
  * `signal` ends the burst early.
 */
export async function play({ budgetMs, stages }, send, told, signal) {
  const tally = empty();
  const pending = new Set();
  const request = async (images, pace) => {
    const left = performance.now();
    try {
      const answer = await send(images);
      pace.took(performance.now() - left - answer.timing_ms.total, budgetMs);
      count(tally, answer, budgetMs);
    } catch (error) {
      miss(tally, error, images);
    }
    told(tally);
  };
  for (const stage of stages) {
    const pace = new Pace();
    await follow(stage, pace, signal, tally, () => {
      if (pending.size >= CONNECTIONS) return false;
      const sent = request(stage.images, pace).finally(() => pending.delete(sent));
      pending.add(sent);
      return true;
    });
    // Requests in progress belong to this stage.
    await Promise.all(pending);
  }
  return tally;
}

/**
  * Calls `leave` at the stage's rate, reduced by the pace. Requests that `leave` rejects, a late tick skips or the pace drops are
  * not made up for, which would change the burst's shape; the tally counts them.
 */
async function follow({ seconds, perSecond, images }, pace, signal, tally, leave) {
  const end = performance.now() + seconds * 1000;
  let last = performance.now();
  let due = 0;
  while (!signal.aborted && last < end) {
    const now = Math.min(performance.now(), end);
    const planned = ((now - last) / 1000) * perSecond;
    const kept = pace.of(now - last) * planned;
    last = now;
    tally.behind += (planned - kept) * images;
    due += kept;
    while (due >= 1) {
      due -= 1;
      if (!leave()) tally.held += images;
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
}

/** The share of the plan that the browser can sustain: drops at once when the browser is late, recovers slowly. */
class Pace {
  static #LEAST = 0.1;
  static #SLOWER = 0.7;
  /** Minimum time between two drops, and the time of a full recovery. */
  static #PAUSE_MS = 100;
  static #RETURN_MS = 2000;

  #share = 1;
  #fell = -Infinity;

  /** The share to send of the requests due in the last `elapsedMs`. */
  of(elapsedMs) {
    if (elapsedMs > LATE_TICK_MS) this.#slower();
    else this.#share = Math.min(this.#share + elapsedMs / Pace.#RETURN_MS, 1);
    return (this.#share * Math.min(elapsedMs, LATE_TICK_MS)) / Math.max(elapsedMs, 1e-9);
  }

  /** Records the browser's own time for a request, without the server's. */
  took(ms, budgetMs) {
    if (ms > LATE_SHARE * budgetMs) this.#slower();
  }

  #slower() {
    const now = performance.now();
    if (now - this.#fell < Pace.#PAUSE_MS) return;
    this.#share = Math.max(this.#share * Pace.#SLOWER, Pace.#LEAST);
    this.#fell = now;
  }
}

/** Counts an answer to one image or to several. */
function count(tally, answer, budgetMs) {
  const results = answer.results ?? [answer];
  tally[answer.timing_ms.total <= budgetMs ? "inTime" : "late"] += results.length;
  for (const { width } of results) tally.widths.set(width, (tally.widths.get(width) ?? 0) + 1);
}

function miss(tally, error, images) {
  if (error.name === "AbortError") return;
  if (error.status === 503) tally.refused += images;
  else if (error.status === 504) tally.late += images;
  else tally.failed += images;
}
