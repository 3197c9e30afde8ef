// Live parts: whatever carries data-live is fetched again every few seconds while the page is seen.
"use strict";
const EVERY_MS = 5000;
async function refresh() {
  if (document.hidden || !document.querySelector("[data-live]")) return;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const newer = fresh.getElementById(part.id);
      if (newer && !part.contains(document.activeElement) && newer.innerHTML !== part.innerHTML) {
        part.innerHTML = newer.innerHTML;
      }
    }
  } catch { /* the server is away for a moment: the next look finds it again */ }
}
setInterval(refresh, EVERY_MS);
