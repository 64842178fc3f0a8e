"use strict";
(() => {
  const readout = document.getElementById("readout");
  for (const svg of document.querySelectorAll("svg")) {
    const hits = [...svg.querySelectorAll(".hit")].map((rect) => {
      const title = rect.querySelector("title");
      const told = title.textContent;
      title.remove();
      return { rect, told };
    });
    if (!hits.length) continue;
    let on = -1;
    const hide = () => {
      if (on >= 0) hits[on].rect.classList.remove("on");
      on = -1;
      readout.hidden = true;
    };
    const show = (index, x, y) => {
      hide();
      on = index;
      hits[on].rect.classList.add("on");
      readout.textContent = hits[on].told;
      readout.hidden = false;
      const box = readout.getBoundingClientRect();
      const left = x + 18 + box.width > innerWidth ? x - 18 - box.width : x + 18;
      const top = Math.min(y + 14, innerHeight - box.height - 6);
      readout.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
    };
    const point = (event) => {
      const index = hits.findIndex((hit) => hit.rect === event.target);
      if (index >= 0) show(index, event.clientX, event.clientY);
      else hide();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const next = Math.min(hits.length - 1, Math.max(0, on + step));
      const box = hits[next].rect.getBoundingClientRect();
      show(next, box.right, Math.max(box.top, 0));
    });
  }
})();
