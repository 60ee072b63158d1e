"use strict";
// Tells the page that opened the 3-D Secure test page that an answer was given.
(() => {
  const parentOrigin = document.currentScript.dataset.parent;
  if (parentOrigin && window.parent !== window) {
    window.parent.postMessage({ source: "standin-3ds", type: "done" }, parentOrigin);
  }
})();
