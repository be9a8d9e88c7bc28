// Keys go to the terminal without a click on it.
addEventListener("load", () => document.querySelector(".xterm-helper-textarea")?.focus());
