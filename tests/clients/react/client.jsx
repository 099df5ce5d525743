import { StrictMode } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { App } from "./app.jsx";

const { src, start } = JSON.parse(document.querySelector("#props").textContent);
const root = document.querySelector("#root");
const app = (
  <StrictMode>
    <App src={src} start={start} />
  </StrictMode>
);
if (root.hasChildNodes()) hydrateRoot(root, app, { onRecoverableError: (error) => console.error(error.message) });
else createRoot(root).render(app);
