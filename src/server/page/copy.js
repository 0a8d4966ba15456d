// Copies the value that a button names. Without this script the buttons stay hidden, and a value is selected by hand.
for (const button of document.querySelectorAll("button[data-copies]")) {
  const value = document.getElementById(button.dataset.copies);
  const label = button.querySelector("span");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value.textContent);
    } catch {
      // Over plain HTTP from another machine there is no clipboard: the value is selected instead.
      getSelection().selectAllChildren(value);
      label.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      return;
    }
    label.textContent = "Copied";
  });
}
