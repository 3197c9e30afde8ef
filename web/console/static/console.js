// Live parts: whatever carries data-live is fetched again every few seconds while the page is seen,
// sooner where it says data-pending. Without this script every page works and is reloaded by hand.
"use strict";
const EVERY_MS = 5000;
const PENDING_MS = 1000;
async function refresh() {
  if (document.hidden) return;
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
async function look() {
  await refresh();
  again();
}
function again() {
  if (!document.querySelector("[data-live]")) return;
  setTimeout(look, document.querySelector("[data-pending]") ? PENDING_MS : EVERY_MS);
}
again();
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
