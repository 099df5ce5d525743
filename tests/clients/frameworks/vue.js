import { createApp, h, ref } from "vue";
import CallPopup from "./CallPopup.vue";

const shown = ref(true);
window.show = (is) => (shown.value = is);
createApp({ render: () => (shown.value ? h(CallPopup) : null) }).mount("#root");
