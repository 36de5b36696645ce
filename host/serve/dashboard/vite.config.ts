import { defineConfig } from "vite";

// Relative addresses, so that the page also works below a path of a proxy.
export default defineConfig({
  base: "./",
  build: { target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: { proxy: { "/api": process.env.WEIR_URL ?? "http://127.0.0.1:8090" } },
});
