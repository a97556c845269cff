// Keeps the view as the server says it is now, without moving what the reader is at; sends the buttons' forms.
import { Idiomorph } from "./idiomorph.esm.js";

const view = document.getElementById("view");
const connection = document.getElementById("connection");
const said = document.getElementById("said");
const hold = document.getElementById("hold");

let source = null;
let isHeld = false;
// What the page was loaded with is not new.
let hasShown = false;

function tell(text, state) {
  if (connection.textContent !== text) connection.textContent = text;
  connection.dataset.state = state;
}

function isAtEnd(element) {
  return element.scrollHeight - element.scrollTop - element.clientHeight < 8;
}

function followEnds(only = () => true) {
  for (const element of view.querySelectorAll("[data-follow]")) {
    if (only(element)) element.scrollTop = element.scrollHeight;
  }
}

function show(html) {
  const atEnd = new Set([...view.querySelectorAll("[data-follow]")].filter(isAtEnd).map((one) => one.id));
  Idiomorph.morph(view, html, {
    morphStyle: "innerHTML",
    // It would keep a focused button from getting its new words, too.
    ignoreActiveValue: document.activeElement?.matches("input, select, textarea") ?? false,
    callbacks: {
      // What the reader has opened or typed stays so, and what has come stays marked.
      beforeAttributeUpdated: (name, element) =>
        name !== "data-new" && !(name === "open" && element.matches("details")),
      afterNodeAdded: (node) => {
        if (hasShown && node instanceof HTMLTableRowElement) node.dataset.new = "";
      },
      beforeNodeMorphed: (element) =>
        !(element instanceof Element && element.matches("form[data-keep]") &&
          (element.dataset.touched !== undefined || element.matches(":focus-within"))),
    },
  });
  followEnds((element) => atEnd.has(element.id));
  hasShown = true;
}

function follow() {
  if (source !== null || isHeld || document.hidden) return;
  // A browser opens six connections to a server: only the tabs that are seen have one.
  source = new EventSource(location.pathname + location.search);
  source.addEventListener("open", () => tell("Live", "live"));
  source.addEventListener("view", (event) => show(event.data));
  source.addEventListener("error", () => {
    if (source !== null && source.readyState === EventSource.CLOSED) {
      tell("Ended: open the address that lakebed ui printed last", "lost");
    } else {
      tell("Connection lost, trying again", "lost");
    }
  });
}

function rest(text) {
  if (source !== null) source.close();
  source = null;
  tell(text, "held");
}

// A new stream begins with what is now.
function refresh() {
  if (source === null) return;
  source.close();
  source = null;
  follow();
}

hold.hidden = false;
hold.addEventListener("click", () => {
  isHeld = !isHeld;
  hold.setAttribute("aria-pressed", String(isHeld));
  if (isHeld) rest("Held");
  else follow();
});

document.addEventListener("visibilitychange", () => (document.hidden ? rest("Resting") : follow()));
addEventListener("pagehide", () => rest("Resting"));
addEventListener("pageshow", follow);

view.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-keep]");
  if (form !== null) form.dataset.touched = "";
});

view.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-action]");
  if (form === null) return;
  event.preventDefault();
  // A second press while the first is under way would undo it: the button's meaning changes with the state.
  if (form.dataset.busy !== undefined) return;
  form.dataset.busy = "";
  const words = form.querySelector("button").textContent.trim();
  said.textContent = `${words}: asked for`;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const result = answer.headers.get("content-type")?.startsWith("application/json")
      ? await answer.json()
      : { done: false, said: `refused (${answer.status}); reload the page` };
    said.textContent = result.done ? result.said : `${words} failed: ${result.said}`;
    said.dataset.done = String(result.done);
  } catch (error) {
    said.textContent = `${words} failed: ${error.message}`;
    said.dataset.done = "false";
  } finally {
    delete form.dataset.busy;
    refresh();
  }
});

followEnds();
follow();
