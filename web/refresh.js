// Keeps a page current that asks for it. Without this script the page is complete; with it, the
// page need not be reloaded by hand. It fetches the very same page and swaps its main part.
(() => {
  "use strict";
  const every = Number(document.body.dataset.refresh);
  if (!every) return;

  const busy = () => {
    const selection = document.getSelection();
    const main = document.querySelector("main");
    return document.hidden
      || (selection && !selection.isCollapsed)
      || (main && main.contains(document.activeElement));
  };

  const refresh = async () => {
    if (!busy()) {
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        if (answer.ok) {
          const next = new DOMParser().parseFromString(await answer.text(), "text/html");
          const from = next.querySelector("main");
          const to = document.querySelector("main");
          if (from && to && from.innerHTML !== to.innerHTML) to.replaceWith(from);
          document.title = next.title;
          document.body.dataset.refresh = next.body.dataset.refresh || "";
        }
      } catch {
        // The node is away. The page stays as it is, and the next round asks again.
      }
    }
    if (document.body.dataset.refresh) setTimeout(refresh, every);
  };
  setTimeout(refresh, every);
})();
