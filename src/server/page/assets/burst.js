// A burst against the server: a calm, more than it can answer at full width, and a calm again. Requests leave when they are
// due, whether or not answers came, as far as a browser can; their rate, their number and their time are bounded. Knows
// nothing of the page.

/** Load in the middle, in multiples of what the server can do at full width. */
const LOAD = 2;
/** Seconds and requests per second of the calms. */
const CALM = { seconds: 2, perSecond: 15, images: 1 };
const STORM_SECONDS = 4;
const RETURN = { ...CALM, seconds: 3 };
/** The most requests per second in the middle; what is missing travels as several images in one request. */
const MOST_PER_SECOND = 150;
const MOST_IMAGES = 64;
/** A browser keeps so few requests under way at once, whatever it is asked for. */
const CONNECTIONS = 5;
/** The most requests that the browser may hold, sent or not. */
const MOST_PENDING = 60;
/** A budget in multiples of what one image takes at full width, within bounds. */
const BUDGET = { times: 20, leastMs: 25, mostMs: 1000 };
const TICK_MS = 10;

/** What to play against a model of `/profile`, so that its server has to narrow. */
export function plan({ capacity_at_full_width: capacity, steps }, workers, maxFiles) {
  const fullMs = steps.at(-1).latency_us[0][1] / 1000;
  const budgetMs = Math.ceil(Math.min(Math.max(BUDGET.times * fullMs, BUDGET.leastMs), BUDGET.mostMs));
  // Those under way must take longer than the budget at full width, or there is no need to be narrow.
  const toFill = (LOAD * budgetMs * workers) / fullMs / CONNECTIONS;
  const toOffer = (LOAD * capacity) / MOST_PER_SECOND;
  const images = Math.round(Math.min(Math.max(toFill, toOffer, 1), MOST_IMAGES, maxFiles));
  const perSecond = Math.min(Math.max((LOAD * capacity) / images, 1), MOST_PER_SECOND);
  return { budgetMs, stages: [CALM, { seconds: STORM_SECONDS, perSecond, images }, RETURN] };
}

/** An empty tally of images. */
const empty = () => ({ due: 0, inTime: 0, late: 0, refused: 0, failed: 0, notSent: 0, widths: new Map() });

/**
 * Plays a plan. `send(images)` sends one request and gives its answer, or throws; `told` gets the tally as it grows;
 * `signal` ends it early.
 */
export async function play({ budgetMs, stages }, send, told, signal) {
  const tally = empty();
  const pending = new Set();
  const request = async (images) => {
    try {
      count(tally, await send(images), budgetMs);
    } catch (error) {
      miss(tally, error, images);
    }
    told(tally);
  };
  for (const stage of stages) {
    await eachDue(stage, signal, () => {
      tally.due += stage.images;
      if (pending.size >= MOST_PENDING) {
        tally.notSent += stage.images;
        return;
      }
      const sent = request(stage.images).finally(() => pending.delete(sent));
      pending.add(sent);
    });
    // What the browser still holds belongs to this stage.
    await Promise.all(pending);
  }
  return tally;
}

/** Calls `leave` as often as a stage's rate says, and catches up after a pause. */
async function eachDue({ seconds, perSecond }, signal, leave) {
  const began = performance.now();
  let left = 0;
  for (;;) {
    const now = Math.min((performance.now() - began) / 1000, seconds);
    while (!signal.aborted && left < now * perSecond) {
      leave();
      left += 1;
    }
    if (signal.aborted || now >= seconds) return;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
}

/** Counts an answer: one image at the top, or several in a list. */
function count(tally, answer, budgetMs) {
  const results = answer.results ?? [answer];
  tally[answer.timing_ms.total <= budgetMs ? "inTime" : "late"] += results.length;
  for (const { width } of results) tally.widths.set(width, (tally.widths.get(width) ?? 0) + 1);
}

function miss(tally, error, images) {
  if (error.name === "AbortError") tally.notSent += images;
  else if (error.status === 503) tally.refused += images;
  else if (error.status === 504) tally.late += images;
  else tally.failed += images;
}
