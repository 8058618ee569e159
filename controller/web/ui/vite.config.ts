import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The controller to develop against: `LOA_URL=https://127.0.0.1:8080 npm run dev`.
const controller = process.env.LOA_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "/console/",
  plugins: [svelte()],
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
  build: { target: "es2022", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: {
      "/api": {
        target: controller,
        secure: false,
        ws: true,
        // The controller compares Origin with its own address.
        headers: { origin: new URL(controller).origin },
        changeOrigin: true,
      },
    },
  },
});
