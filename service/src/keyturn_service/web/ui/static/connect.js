// Asks whether the package is installed, and lets the page go on when it is. Without script the
// same page works by its buttons.
"use strict";
(() => {
  const form = document.getElementById("connect-form");
  const told = document.getElementById("install-status");
  const step = document.getElementById("install-step");
  if (!form || !told || !step) return;

  const SOONEST = 3000; // milliseconds
  const LATEST = 30000;
  const GROWTH = 1.5;
  const TYPED = 2000; // milliseconds after the last letter
  const words = told.dataset;
  let wait = SOONEST;
  let timer = 0;
  let asking = null;
  let over = false;

  const named = () => {
    const fields = new FormData(form);
    const chosen = fields.get("environment") === "my_domain";
    return chosen ? (fields.get("my_domain") || "").trim() : "";
  };

  const tell = (text) => {
    if (told.textContent !== text) told.textContent = text;
  };

  const goOn = (seen) => {
    const held = step.contains(document.activeElement);
    step.hidden = seen;
    form.dataset.installed = seen ? "yes" : "no";
    if (seen && held) document.getElementById("connect").focus();
  };

  const show = (sight) => {
    if (sight === "over") {
      over = true;
      tell(words.over);
      return;
    }
    goOn(sight === "seen");
    if (sight === "seen") tell(words.seen);
    else tell(named() || words.fixed ? words.watching : words.unknown);
  };

  const again = (soon) => {
    clearTimeout(timer);
    if (soon) wait = SOONEST;
    if (over || document.hidden || form.dataset.installed === "yes") return;
    if (!named() && !words.fixed) return;
    timer = setTimeout(look, wait);
    wait = Math.min(wait * GROWTH, LATEST);
  };

  const look = async () => {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = new AbortController();
    asking = mine;
    try {
      const url = `${form.dataset.watch}?${new URLSearchParams({ my_domain: named() })}`;
      const answer = await fetch(url, { cache: "no-store", signal: mine.signal });
      if (answer.ok) show((await answer.json()).sight);
      else if (answer.status < 500) show("over");
    } catch {
      // Not reached, or asked anew: what the page shows still holds.
    }
    if (asking === mine) again(false);
  };

  const anew = () => {
    if (over) return;
    goOn(false);
    wait = SOONEST;
    look();
  };

  form.addEventListener("change", anew);
  form.addEventListener("input", (event) => {
    if (event.target.name !== "my_domain") return;
    clearTimeout(timer);
    timer = setTimeout(anew, TYPED);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !over && form.dataset.installed !== "yes") {
      wait = SOONEST;
      look();
    }
  });
  addEventListener("pagehide", () => {
    clearTimeout(timer);
    if (asking) asking.abort();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) again(true);
  });

  show("not_seen");
  again(true);
})();
