"use strict";
// Keeps a page that tells how things stand as if it were opened anew; without this it stays as it was opened.
// It waits while somebody is at something in the page: what has the focus, or is marked, must not vanish.
const PERIOD_MS = 15000;

function busy() {
  const main = document.querySelector("main");
  return document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed;
}

function show(page) {
  const opened = [...document.querySelectorAll("main details")].map((one) => one.open);
  page.querySelectorAll("main details").forEach((one, at) => { one.open = opened[at] ?? one.open; });
  for (const part of ["main", ".clock"]) {
    document.querySelector(part).replaceWith(page.querySelector(part));
  }
}

async function renew() {
  try {
    const answer = busy() ? null : await fetch(location.href, {headers: {Accept: "text/html"}});
    if (answer?.ok && !answer.redirected && !busy()) {
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    // The collector does not answer: the page says of when it is, and the next try may succeed.
  }
  setTimeout(renew, PERIOD_MS);
}

setTimeout(renew, PERIOD_MS);
