// Shows what arrives without a reload; without scripts the page works by reloading.
"use strict";
const status = document.getElementById("status");
const SECONDS = 3;

async function look() {
  try {
    const answer = await fetch(status.dataset.from, { cache: "no-store" });
    if (answer.ok) {
      const text = await answer.text();
      if (text !== look.before) {
        status.innerHTML = text; // from this server, escaped there
        look.before = text;
      }
    } else if (answer.status === 400) {
      return; // the page's day is over
    }
  } catch (error) {
    // away for a moment: look again
  }
  setTimeout(look, document.hidden ? 10 * SECONDS * 1000 : SECONDS * 1000);
}

if (status) {
  setTimeout(look, SECONDS * 1000);
}
