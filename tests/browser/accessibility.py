"""Small checks of a page as people meet it: contrast, names, structure, the order of Tab.

The numbers are those of WCAG 2.2, level AA: 4.5 to 1 for text (1.4.3), 3 to 1 for large text and
for what shows where a control is (1.4.11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

_COLOURS: Final = """
() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const problems = [];
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const element = words.currentNode.parentElement;
    if (!words.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (["OPTION", "METER", "PROGRESS", "NOSCRIPT", "SCRIPT"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = ratio(parse(style.color), ground(element));
    if (found < (large ? 3 : 4.5)) {
      problems.push(`${element.tagName} "${element.textContent.trim().slice(0, 30)}": ${found}`);
    }
  }
  for (const control of document.querySelectorAll("button, input, select")) {
    if (!control.getClientRects().length || control.type === "checkbox") continue;
    const found = ratio(parse(getComputedStyle(control).borderTopColor),
                        ground(control.parentElement));
    if (found < 3) problems.push(`border of ${control.tagName} ${control.name}: ${found}`);
  }
  return problems;
}
"""

_NAMES: Final = """
() => {
  const problems = [];
  const named = (element) => (element.getAttribute("aria-label")
    || [...(element.labels || [])].map((each) => each.textContent).join("")
    || (element.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent || "").join("")
    || element.textContent || "").trim();
  const wanted = "a[href], button, input:not([type=hidden]), select, progress, meter, nav, "
    + "[role=img], [role=region], section";
  for (const element of document.querySelectorAll(wanted)) {
    if (!named(element)) problems.push(`no name: ${element.outerHTML.slice(0, 80)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of ids) {
    if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push(`twice: #${id}`);
  }
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((h) => Number(h.tagName[1]));
  if (levels.filter((each) => each === 1).length !== 1) problems.push("not one h1");
  levels.forEach((level, at) => {
    if (at && level > levels[at - 1] + 1) problems.push(`h${level} after h${levels[at - 1]}`);
  });
  for (const cell of document.querySelectorAll("th:not([scope])")) {
    problems.push(`no scope: ${cell.textContent}`);
  }
  if (!document.documentElement.lang || !document.title) problems.push("no language or title");
  if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
  return problems;
}
"""

_IN_ORDER: Final = """
() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, [tabindex='0']")]
  .filter((each) => !each.disabled && each.getClientRects().length).length
"""

_FOCUSED: Final = """
() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const all = [...document.querySelectorAll("*")];
  const style = getComputedStyle(at);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return {place: all.indexOf(at), seen, what: at.outerHTML.slice(0, 80)};
}
"""


def colour_problems(page: Page) -> list[str]:
    """Give texts and borders that cannot be told from their ground."""
    found: list[str] = page.evaluate(_COLOURS)
    return found


def naming_problems(page: Page) -> list[str]:
    """Give what a screen reader could not name, and headings and tables out of order."""
    found: list[str] = page.evaluate(_NAMES)
    return found


def keyboard_problems(page: Page) -> list[str]:
    """Press Tab from the top to the end; give what is out of order, unseen, or never reached."""
    wanted = page.evaluate(_IN_ORDER)
    problems: list[str] = []
    places: list[int] = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:
            break
        if not focused["seen"]:
            problems.append(f"focus is not seen: {focused['what']}")
        places.append(focused["place"])
    if len(set(places)) != wanted:
        problems.append(f"Tab reaches {len(set(places))} of {wanted}")
    if places != sorted(places):
        problems.append(f"Tab jumps: {places}")
    return problems
