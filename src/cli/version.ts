/** The version of this program, from its package.json. */
import { readFileSync } from "node:fs"

/** Relative to dist/src/cli/. */
const PACKAGE_FILE = new URL("../../../package.json", import.meta.url)

export function readVersion(): string {
  const value: unknown = JSON.parse(readFileSync(PACKAGE_FILE, "utf8"))
  const version = typeof value === "object" && value !== null && "version" in value ? value.version : undefined
  return typeof version === "string" ? version : "unknown"
}
