import { mount, unmount } from "svelte";
import CallPopup from "./CallPopup.svelte";

let popup = null;
window.show = (is) => {
  if (is) popup = mount(CallPopup, { target: document.querySelector("#root") });
  else unmount(popup);
};
window.show(true);
