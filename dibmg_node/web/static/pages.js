// The dashboard's script: pages that renew themselves, and the viewer. Everything works without it but these.
"use strict";

document.documentElement.classList.add("scripted");

// A page that says so is fetched again every few seconds while somebody sees it and nothing in it is in use.
function renew() {
  const main = document.querySelector("main[data-refresh]");
  if (!main) return;
  const again = () => setTimeout(step, Number(main.dataset.refresh) * 1000);
  async function step() {
    const used = main.contains(document.activeElement) && document.activeElement !== main;
    if (!document.hidden && !used) {
      try {
        const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
        if (answer.status === 401) {
          location.reload();
          return;
        }
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          main.replaceChildren(...page.querySelector("main").childNodes);
          document.querySelector("footer").replaceWith(page.querySelector("footer"));
        }
      } catch {
        // the node is being restarted: the next step finds it
      }
    }
    again();
  }
  again();
}

function view() {
  const viewer = document.querySelector("[data-viewer]");
  const control = (id) => document.getElementById(id);
  if (!viewer || !control("overlay")) return;

  function overlay() {
    const opacity = control("overlay").checked ? control("opacity").value / 100 : 0;
    for (const image of viewer.querySelectorAll("img.over")) image.style.opacity = opacity;
  }
  let waiting;
  function window_() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const asked = new URLSearchParams({ center: control("center").value, width: control("width").value });
      for (const image of viewer.querySelectorAll("img.under")) {
        image.src = `${image.src.split("?")[0]}?${asked}`;
      }
      // an overlay is drawn at its own window: what was changed below it must be seen
      if (control("overlay").checked && Number(control("opacity").value) > 60) control("opacity").value = 60;
      overlay();
    }, 150);
  }
  function reset() {
    control("overlay").checked = true;
    control("opacity").value = 100;
    control("center").value = 0;
    control("width").value = 1;
    for (const image of viewer.querySelectorAll("img.under")) image.src = image.src.split("?")[0];
    overlay();
  }
  control("overlay").addEventListener("change", overlay);
  control("opacity").addEventListener("input", overlay);
  control("outlines").addEventListener("change", () => {
    viewer.classList.toggle("outlined", control("outlines").checked);
  });
  control("center").addEventListener("input", window_);
  control("width").addEventListener("input", window_);
  control("reset").addEventListener("click", reset);

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox], [type=range]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.key.toLowerCase() !== "o") return;
    control("overlay").checked = !control("overlay").checked;
    overlay();
  });
  for (const button of viewer.querySelectorAll(".enlarge")) {
    button.addEventListener("click", () => {
      const large = button.closest("figure").classList.toggle("large");
      button.setAttribute("aria-pressed", String(large));
      if (large) button.closest("figure").scrollIntoView({ block: "start" });
    });
  }
  for (const link of document.querySelectorAll("[data-shows]")) {
    const outline = viewer.querySelector(`polygon[data-finding="${link.dataset.shows}"]`);
    const light = (on) => outline && outline.classList.toggle("lit", on);
    for (const name of ["mouseenter", "focus"]) link.addEventListener(name, () => light(true));
    for (const name of ["mouseleave", "blur"]) link.addEventListener(name, () => light(false));
  }
  overlay();
}

renew();
view();
