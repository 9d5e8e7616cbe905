// A burst against the server: a calm, more than it can answer at full width, and a calm again. Requests leave on a schedule,
// but never more of them at once than a browser has connections, and no faster than the browser itself keeps up. What a
// browser does not get to is counted apart from what the server misses. Knows nothing of the page.

/** A browser keeps six connections to a server, and the live view takes one: a further request would wait in the browser. */
export const CONNECTIONS = 5;
/** Load in the middle, in multiples of what the server can do at full width. */
const LOAD = 2;
/** Seconds and requests per second of the calms. */
const CALM = { seconds: 2, perSecond: 15, images: 1 };
const STORM_SECONDS = 4;
const RETURN = { ...CALM, seconds: 3 };
/** The most requests per second in the middle; what is missing travels as several images in one request. */
const MOST_PER_SECOND = 150;
const MOST_IMAGES = 64;
const BUDGET_MS = { least: 25, most: 100 };
const TICK_MS = 10;

/** A browser is late when it wakes so long after a tick, or takes this share of a budget to send a request and read its answer. */
const LATE_TICK_MS = 40;
const LATE_SHARE = 0.5;

/** What to play against a model of `/profile`, so that its server has to narrow. */
export function plan({ capacity_at_full_width: capacity, steps }, workers, maxFiles) {
  const fullMs = steps.at(-1).latency_us[0][1] / 1000 / workers;
  const mostImages = Math.min(MOST_IMAGES, maxFiles);
  // All connections together hold so much that full width would take LOAD budgets for it, or there is no need to be narrow.
  const held = (CONNECTIONS * mostImages * fullMs) / LOAD;
  const budgetMs = Math.round(Math.min(Math.max(held, BUDGET_MS.least), BUDGET_MS.most));
  const toFill = (LOAD * budgetMs) / fullMs / CONNECTIONS;
  const toOffer = (LOAD * capacity) / MOST_PER_SECOND;
  const images = Math.round(Math.min(Math.max(toFill, toOffer, 1), mostImages));
  const perSecond = Math.min(Math.max((LOAD * capacity) / images, 1), MOST_PER_SECOND);
  return { budgetMs, stages: [CALM, { seconds: STORM_SECONDS, perSecond, images }, RETURN] };
}

/**
 * A tally of images. The first four are the server's: what became of what was sent. The last two are what was planned and
 * not sent: because every connection waited for an answer, or because the browser did not keep up.
 */
const empty = () => ({ inTime: 0, late: 0, refused: 0, failed: 0, held: 0, behind: 0, widths: new Map() });

/**
 * Plays a plan. `send(images)` sends one request and gives its answer, or throws; `told` gets the tally as it grows;
 * `signal` ends it early.
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
    // What is still under way belongs to this stage.
    await Promise.all(pending);
  }
  return tally;
}

/**
 * Calls `leave` as often as a stage says and its pace allows. What it gives false for, what a late tick skipped and what the
 * pace left out is not caught up with, for that would be a burst of another shape; the tally has it.
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

/** The share of a plan that the browser keeps up with: it falls at once where the browser is late, and returns slowly. */
class Pace {
  static #LEAST = 0.1;
  static #SLOWER = 0.7;
  /** Between two falls; and until all of a fall has come back. */
  static #PAUSE_MS = 100;
  static #RETURN_MS = 2000;

  #share = 1;
  #fell = -Infinity;

  /** The share of what was due in a time that ends now. */
  of(elapsedMs) {
    if (elapsedMs > LATE_TICK_MS) this.#slower();
    else this.#share = Math.min(this.#share + elapsedMs / Pace.#RETURN_MS, 1);
    return (this.#share * Math.min(elapsedMs, LATE_TICK_MS)) / Math.max(elapsedMs, 1e-9);
  }

  /** A request took the browser so long, the server's part left out. */
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

/** Counts an answer: one image at the top, or several in a list. */
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
