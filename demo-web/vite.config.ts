import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: "es" },
  // The package finds its Worker and its module beside its own files: it must not be moved by pre-bundling.
  optimizeDeps: { exclude: ["neuromesh"] },
});
