// Waiting for a payment's outcome: ask quietly, and move on only when there is news, so that nobody's reading or
// screen reader is interrupted by a page that reloads itself. Without this script "Check again" does the same.

const FIRST_MS = 2_000;
const LONGEST_MS = 30_000;
const TRIES = 25;

/** @param {number} tries @param {number} delay */
function later(tries, delay) {
  if (tries > 0) setTimeout(() => ask(tries, delay), delay);
}

/** @param {number} tries @param {number} delay */
async function ask(tries, delay) {
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.ok && answer.redirected) {
      location.replace(answer.url);
      return;
    }
  } catch {
    // Offline for a moment: the next try may get through.
  }
  later(tries - 1, Math.min(delay * 1.5, LONGEST_MS));
}

later(TRIES, FIRST_MS);
export {};
