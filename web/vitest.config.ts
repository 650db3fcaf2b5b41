// Unit tests beside their sources run in Node; browser/ drives a real one.
import { defineConfig } from "vitest/config";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  test: { environment: "node", testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false },
});
