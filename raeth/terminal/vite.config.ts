import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { preact } from "@preact/preset-vite";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The venue serves these as they are: it never compresses while somebody waits. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const [name, file] of Object.entries(bundle)) {
          const bytes = Buffer.from(file.type === "chunk" ? file.code : file.source);
          if (bytes.length < 1024 || name.endsWith(".map")) continue;
          const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
          this.emitFile({ type: "asset", fileName: `${name}.br`, source: brotliCompressSync(bytes, { params }) });
          this.emitFile({ type: "asset", fileName: `${name}.gz`, source: gzipSync(bytes, { level: 9 }) });
        }
      },
    },
  };
}

const VENUE = process.env.RAETH_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [preact(), compressed()],
  build: {
    outDir: "dist",
    target: "es2022",
    assetsInlineLimit: 0, // the page's policy admits files of its own, and nothing written into them
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: "licenses.txt" }, // whoever gets the page gets the terms of what is in it
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/health", "/ready", "/stream", "/status", "/docs", "/openapi.json"].map((path) => [
        path,
        { target: VENUE, ws: path === "/stream" },
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
